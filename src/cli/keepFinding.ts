/** From a failing execution to a finding with a replay file. */

import type { ShardFailure } from '../../stress/hunt/job.ts';
import { REPLAY_SCHEMA } from '../../stress/hunt/replayDocument.ts';
import type { Cut } from '../explore/minimise.ts';
import { makeFinding, type Finding } from '../base/finding.ts';
import { UsageError } from '../base/usageError.ts';
import { listRules } from '../rules/resolve.ts';
import type { Target } from './huntTargets.ts';
import { replayName, writeReplay } from './replayFiles.ts';

export interface KeptFinding {
  readonly finding: Finding;
  readonly schedule: string;
  /** Sizes before and after it was cut down; absent where it was left as it was found. */
  readonly minimised?: Cut;
  /** Name of the replay file; absent when it could not be written. */
  readonly replay?: string;
  /** What differed between the exploration and its replays; a bug of mmstorm. */
  readonly notDeterministic?: string;
}

/** Writes the replay file. Without one (stderr says why) the finding is told all the same. */
export function keepFinding(
  { scenario, kernel, rules, bug, expected, conditions }: Target,
  { seed, strategy }: { readonly seed: number; readonly strategy: string },
  { execution, found: foundSchedule, schedule, minimised, program, recorded, differs }: ShardFailure,
): KeptFinding {
  const [violation] = recorded.findings;
  const file = replayName(scenario.id, violation.id);
  const isExpected = bug !== undefined && expected.includes(violation.kind);
  const finding = makeFinding(violation, {
    reproduce: `mmstorm replay ${file}`,
    ...(isExpected ? { bug: `${bug.id}: ${bug.badRun}`, reference: bug.reference } : {}),
  });
  const found = {
    finding,
    schedule,
    ...(minimised !== null && { minimised }),
    ...(differs !== null && { notDeterministic: differs }),
  };
  const config = {
    kernel,
    ...(bug === undefined ? {} : { bug: bug.id }),
    rules: Object.fromEntries(listRules(rules).map(({ rule, value }) => [rule, value])),
    seed,
    strategy,
    execution,
    ...conditions,
  };
  try {
    const { digests, steps } = recorded;
    writeReplay(file, {
      schema: REPLAY_SCHEMA,
      program,
      config,
      schedule,
      found: foundSchedule,
      steps,
      digests,
      finding,
    });
    return { ...found, replay: file };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`mmstorm: ${error.message}\n`);
    return found;
  }
}
