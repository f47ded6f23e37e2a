/**
 * What an exploration runs on, and what it may find. The explorer knows neither machines nor kernels: a world is put back
 * to its start before each execution and gives each thread its argument.
 */

import type { Heap } from '../arena/heap.ts';
import type { Violation } from '../base/finding.ts';
import type { Sim } from '../base/sim.ts';
import type { WordNames } from '../check/wordNames.ts';
import type { LockStatsHook } from '../cpu/hooks.ts';

/** Receives what a detector found, at the moment it is true; the execution ends at the next point. */
export type ViolationSink = (violation: Violation) => void;

export interface World<T> {
  /** The memory that the threads share. */
  readonly heap: Heap;
  /** Puts everything back as it was after the set-up. */
  restore(): void;
  /** Argument of a thread for the execution that begins: `current` for simulated kernel code. */
  task(index: number): T;
  /** What a sleeping thread waits for, for reports; `word` is what it sleeps on. */
  describeWait?(index: number, word: number): WaitDescription;
  /** Names for the words of the memory, for reports. */
  readonly names?: WordNames;
  /** The lock (its first word) that a sleeping thread waits for; 0 if it waits for none. */
  waitsFor?(index: number): number;
  /** Threads of the executions to come tell `hook` of their lock operations; null: no longer. */
  watchLocks?(hook: LockStatsHook | null): void;
}

export interface WaitDescription {
  /** What a task does: `waits for mmap_lock (lock at word 1234)`. */
  readonly text: string;
  /** What makes it the same wait elsewhere: a lock class, never an address. */
  readonly signature: string;
  /** Threads that have it, as far as that is known. */
  readonly holders?: readonly number[];
  /** It is a lock that is waited for. */
  readonly lock?: boolean;
}

/** One thread of a program. */
export type Thread<T> = (task: T) => Sim<void>;

/** How an execution can end. `pruned`: the strategy gave it up, because whatever follows has been run in another order. */
export const VERDICTS = ['done', 'violation', 'assertion', 'crash', 'deadlock', 'livelock', 'pruned'] as const;

export type Verdict = (typeof VERDICTS)[number];
