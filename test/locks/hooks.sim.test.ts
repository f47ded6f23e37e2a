/** Order of hooks and locks: an acquire that may wait is told before, a trylock after, a release before. */
import { expect } from 'vitest';
import type { Heap } from '../../src/arena/heap.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { AcquireMode, LockdepHook, LockStatsHook } from '../../src/cpu/hooks.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { LockClassId, MmPtr, MutexPtr, Pfn, RwSemPtr, SpinLockPtr, VmaPtr } from '../../src/layout/ids.ts';
import {
  CLASS_MMAP_LOCK,
  CLASS_TEST_MUTEX,
  CLASS_TEST_RWSEM,
  CLASS_TEST_SPIN,
  LOCK_CLASSES,
} from '../../src/layout/lockClass.ts';
import { MM_WORDS, mmMmapLock } from '../../src/layout/mm.ts';
import { VMA_WORDS, setVmaMm } from '../../src/layout/vma.ts';
import { folioLock, folioUnlock } from '../../src/locks/folioLock.ts';
import { mmapWriteLock, mmapWriteLockNested, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { mutexInit, mutexLock, mutexLockKillable, mutexTryLock, mutexUnlock } from '../../src/locks/mutex.ts';
import { rcuBarrier, rcuReadLock, rcuReadUnlock, synchronizeRcu } from '../../src/locks/rcu.ts';
import {
  downRead,
  downReadKillable,
  downReadTrylock,
  downWrite,
  downWriteKillable,
  downWriteNestLock,
  downWriteTrylock,
  downgradeWrite,
  rwSemInit,
  upRead,
  upWrite,
} from '../../src/locks/rwSem.ts';
import { killTask } from '../../src/locks/sleep.ts';
import {
  spinIsContended,
  spinLock,
  spinLockInit,
  spinLockNestLock,
  spinTryLock,
  spinUnlock,
} from '../../src/locks/spinLock.ts';
import { vmaEndRead, vmaLockInit, vmaMarkAttached, vmaStartRead, vmaStartWrite } from '../../src/locks/vmaLock.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';

const LOCK_WORDS = 8;

/** Writes down what it is told, and whether the lock's first word was zero (free) then. */
class Recorder implements LockdepHook {
  readonly lines: string[] = [];
  private readonly heap: Heap;

  constructor(heap: Heap) {
    this.heap = heap;
  }

  acquire(task: Task, lock: number, cls: LockClassId, mode: AcquireMode): void {
    const words = [mode.trylock ? 'try' : 'acquire', LOCK_CLASSES[cls].name, ['write', 'read', 'recursive'][mode.read]];
    if (mode.subclass !== 0) words.push(`subclass ${mode.subclass}`);
    if (mode.nestLock !== 0) words.push('nested');
    this.note(task, words.join(' '), lock);
  }

  release(task: Task, lock: number): void {
    this.note(task, 'release', lock);
  }

  downgrade(task: Task, lock: number): void {
    this.note(task, 'downgrade', lock);
  }

  mightSleep(_task: Task, what: string): void {
    this.lines.push(`${what} may sleep`);
  }

  freeRange(): void {
    // Not about locks.
  }

  returnToUser(): void {
    // Not about locks.
  }

  /** What came since the last call. */
  take(): string[] {
    return this.lines.splice(0);
  }

  private note(task: Task, what: string, lock: number): void {
    this.lines.push(`${task.id}: ${what}, ${this.heap[lock] === 0 ? 'free' : 'held'}`);
  }
}

let recorder: Recorder;

function recorded(name: string, body: (kernel: Kernel) => Sim<void>): void {
  const hooks = (heap: Heap) => ({ lockdep: (recorder = new Recorder(heap)) });
  simTest(name, body, { hooks });
}

recorded('hooks: spinlock', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const lock = kernel.words(LOCK_WORDS) as SpinLockPtr;
  spinLockInit(kernel.heap, lock, CLASS_TEST_SPIN);
  spinLock(task, lock, 1);
  const failed = spinTryLock(kernel.taskOn(2), lock);
  spinUnlock(task, lock);
  const got = spinTryLock(kernel.taskOn(2), lock);
  spinUnlock(kernel.taskOn(2), lock);
  expect([failed, got]).toEqual([false, true]);
  expect(recorder.take()).toEqual([
    '1: acquire test_spin write subclass 1, free',
    '1: release, held',
    '2: try test_spin write, held',
    '2: release, held',
  ]);
  spinLockNestLock(task, lock, kernel.words(1));
  expect(spinIsContended(task, lock)).toBe(false);
  spinUnlock(task, lock);
  expect(recorder.take()).toEqual(['1: acquire test_spin write nested, free', '1: release, held']);
  expect(task.preemptCount).toBe(0);
});

recorded('hooks: rwsem', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const other = kernel.taskOn(2);
  const sem = kernel.words(LOCK_WORDS) as RwSemPtr;
  rwSemInit(kernel.heap, sem, CLASS_TEST_RWSEM);
  downRead(task, sem);
  upRead(task, sem);
  expect(recorder.take()).toEqual(['down_read may sleep', '1: acquire test_rwsem read, free', '1: release, held']);
  downWrite(task, sem, 2);
  downgradeWrite(task, sem);
  const tried = [downReadTrylock(other, sem), downWriteTrylock(other, sem)];
  expect(tried).toEqual([true, false]);
  upRead(other, sem);
  upRead(task, sem);
  expect(recorder.take()).toEqual([
    'down_write may sleep',
    '1: acquire test_rwsem write subclass 2, free',
    '1: downgrade, held',
    '2: try test_rwsem read, held',
    '2: release, held',
    '1: release, held',
  ]);
  downWriteNestLock(task, sem, kernel.words(1));
  expect(recorder.take()).toEqual(['down_write_nest_lock may sleep', '1: acquire test_rwsem write nested, free']);
});

recorded('hooks: a killed wait releases what it announced', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const victim = kernel.taskOn(2);
  const sem = kernel.words(LOCK_WORDS) as RwSemPtr;
  const mutex = kernel.words(LOCK_WORDS) as MutexPtr;
  rwSemInit(kernel.heap, sem, CLASS_TEST_RWSEM);
  mutexInit(kernel.heap, mutex, CLASS_TEST_MUTEX);
  downWrite(task, sem);
  mutexLock(task, mutex);
  killTask(task, victim.id);
  recorder.take();
  downReadKillable(victim, sem);
  downWriteKillable(victim, sem);
  mutexLockKillable(victim, mutex);
  expect(recorder.take()).toEqual([
    'down_read_killable may sleep',
    '2: acquire test_rwsem read, held',
    '2: release, held',
    'down_write_killable may sleep',
    '2: acquire test_rwsem write, held',
    '2: release, held',
    'mutex_lock_killable may sleep',
    '2: acquire test_mutex write, held',
    '2: release, held',
  ]);
});

recorded('hooks: mutex', (kernel: Kernel): Sim<void> => {
  const mutex = kernel.words(LOCK_WORDS) as MutexPtr;
  mutexInit(kernel.heap, mutex, CLASS_TEST_MUTEX);
  mutexLock(kernel.task, mutex);
  const failed = mutexTryLock(kernel.taskOn(2), mutex);
  mutexUnlock(kernel.task, mutex);
  const got = mutexTryLock(kernel.taskOn(2), mutex);
  expect([failed, got]).toEqual([false, true]);
  expect(recorder.take()).toEqual([
    'mutex_lock may sleep',
    '1: acquire test_mutex write, free',
    '1: release, held',
    '2: try test_mutex write, held',
  ]);
});

recorded('hooks: VMA lock', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const mm = kernel.words(MM_WORDS) as MmPtr;
  const child = kernel.words(MM_WORDS) as MmPtr;
  const vma = kernel.words(VMA_WORDS) as VmaPtr;
  rwSemInit(kernel.heap, mmMmapLock(mm), CLASS_MMAP_LOCK);
  rwSemInit(kernel.heap, mmMmapLock(child), CLASS_MMAP_LOCK);
  setVmaMm(kernel.heap, vma, mm);
  vmaLockInit(kernel.heap, vma);
  mmapWriteLock(task, mm);
  mmapWriteLockNested(task, child);
  mmapWriteUnlock(task, child);
  vmaMarkAttached(task, vma);
  recorder.take();
  vmaStartWrite(task, mm, vma);
  vmaStartWrite(task, mm, vma);
  const failed = vmaStartRead(kernel.taskOn(2), mm, vma);
  expect(failed).toBe(false);
  mmapWriteUnlock(task, mm);
  expect(recorder.take()).toEqual([
    'vma_start_write may sleep',
    '1: acquire vm_lock write, held',
    '1: release, held',
    'vma_start_write may sleep',
    '1: release, held',
  ]);
  const got = vmaStartRead(task, mm, vma);
  expect(got).toBe(true);
  vmaEndRead(task, vma);
  expect(recorder.take()).toEqual(['1: try vm_lock read, held', '1: release, held']);
});

recorded('hooks: places that sleep without a lock of lockdep', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  folioLock(task, 3 as Pfn);
  folioUnlock(task, 3 as Pfn);
  rcuReadLock(task);
  rcuReadUnlock(task);
  synchronizeRcu(task);
  rcuBarrier(task);
  expect(recorder.take()).toEqual(['folio_lock may sleep', 'synchronize_rcu may sleep', 'rcu_barrier may sleep']);
});

class Statistics implements LockStatsHook {
  readonly lines: string[] = [];

  acquired(_task: Task, _lock: number, cls: LockClassId, contended: boolean, waitNs: number): void {
    this.lines.push(`${LOCK_CLASSES[cls].name} ${contended ? 'waited' : `at once ${waitNs}`}`);
  }

  released(_task: Task, _lock: number, cls: LockClassId): void {
    this.lines.push(`${LOCK_CLASSES[cls].name} released`);
  }
}

let statistics: Statistics;

simTest(
  'hooks: lock statistics hear of every acquire and release',
  (kernel: Kernel): Sim<void> => {
    const { heap, task } = kernel;
    const spin = kernel.words(LOCK_WORDS) as SpinLockPtr;
    const sem = kernel.words(LOCK_WORDS) as RwSemPtr;
    const mutex = kernel.words(LOCK_WORDS) as MutexPtr;
    spinLockInit(heap, spin, CLASS_TEST_SPIN);
    rwSemInit(heap, sem, CLASS_TEST_RWSEM);
    mutexInit(heap, mutex, CLASS_TEST_MUTEX);
    spinLock(task, spin);
    spinUnlock(task, spin);
    downRead(task, sem);
    upRead(task, sem);
    downWrite(task, sem);
    upWrite(task, sem);
    mutexLock(task, mutex);
    mutexUnlock(task, mutex);
    const names = ['test_spin', 'test_rwsem', 'test_rwsem', 'test_mutex'];
    expect(statistics.lines).toEqual(names.flatMap((name) => [`${name} at once 0`, `${name} released`]));
  },
  { hooks: () => ({ lockStats: (statistics = new Statistics()) }) },
);
