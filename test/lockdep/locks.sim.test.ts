/** Lockdep behind real locks, on threads and explored: what the locks tell it is what it needs. */
import { expect } from 'vitest';
import type { Heap } from '../../src/arena/heap.ts';
import type { Access, Sim } from '../../src/base/sim.ts';
import { SMALL_MACHINE } from '../../src/cpu/machine.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { ViolationSink } from '../../src/explore/world.ts';
import type { MutexPtr, RwSemPtr, SpinLockPtr } from '../../src/layout/ids.ts';
import {
  CLASS_ANON_VMA_SPIN,
  CLASS_MMAP_LOCK,
  CLASS_TEST_MUTEX,
  CLASS_TEST_RWSEM,
  CLASS_TEST_SPIN,
} from '../../src/layout/lockClass.ts';
import { createLockdep } from '../../src/lockdep/lockdep.ts';
import { initLockdep, lockdepWords } from '../../src/lockdep/section.ts';
import { mutexInit, mutexLock, mutexTryLock, mutexUnlock } from '../../src/locks/mutex.ts';
import { rcuReadLock, rcuReadUnlock } from '../../src/locks/rcu.ts';
import {
  downRead,
  downReadTrylock,
  downWrite,
  downWriteNestLock,
  downgradeWrite,
  rwSemInit,
  upRead,
  upWrite,
} from '../../src/locks/rwSem.ts';
import { spinLock, spinLockInit, spinTryLock, spinUnlock } from '../../src/locks/spinLock.ts';
import { lockdepViolation } from '../../src/report/lockdepViolation.ts';
import { describeHeldLocks } from '../../src/report/lockdepHeld.ts';
import type { Kernel, KernelOptions } from '../support/kernel.ts';
import { simConcurrent, simExplore } from '../support/simConcurrent.ts';
import { simTest } from '../support/simTest.ts';

function prepareLockdep(heap: Heap): Access<void> {
  initLockdep(heap);
}

const WITH_LOCKDEP: KernelOptions = {
  size: { lockdepWords: lockdepWords(SMALL_MACHINE.cpus) },
  boot: prepareLockdep,
  hooks: (heap: Heap, sink: ViolationSink) => ({
    lockdep: createLockdep(heap, (report) => sink(lockdepViolation(report))),
  }),
};

interface Locks {
  readonly mutex: MutexPtr;
  readonly mmap: RwSemPtr;
  readonly first: RwSemPtr;
  readonly second: RwSemPtr;
  readonly spin: SpinLockPtr;
  readonly parent: SpinLockPtr;
  readonly child: SpinLockPtr;
}

function makeLocks(kernel: Kernel): Sim<Locks> {
  const { heap } = kernel;
  const at = kernel.words(64);
  const locks: Locks = {
    mutex: at as MutexPtr,
    mmap: (at + 8) as RwSemPtr,
    first: (at + 16) as RwSemPtr,
    second: (at + 24) as RwSemPtr,
    spin: (at + 32) as SpinLockPtr,
    parent: (at + 40) as SpinLockPtr,
    child: (at + 48) as SpinLockPtr,
  };
  mutexInit(heap, locks.mutex, CLASS_TEST_MUTEX);
  rwSemInit(heap, locks.mmap, CLASS_MMAP_LOCK);
  rwSemInit(heap, locks.first, CLASS_TEST_RWSEM);
  rwSemInit(heap, locks.second, CLASS_TEST_RWSEM);
  spinLockInit(heap, locks.spin, CLASS_TEST_SPIN);
  spinLockInit(heap, locks.parent, CLASS_ANON_VMA_SPIN);
  spinLockInit(heap, locks.child, CLASS_ANON_VMA_SPIN);
  return locks;
}

/** Every primitive in a legal order. */
function goodCitizen(task: Task, locks: Locks): Sim<void> {
  downWrite(task, locks.mmap);
  mutexLock(task, locks.mutex);
  downWriteNestLock(task, locks.first, locks.mmap);
  downWriteNestLock(task, locks.second, locks.mmap);
  spinLock(task, locks.spin);
  spinUnlock(task, locks.spin);
  upWrite(task, locks.first);
  upWrite(task, locks.second);
  mutexUnlock(task, locks.mutex);
  downgradeWrite(task, locks.mmap);
  rcuReadLock(task);
  if (downReadTrylock(task, locks.first)) upRead(task, locks.first);
  rcuReadUnlock(task);
  upRead(task, locks.mmap);
  downRead(task, locks.mmap);
  if (mutexTryLock(task, locks.mutex)) {
    spinLock(task, locks.parent);
    spinLock(task, locks.child, 1);
    spinUnlock(task, locks.parent);
    spinUnlock(task, locks.child);
    mutexUnlock(task, locks.mutex);
  }
  if (spinTryLock(task, locks.spin)) spinUnlock(task, locks.spin);
  upRead(task, locks.mmap);
  task.lockdep!.returnToUser(task);
}

simConcurrent('lockdep: locks taken in order are not worth a word', {
  ...WITH_LOCKDEP,
  setup: makeLocks,
  threads: [goodCitizen, goodCitizen, goodCitizen],
  executions: 60,
});

simTest(
  'lockdep: the held stack is in the arena while locks are held',
  (kernel: Kernel): Sim<void> => {
    const locks = makeLocks(kernel);
    const { task, heap } = kernel;
    downRead(task, locks.mmap);
    spinLock(task, locks.spin);
    const lines = describeHeldLocks(heap, task.id).map((line) => line.replace(/^.*?\((.*?)\).*$/, '$1'));
    expect(lines).toEqual(['2 locks held by task/1:', '&mm->mmap_lock', 'test_spin']);
    spinUnlock(task, locks.spin);
    upRead(task, locks.mmap);
    expect(describeHeldLocks(heap, task.id)).toEqual(['no locks held by task/1.']);
  },
  WITH_LOCKDEP,
);

function mmapThenMutex(task: Task, { mmap, mutex }: Locks): Sim<void> {
  downRead(task, mmap);
  mutexLock(task, mutex);
  mutexUnlock(task, mutex);
  upRead(task, mmap);
}

function mutexThenMmap(task: Task, { mmap, mutex }: Locks): Sim<void> {
  mutexLock(task, mutex);
  downRead(task, mmap);
  upRead(task, mmap);
  mutexUnlock(task, mutex);
}

simExplore(
  'lockdep: a reversed order is found in the first execution, whether or not it deadlocks there',
  { ...WITH_LOCKDEP, setup: makeLocks, threads: [mmapThenMutex, mutexThenMmap], executions: 1 },
  ({ firstFailure }) => {
    const [violation] = firstFailure!.violations;
    expect(violation).toMatchObject({
      kind: 'lock-order',
      signature: 'circular: &mm->mmap_lock -> test_mutex -> &mm->mmap_lock',
    });
    expect(violation.evidence.join('\n')).toMatch(
      /(mmapThenMutex|mutexThenMmap) \(test\/lockdep\/locks\.sim\.test\.ts/,
    );
  },
);

function parentThenChild(task: Task, { parent, child }: Locks): Sim<void> {
  spinLock(task, parent);
  spinLock(task, child, 1);
  spinUnlock(task, child);
  spinUnlock(task, parent);
}

function childThenParent(task: Task, { parent, child }: Locks): Sim<void> {
  spinLock(task, child);
  spinLock(task, parent, 1);
  spinUnlock(task, parent);
  spinUnlock(task, child);
}

simExplore(
  'lockdep: so is one between two locks of a class, which the annotation hides from classes',
  { ...WITH_LOCKDEP, setup: makeLocks, threads: [parentThenChild, childThenParent], executions: 1 },
  ({ firstFailure }) => {
    const [violation] = firstFailure!.violations;
    expect(violation).toMatchObject({
      kind: 'lock-order',
      signature: 'instance-order: &anon_vma->lock, childThenParent, parentThenChild',
    });
  },
);
