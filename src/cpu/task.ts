/**
 * The task that runs on a simulated CPU: the kernel's `current`. First parameter of everything in locks and mm.
 * What others must see of it lies in the arena (src/layout/task.ts); what only it needs is here.
 */

import { Prng } from '../base/prng.ts';
import type { Heap } from '../arena/heap.ts';
import { taskAt } from '../layout/task.ts';
import { NO_MM, type MmPtr, type TaskId, type TaskPtr } from '../layout/ids.ts';
import type { Rules } from '../rules/rules.ts';
import { guardHook } from './hookGuard.ts';
import type { CheckHook, LockdepHook, LockStatsHook } from './hooks.ts';

export interface Task {
  readonly heap: Heap;
  /** 1 .. cpus. */
  readonly id: TaskId;
  /** id - 1: the CPU it runs on for the whole run. */
  readonly cpu: number;
  readonly ptr: TaskPtr;
  readonly rules: Rules;
  readonly prng: Prng;
  readonly lockdep: LockdepHook | null;
  readonly check: CheckHook | null;
  readonly lockStats: LockStatsHook | null;
  /** Probability (0..1) that an allocation fails although there is memory. */
  readonly failAlloc: number;
  /** Explored: the schedule chooses which allocations fail. */
  readonly chooseFailures: boolean;
  /** Address space it runs in; 0 for a kernel thread. */
  mm: MmPtr;
  /** Spinlocks held + explicit preempt_disable. */
  preemptCount: number;
  /** Interrupts off (GUP-fast). */
  irqsOff: boolean;
  /** Allocations that were made to fail. */
  injectedFailures: number;
  /** CPUs that owe a TLB flush for entries this task unmapped in a batch (current->tlb_ubc): bit n for CPU n. */
  deferredFlushCpus: number;
  /** Value of the last successful userRead. */
  loaded: number;
}

export interface TaskOptions {
  readonly heap: Heap;
  readonly id: number;
  readonly rules: Rules;
  readonly seed: number;
  readonly lockdep?: LockdepHook | null;
  readonly check?: CheckHook | null;
  readonly lockStats?: LockStatsHook | null;
  readonly failAlloc?: number;
  readonly chooseFailures?: boolean;
}

/** Makes the task of CPU `id - 1`. Its generator is stream `id` of the seed. */
export function createTask(options: TaskOptions): Task {
  const id = options.id as TaskId;
  const { failAlloc = 0, chooseFailures = false } = options;
  return {
    heap: options.heap,
    id,
    cpu: id - 1,
    ptr: taskAt(options.heap, id),
    rules: options.rules,
    prng: Prng.fromSeed(options.seed, id),
    lockdep: guarded(options.lockdep),
    check: guarded(options.check),
    lockStats: guarded(options.lockStats),
    failAlloc,
    chooseFailures,
    mm: NO_MM,
    preemptCount: 0,
    irqsOff: false,
    injectedFailures: 0,
    deferredFlushCpus: 0,
    loaded: 0,
  };
}

function guarded<Hook extends object>(hook: Hook | null | undefined): Hook | null {
  return hook ? guardHook(hook) : null;
}

/** True if allocations of the task may fail although there is memory. */
export function mayFail(task: Task): boolean {
  return task.failAlloc > 0 || task.chooseFailures;
}

/** might_sleep(): tells lockdep that this place may sleep. */
export function mightSleep(task: Task, what: string): void {
  if (task.lockdep !== null) task.lockdep.mightSleep(task, what);
}
