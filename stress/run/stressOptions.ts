/** Everything that decides a stress run; printed before it starts. */

import type { Rules } from '../../src/rules/rules.ts';
import type { Bug } from '../bugs/bug.ts';
import type { InputProgram } from '../input/inputProgram.ts';
import type { Mix } from '../mix.ts';

export interface StressOptions {
  readonly kernel: string;
  readonly rules: Rules;
  readonly bug: Bug | undefined;
  readonly seed: number;
  /** Simulated CPUs, one thread each: 1 .. MAX_STRESS_CPUS. */
  readonly workers: number;
  readonly processes: number;
  readonly durationMs: number;
  /** Operations in all, or Infinity. */
  readonly ops: number;
  readonly mix: Mix;
  /** A recorded program to run in place of the mix. */
  readonly input: RecordedInput | undefined;
  readonly lockdep: boolean;
  readonly checks: boolean;
  readonly failAlloc: number;
  /** Probability (0..1) of a delay behind each shared access; 0 for none. */
  readonly perturb: number;
  /** A CPU that makes no progress for so long is hung. */
  readonly hungMs: number;
  /** The command that repeats the run. */
  readonly reproduce: string;
}

export interface RecordedInput {
  readonly file: string;
  readonly program: InputProgram;
}

export const MAX_STRESS_CPUS = 16;
export const DEFAULT_PROCESSES = 6;
export const DEFAULT_PERTURB = 0.002;
export const DEFAULT_HUNG_MS = 10_000;
