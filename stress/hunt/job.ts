/** What the main thread hands to a thread that explores, and what comes back: plain data, for both builds of the code. */

import type { Finding, FindingKind } from '../../src/base/finding.ts';
import type { Scene } from '../../src/report/sceneDocument.ts';
import type { Cut } from '../../src/explore/minimise.ts';
import type { Coverage } from '../../src/explore/strategy.ts';
import type { Kept } from '../../src/explore/reduceProgram.ts';
import type { Verdict } from '../../src/explore/world.ts';
import type { ChromeTrace } from '../../src/report/chromeTrace.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { Conditions } from './detectorChoice.ts';
import type { Telling } from './tellRun.ts';

/** Names a program: a scenario of the catalogue, or one that is built from the scene of a finding. */
export type ProgramName = (
  { readonly scenario: string } | { readonly scene: Scene; readonly id: string; readonly variant: number }
) & {
  /** Kinds of finding that are looked for: predictions of any other kind are passed over. None: every finding counts. */
  readonly seeks?: readonly FindingKind[] | undefined;
  /** Operations of each thread that are left of it (see reduceProgram); absent: all. */
  readonly kept?: Kept | undefined;
};

/** A strategy by name, with what it needs to know. */
export interface StrategyChoice {
  readonly name: string;
  readonly depth?: number | undefined;
  readonly preemptions?: number | undefined;
}

/** One shard of an exploration. Shard s of n explores with a seed of its own; its execution i is number i * n + s of all. */
export interface ShardJob {
  readonly kind: 'explore';
  readonly program: ProgramName;
  readonly rules: Rules;
  readonly conditions: Conditions;
  readonly strategy: StrategyChoice;
  readonly seed: number;
  readonly shard: number;
  readonly shards: number;
  /** Executions of all shards together. */
  readonly executions: number;
  /** Executions to spend on cutting a failing program and its schedule down; 0 leaves them as they were found. */
  readonly minimise: number;
  readonly telling: Telling;
  /** See progressBoard.ts. */
  readonly board: SharedArrayBuffer;
}

export interface ShardResult {
  /** Why nothing could be explored: the set-up alone fails under these rules. Null otherwise. */
  readonly blocked: string | null;
  readonly executions: number;
  readonly steps: number;
  /** Time that the exploration alone took. */
  readonly exploredMs: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  /** The strategy has nothing left to explore. */
  readonly exhausted: boolean;
  /** What the strategy says about them. */
  readonly coverage: Coverage;
  readonly failure: ShardFailure | null;
}

/** What was found, as its replay tells it: with places, and run twice. */
export interface ShardFailure {
  /** Number of the execution among those of all shards. */
  readonly execution: number;
  readonly verdict: Verdict;
  /** The schedule that was found. */
  readonly found: string;
  /** Sizes before and after it was cut down; null where it was left as it was found. */
  readonly minimised: Cut | null;
  /** What it was cut down to, and the program with it. */
  readonly schedule: string;
  readonly program: ProgramName;
  readonly recorded: ReplayResult;
  /** Null when both replays did what the exploration had seen; else what differed. */
  readonly differs: string | null;
}

/** One execution under a recorded schedule. */
export interface ReplayJob {
  readonly kind: 'replay';
  readonly program: ProgramName;
  readonly rules: Rules;
  readonly conditions: Conditions;
  readonly schedule: string;
  /** Absent: it is not told. */
  readonly telling?: Telling | undefined;
  /** It is told as a trace, not in lines. */
  readonly asChromeTrace?: boolean | undefined;
}

export interface ReplayResult {
  readonly verdict: Verdict;
  readonly findings: readonly Omit<Finding, 'reproduce'>[];
  /** What really ran. */
  readonly schedule: string;
  readonly steps: number;
  /** A digest of accesses per run of that schedule. */
  readonly digests: readonly string[];
  /** Step at which the program left the schedule by itself, or null. */
  readonly leftAt: number | null;
  /** Lines that tell what happened; empty unless they were asked for. */
  readonly told: readonly string[];
  /** Null unless it was asked for. */
  readonly chromeTrace: ChromeTrace | null;
}
