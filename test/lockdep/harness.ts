/** A machine with lockdep on, and locks that are nothing but addresses: the rules see hooks, never a lock word. */
import { HEADER } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import type { AcquireMode, LockdepHook } from '../../src/cpu/hooks.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import type { LockClassId } from '../../src/layout/ids.ts';
import { createLockdep, type LockdepOptions } from '../../src/lockdep/lockdep.ts';
import type { LockdepReport } from '../../src/lockdep/report.ts';
import { LOCKDEP_SMALL, initLockdep, lockdepWords, type LockdepSize } from '../../src/lockdep/section.ts';
import { DEFAULT_KERNEL } from '../../src/rules/presets.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';

const LOCK_WORDS = 8;
const LOCKS = 128;

/** A lock of the tests: its address and its class. */
export interface TestLock {
  readonly at: number;
  readonly cls: LockClassId;
}

export interface Machine {
  readonly heap: Heap;
  readonly tasks: readonly Task[];
  readonly hook: LockdepHook;
  /** What lockdep said, oldest first. */
  readonly reports: LockdepReport[];
  /** The n-th lock of a class. */
  readonly lock: (cls: LockClassId, n?: number) => TestLock;
}

export function createTestHeap(size: LockdepSize = LOCKDEP_SMALL): Heap {
  const cpus = SMALL_MACHINE.cpus;
  const heap = createMachine({
    ...SMALL_MACHINE,
    lockdepWords: lockdepWords(cpus, size),
    userWords: LOCKS * LOCK_WORDS,
  });
  initLockdep(heap, size);
  return heap;
}

/** Lockdep over `heap`, as one of the threads that share it would have it. */
export function attachMachine(heap: Heap, options: LockdepOptions = {}): Machine {
  const reports: LockdepReport[] = [];
  const hook = createLockdep(heap, (report) => reports.push(report), options);
  const { rules } = kernelPreset(DEFAULT_KERNEL);
  const tasks = [1, 2, 3, 4].map((id) => createTask({ heap, id, rules, seed: 0, lockdep: hook }));
  const numbers = new Map<string, number>();
  const lock = (cls: LockClassId, n = 0): TestLock => {
    const key = `${cls}/${n}`;
    if (!numbers.has(key)) numbers.set(key, numbers.size);
    return { at: heap[HEADER.userBase] + numbers.get(key)! * LOCK_WORDS, cls };
  };
  return { heap, tasks, hook, reports, lock };
}

export function createTestMachine(options: LockdepOptions & { size?: LockdepSize } = {}): Machine {
  const { size, ...rest } = options;
  return attachMachine(createTestHeap(size), rest);
}

export function mode(given: Partial<AcquireMode> = {}): AcquireMode {
  return { read: 0, trylock: false, subclass: 0, nestLock: 0, ...given };
}

/** Takes locks in order, all in one mode. */
export function take(
  { hook }: Machine,
  task: Task,
  locks: readonly TestLock[],
  given: Partial<AcquireMode> = {},
): void {
  for (const { at, cls } of locks) hook.acquire(task, at, cls, mode(given));
}

/** Releases locks, the newest first. */
export function drop({ hook }: Machine, task: Task, locks: readonly TestLock[]): void {
  for (const { at } of locks.toReversed()) hook.release(task, at);
}

export function kindsOf({ reports }: Machine): string[] {
  return reports.map(({ kind }) => kind);
}
