/** The result of a verification as data: what `--json` prints and the text report formats. */

import type { Finding } from '../base/finding.ts';
import type { FailureSize } from './huntDocument.ts';

export const VERIFY_SCHEMA = 'mmstorm/verify/1';

/**
 *   found     something is wrong
 *   proved    every schedule within the bound was run, or one that stands for it
 *   sampled   there are too many schedules for that: so many were drawn
 *   cut       a limit or the user ended it before
 *   blocked   the set-up alone fails under these rules: there is nothing to explore
 */
export type VerifyVerdict = 'found' | 'proved' | 'sampled' | 'cut' | 'blocked';

export interface VerifyDocument {
  readonly schema: typeof VERIFY_SCHEMA;
  readonly command: 'verify';
  readonly scenario: string;
  readonly bug: string | null;
  readonly kernel: string;
  readonly seed: number;
  readonly workers: number;
  readonly interrupted: boolean;
  readonly memory: 'sc' | 'tso';
  /** Detectors of accesses that were on. */
  readonly detect: readonly string[];
  readonly verdict: VerifyVerdict;
  /** Most preemptions of the schedules that were enumerated. */
  readonly preemptions: number;
  /** Why nothing could be explored. */
  readonly blocked?: string;
  /** What was run, in order: the enumeration, and the sample if that was too large. */
  readonly phases: readonly VerifyPhase[];
  readonly finding?: Finding;
  readonly schedule?: string;
  /** What the failure consisted of when it was found, and what it was cut down to. */
  readonly minimised?: { readonly before: FailureSize; readonly after: FailureSize };
  readonly replay?: string;
}

export interface VerifyPhase {
  readonly what: 'enumeration' | 'sample';
  readonly strategy: string;
  readonly ended: string;
  readonly executions: number;
  readonly steps: number;
  readonly elapsedMs: number;
  /** Share of the schedules that the enumeration ran, as far as that can be estimated. */
  readonly share?: number;
  readonly missProbability: readonly { readonly depth: number; readonly probability: number }[];
}
