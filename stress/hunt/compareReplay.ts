/** Whether a replay did what its file says: the first difference, if there is one. */

import { decodeSchedule, type Schedule } from '../../src/explore/schedule.ts';
import type { ReplayResult } from './job.ts';
import { scenarioOf } from './programs.ts';
import type { ReplayDocument } from './replayDocument.ts';

export interface ReplayDivergence {
  /** Step at which the difference was seen; the run of the schedule that it lies in begins there. */
  readonly step: number;
  readonly expected: string;
  readonly actual: string;
}

/** The first difference: of accesses, of the schedule, of what was found. Null when there is none. */
export function compareReplay(document: ReplayDocument, result: ReplayResult): ReplayDivergence | null {
  const recorded = decodeSchedule(document.schedule);
  const ran = decodeSchedule(result.schedule);
  const threads = scenarioOf(document.program).threads.length;
  let step = 0;
  for (let run = 0; run < recorded.runs.length; run++) {
    const expected = runText(recorded, run, threads, document.digests[run]);
    const actual = runText(ran, run, threads, result.digests[run]);
    if (expected !== actual) return { step, expected, actual };
    step += recorded.runs[run].steps;
  }
  if (ran.runs.length > recorded.runs.length) {
    const run = recorded.runs.length;
    return { step, expected: 'the end', actual: runText(ran, run, threads, result.digests[run]) };
  }
  const [found] = result.findings;
  const actual = found === undefined ? `no finding (${result.verdict})` : `${found.kind} ${found.id}`;
  const expected = `${document.finding.kind} ${document.finding.id}`;
  return actual === expected ? null : { step, expected, actual };
}

/** `thread 2 for 40 steps, accesses 1a2b3c4d`; store buffers are the tasks behind the threads. */
function runText({ runs }: Schedule, index: number, threads: number, digest: string | undefined): string {
  const run = runs.at(index);
  if (run === undefined) return 'the end';
  const { task, steps } = run;
  const who = task < threads ? `thread ${task + 1}` : `the store buffer of thread ${task - threads + 1}`;
  return `${who} for ${steps} steps, accesses ${digest}`;
}
