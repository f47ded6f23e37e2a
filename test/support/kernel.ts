/** A small machine for tests of simulated code: memory to play in, a task per CPU, hooks on request. */

import { userBase } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import type { CheckHook, LockdepHook, LockStatsHook } from '../../src/cpu/hooks.ts';
import { SMALL_MACHINE, createMachine, type MachineSize } from '../../src/cpu/machine.ts';
import type { Access } from '../../src/base/sim.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import { bothLockdep } from '../../src/detect/heldLocks.ts';
import type { ViolationSink } from '../../src/explore/world.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';
import type { Rules } from '../../src/rules/rules.ts';

/** Words that tests may hand out, behind everything the kernel uses. */
const TEST_WORDS = 256;

export interface Hooks {
  readonly lockdep?: LockdepHook;
  readonly check?: CheckHook;
  readonly lockStats?: LockStatsHook;
}

export interface KernelOptions {
  /** Differences from SMALL_MACHINE. */
  readonly size?: Partial<MachineSize>;
  /** Those of the newest kernel by default. */
  readonly rules?: Rules;
  /** Prepares the fresh arena, once: bootMachine for tests of the mm. */
  readonly boot?: (heap: Heap) => Access<void>;
  /** Hooks for the tasks; made anew for each execution. */
  readonly hooks?: (heap: Heap, sink: ViolationSink) => Hooks;
  /** Hears of every lock beside the lockdep hook. */
  readonly locks?: LockdepHook;
  /** Seed of the tasks' generators. */
  readonly seed?: number;
  readonly failAlloc?: number;
}

export class Kernel {
  readonly heap: Heap;
  private readonly options: KernelOptions;
  private readonly sink: ViolationSink;
  private readonly tasks = new Map<number, Task>();
  private hooks: Hooks | null = null;
  private handedOut = 0;

  constructor(options: KernelOptions, sink: ViolationSink) {
    this.options = options;
    this.sink = sink;
    this.heap = createMachine({ ...SMALL_MACHINE, userWords: TEST_WORDS, ...options.size });
    options.boot?.(this.heap);
  }

  /** The task of the first CPU. */
  get task(): Task {
    return this.taskOn(1);
  }

  /** The task with this id (from 1), on CPU `id - 1`. */
  taskOn(id: number): Task {
    let task = this.tasks.get(id);
    if (task === undefined) {
      const { options, heap } = this;
      this.hooks ??= options.hooks?.(heap, this.sink) ?? {};
      const rules = options.rules ?? kernelPreset('linux-7.0').rules;
      const { hooks } = this;
      const lockdep = options.locks ? bothLockdep(hooks.lockdep ?? null, options.locks) : (hooks.lockdep ?? null);
      const { seed = 0, failAlloc = 0 } = options;
      task = createTask({ heap, id, rules, seed, failAlloc, ...hooks, lockdep });
      this.tasks.set(id, task);
    }
    return task;
  }

  /** Zeroed words for the test's own locks and data. */
  words(count: number): number {
    const at = userBase(this.heap) + this.handedOut;
    this.handedOut += count;
    if (this.handedOut > TEST_WORDS) throw new RangeError(`a test has ${TEST_WORDS} words`);
    return at;
  }

  /** The next user of a task gets a new one: its arena was put back. */
  forgetTasks(): void {
    this.tasks.clear();
    this.hooks = null;
  }
}
