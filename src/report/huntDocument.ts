/** The result of a hunt as data: what `--json` prints and the text report formats. */

import type { Finding } from '../base/finding.ts';

export const HUNT_SCHEMA = 'mmstorm/hunt/1';

export interface HuntDocument {
  readonly schema: typeof HUNT_SCHEMA;
  readonly command: 'hunt';
  readonly seed: number;
  readonly workers: number;
  /** True when the run was stopped by the user: what was not begun is missing. */
  readonly interrupted: boolean;
  readonly results: readonly HuntResult[];
}

/** What a failing program and its schedule consist of. */
export interface FailureSize {
  readonly threads: number;
  readonly operations: number;
  readonly preemptions: number;
  readonly switches: number;
  readonly steps: number;
}

export interface HuntResult {
  readonly scenario: string;
  /** The bug that was switched on, null if none. */
  readonly bug: string | null;
  readonly kernel: string;
  /** A finding of an expected kind; of any kind where no bug was switched on. */
  readonly found: boolean;
  /** Why the exploration ended. */
  readonly ended: 'blocked' | 'found' | 'exhausted' | 'executions' | 'duration' | 'interrupted';
  /** Why nothing could be explored. */
  readonly blocked?: string;
  readonly executions: number;
  readonly steps: number;
  readonly elapsedMs: number;
  readonly executionsPerSecond: number;
  readonly strategy: string;
  /** Depth that the strategy was told to look for; null where it decides itself. */
  readonly depth: number | null;
  readonly memory: 'sc' | 'tso';
  /** Detectors of accesses that were on. */
  readonly detect: readonly string[];
  /** Chance that a bug was missed, by the number of ordering constraints it needs; empty where the strategy cannot tell. */
  readonly missProbability: readonly { readonly depth: number; readonly probability: number }[];
  readonly finding?: Finding;
  readonly schedule?: string;
  /** What the failure consisted of when it was found, and what it was cut down to; absent where it was left as found. */
  readonly minimised?: { readonly before: FailureSize; readonly after: FailureSize };
  /** Name of the replay file. */
  readonly replay?: string;
  /** What differed between the exploration and its replays; a bug of mmstorm. */
  readonly notDeterministic?: string;
}
