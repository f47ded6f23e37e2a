/** What the main thread hands to the worker of a simulated CPU, and what comes back. */

import type { MessagePort } from 'node:worker_threads';
import type { Violation } from '../../src/base/finding.ts';
import type { CheckCounts } from '../../src/check/watch.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { InputProgram } from '../input/inputProgram.ts';
import type { InputResult } from '../input/inputRun.ts';
import type { Scene } from '../../src/report/sceneDocument.ts';
import type { Mix } from '../mix.ts';
import type { SectionShape } from '../section.ts';

export interface CpuData {
  readonly buffer: SharedArrayBuffer;
  readonly shape: SectionShape;
  /** Task id: 1 .. cpus. */
  readonly id: number;
  readonly seed: number;
  readonly rules: Rules;
  readonly mix: Mix;
  /** A recorded program to run in place of the mix. */
  readonly program: InputProgram | null;
  readonly lockdep: boolean;
  readonly checks: boolean;
  readonly failAlloc: number;
  readonly checkIntervalMs: number;
  readonly opLimit: number;
  /** Probability (0..1) of a delay behind each shared access; 0 for none. */
  readonly perturb: number;
  readonly port: MessagePort;
}

/** Sent the moment something is found; `who` are the operations in flight and just before. */
export interface ViolationMessage {
  readonly violation: Violation;
  readonly cpu: number;
  readonly who: readonly string[];
  /** Where the violation has a place. */
  readonly scene?: Scene | undefined;
}

export interface CpuResult {
  readonly cpu: number;
  /** `done`: ran to the end; `aborted`: unwound because the run was stopped; `failed`: a violation ended it. */
  readonly outcome: 'done' | 'aborted' | 'failed';
  readonly checkCounts: CheckCounts;
  readonly injectedFailures: number;
  /** Of a recorded program. */
  readonly input: InputResult | null;
}
