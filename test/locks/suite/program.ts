/**
 * Programs that every lock must survive, written once: the explorer runs them under many schedules, worker threads for
 * real. A program is simulated code over a few words of a machine.
 */

import { load, readOnce, store } from '../../../src/arena/access.ts';
import { assert } from '../../../src/base/assert.ts';
import type { Sim } from '../../../src/base/sim.ts';
import type { MachineSize } from '../../../src/cpu/machine.ts';
import { cpuRelax } from '../../../src/cpu/platform.ts';
import type { Task } from '../../../src/cpu/task.ts';
import type { MmPtr, Pfn, TaskId, VmaPtr } from '../../../src/layout/ids.ts';
import { TASK, taskAt } from '../../../src/layout/task.ts';

/** What the threads of a program share. */
export interface Ground {
  /** First of GROUND_WORDS zeroed words. */
  readonly at: number;
  /** How often each thread does its part. */
  readonly rounds: number;
}

export interface LockProgram {
  readonly name: string;
  readonly size?: Partial<MachineSize>;
  /** Prepares the words, alone. */
  readonly setUp: (task: Task, ground: Ground) => Sim<void>;
  /** Thread i runs as task i + 1. */
  readonly threads: readonly ((task: Task, ground: Ground) => Sim<void>)[];
  /** What must hold at the end, alone. */
  readonly check: (task: Task, ground: Ground) => Sim<void>;
  /** Threads wait for each other and do their part once: `rounds` is not looked at. */
  readonly directed?: boolean;
}

export const GROUND_WORDS = 192;

/** The words of a program: two locks of any family, data, one mm, two VMAs. */
export const LOCK = 0;
export const LOCK2 = 16;
export const INSIDE = 32;
export const COUNT = 33;
export const FLAG = 36;
export const DATA = 40;
const MM_AT = 64;
const VMA_AT = 128;

/** The folio that programs lock, and another one of the same wait bucket in a machine with one bucket. */
export const FOLIO = 3 as Pfn;
export const OTHER_FOLIO = 4 as Pfn;

export function groundMm(ground: Ground): MmPtr {
  return (ground.at + MM_AT) as MmPtr;
}
export function otherMm(ground: Ground): MmPtr {
  return (ground.at + MM_AT + 32) as MmPtr;
}
export function groundVma(ground: Ground): VmaPtr {
  return (ground.at + VMA_AT) as VmaPtr;
}

/** A section in which nobody else may be; counts its visits. */
export function stayAlone(task: Task, ground: Ground): Sim<void> {
  const { heap } = task;
  const { at } = ground;
  assert(load(heap, at + INSIDE) === 0, 'two tasks are in the section');
  store(heap, at + INSIDE, task.id);
  store(heap, at + COUNT, load(heap, at + COUNT) + 1);
  assert(load(heap, at + INSIDE) === task.id, 'somebody came into the section');
  store(heap, at + INSIDE, 0);
}

/** Waits until a word has a value. */
export function untilWord(task: Task, at: number, value: number): Sim<void> {
  while (readOnce(task.heap, at) !== value) cpuRelax(task);
}

/** Waits until a task sleeps for a lock (or is about to: it stands in the queue). */
export function untilBlocked(task: Task, id: number, lock: number): Sim<void> {
  untilWord(task, taskAt(task.heap, id as TaskId) + TASK.blockedOn, lock);
}
