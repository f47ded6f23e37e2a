/** The result of a stress run as data: what `--json` prints and the text report formats. */

import type { Finding } from '../base/finding.ts';
import type { Scene } from './sceneDocument.ts';

export const STRESS_SCHEMA = 'mmstorm/stress/1';

export interface OpResult {
  readonly count: number;
  /** Failures by errno name: `{ ENOMEM: 12 }`. */
  readonly failed: Readonly<Record<string, number>>;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly maxNs: number;
}

export interface LockResult {
  readonly class: string;
  readonly acquisitions: number;
  readonly contended: number;
  readonly waitP99Ns: number;
  readonly holdP99Ns: number;
}

/** A recorded program that was run in place of a mix. */
export interface InputResultDocument {
  readonly file: string;
  readonly lines: number;
  readonly calls: number;
  readonly threads: number;
  readonly addressSpaces: number;
  /** Calls that had no effect in the recording, and such on memory that nothing in it maps: not run. */
  readonly withoutEffect: number;
  readonly unplaced: number;
  /** File mappings, run as anonymous memory. */
  readonly fileMappings: number;
  /** Lines of no interest, by call. */
  readonly skipped: Readonly<Record<string, number>>;
  /** How often the whole program was run. */
  readonly rounds: number;
  /** Calls with the outcome of the recording, and without it. */
  readonly agreed: number;
  readonly differed: number;
  readonly differences: readonly string[];
}

/** A finding with the scene from which a schedule can be searched. */
export interface StressFinding extends Finding {
  readonly scene?: Scene;
  /** The command that searches for the schedule. */
  readonly search?: string;
}

export interface StressDocument {
  readonly schema: typeof STRESS_SCHEMA;
  readonly command: string;
  readonly kernel: string;
  readonly bug?: string;
  /** Every rule with its value. */
  readonly rules: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly workers: number;
  readonly mix: string;
  readonly input?: InputResultDocument;
  /** True when the run was stopped before its time (Ctrl-C); the figures are then partial. */
  readonly interrupted: boolean;
  readonly elapsedMs: number;
  readonly ops: Readonly<Record<string, OpResult>>;
  readonly totalOps: number;
  readonly opsPerSecond: number;
  readonly locks: readonly LockResult[];
  readonly checks: Readonly<Record<string, number>>;
  /** Allocations that were made to fail. */
  readonly injectedFailures: number;
  readonly findings: readonly StressFinding[];
}
