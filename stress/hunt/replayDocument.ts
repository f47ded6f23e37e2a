/**
 * A replay file: one recorded interleaving, complete. Program, rules and schedule decide the execution; the digests of its
 * accesses say whether this build still runs the same one; the finding is what it must show.
 *
 * The format is versioned. A file that is damaged, cut off or of another kind is refused with the field that is wrong.
 */

import * as z from 'zod';
import type { Finding } from '../../src/base/finding.ts';
import { UsageError } from '../../src/base/usageError.ts';
import { decodeSchedule } from '../../src/explore/schedule.ts';
import { kernelPreset, applyRuleSettings } from '../../src/rules/resolve.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { DETECTORS, chooseDetectors, type Conditions } from './detectorChoice.ts';
import type { ProgramName } from './job.ts';
import { parseJsonDocument, type Refuse } from './jsonDocument.ts';
import { scenarioOf } from './programs.ts';
import { SCENE } from './sceneSchema.ts';

const FAMILY = 'mmstorm/replay/';
const VERSION = 1;
export const REPLAY_SCHEMA = `${FAMILY}${VERSION}`;

const FINDING = z.strictObject({
  place: z.strictObject({ process: z.number().int(), page: z.number().int() }).optional(),
  id: z.string().regex(/^[0-9a-f]{8}$/, 'not an id of 8 hexadecimal digits'),
  kind: z.string().min(1),
  title: z.string().min(1),
  signature: z.string(),
  evidence: z.array(z.string()),
  bug: z.string().optional(),
  reference: z.string().optional(),
  reproduce: z.string(),
});

const SEEKS = z.array(z.string()).optional();

const KEPT = z.array(z.array(z.number().int().nonnegative())).optional();
const CATALOGUED = z.strictObject({ scenario: z.string(), seeks: SEEKS, kept: KEPT });
const OF_A_SCENE = z.strictObject({
  scene: SCENE,
  id: z.string().regex(/^[a-z0-9-]+$/, 'not an id'),
  variant: z.number().int().nonnegative(),
  seeks: SEEKS,
  kept: KEPT,
});

const DOCUMENT = z.strictObject({
  schema: z.literal(REPLAY_SCHEMA),
  /** Checked by itself, so that the field that is wrong can be named. */
  program: z.looseObject({}),
  config: z.strictObject({
    kernel: z.string(),
    bug: z.string().optional(),
    rules: z.record(z.string(), z.string()),
    seed: z.number().int().nonnegative(),
    strategy: z.string(),
    execution: z.number().int().nonnegative(),
    /** Files of older builds do not have these two. */
    memory: z.enum(['sc', 'tso']).default('sc'),
    detect: z.array(z.enum(DETECTORS)).default([]),
  }),
  schedule: z.string(),
  /** The schedule that was found, before it was cut down. */
  found: z.string(),
  steps: z.number().int().positive(),
  digests: z.array(z.string().regex(/^[0-9a-f]{8}$/, 'not a digest of 8 hexadecimal digits')),
  finding: FINDING,
});

export interface ReplayDocument {
  readonly schema: typeof REPLAY_SCHEMA;
  readonly program: ProgramName;
  readonly config: ReplayConfig;
  readonly schedule: string;
  /** The schedule that was found; `schedule` is what it was cut down to. */
  readonly found: string;
  readonly steps: number;
  readonly digests: readonly string[];
  readonly finding: Finding;
}

/** What was decided before the exploration began, and which of its executions this is. */
export interface ReplayConfig extends Conditions {
  readonly kernel: string;
  readonly bug?: string | undefined;
  /** Every rule with its value. */
  readonly rules: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly strategy: string;
  readonly execution: number;
}

/** Reads the text of a replay file. @throws UsageError `name: field: reason` for anything else */
export function parseReplay(text: string, name: string): ReplayDocument {
  return parseJsonDocument(text, name, (value, refuse) => {
    const { schema } = (typeof value === 'object' && value !== null ? value : {}) as { schema?: unknown };
    if (typeof schema !== 'string' || !schema.startsWith(FAMILY))
      refuse('schema', 'this is not a replay file of mmstorm');
    if (schema !== REPLAY_SCHEMA)
      refuse('schema', `'${String(schema)}' is not known: this build reads ${REPLAY_SCHEMA}`);
    const document = checked(DOCUMENT, value, '', refuse);
    const { program } = document;
    if ('scene' in program) checked(OF_A_SCENE, program, 'program.', refuse);
    else checked(CATALOGUED, program, 'program.', refuse);
    return consistent(document as unknown as ReplayDocument, refuse);
  });
}

/** @returns `value` as the schema has it; refuses the first field that is wrong */
function checked<Type>(schema: z.ZodType<Type>, value: unknown, prefix: string, refuse: Refuse): Type {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  return refuse(prefix + path.join('.'), message);
}

/** The names in a document are known, and its parts fit each other. */
function consistent(document: ReplayDocument, refuse: Refuse): ReplayDocument {
  refuse.unless('program', () => scenarioOf(document.program));
  refuse.unless('config.kernel', () => kernelPreset(document.config.kernel));
  refuse.unless('config.rules', () => rulesOf(document));
  refuse.unless('config.detect', () => checkDetectors(document));
  refuse.unless('schedule', () => checkSchedule(document));
  return document;
}

function checkDetectors(document: ReplayDocument): void {
  const { detect, memory } = document.config;
  chooseDetectors(detect, memory, rulesOf(document));
}

function checkSchedule({ program, config, schedule, digests }: ReplayDocument): void {
  const { runs, tasks } = decodeSchedule(schedule);
  const { threads } = scenarioOf(program);
  // Every store buffer is a task too.
  const wanted = threads.length * (config.memory === 'tso' ? 2 : 1);
  if (tasks !== wanted) throw new UsageError(`it has ${tasks} tasks, the program ${wanted}`);
  if (program.kept !== undefined && program.kept.length !== threads.length)
    throw new UsageError(`there are ${threads.length} threads, but operations are kept of ${program.kept.length}`);
  if (runs.length !== digests.length)
    throw new UsageError(`it has ${runs.length} runs, but there are ${digests.length} digests`);
}

/** The rules of a recorded run. @throws UsageError for a rule or a value that this build does not know */
export function rulesOf({ config }: ReplayDocument): Rules {
  const settings = Object.entries(config.rules).map(([rule, value]) => ({ rule, value }));
  return applyRuleSettings(kernelPreset(config.kernel).rules, settings);
}
