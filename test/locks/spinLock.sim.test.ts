import { expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { SpinLockPtr } from '../../src/layout/ids.ts';
import { CLASS_TEST_SPIN } from '../../src/layout/lockClass.ts';
import { SPIN_WORDS, spinLockClass, spinLockOwner } from '../../src/layout/lockWords.ts';
import {
  spinAssertHeld,
  spinIsLocked,
  spinLock,
  spinLockInit,
  spinTryLock,
  spinUnlock,
} from '../../src/locks/spinLock.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { messageOf } from './suite/thrown.ts';

function newLock(kernel: Kernel): Sim<SpinLockPtr> {
  const lock = kernel.words(SPIN_WORDS) as SpinLockPtr;
  spinLockInit(kernel.heap, lock, CLASS_TEST_SPIN);
  return lock;
}

simTest('spinlock: lock and unlock', (kernel: Kernel): Sim<void> => {
  const { heap, task } = kernel;
  const lock = newLock(kernel);
  expect(spinLockClass(heap, lock)).toBe(CLASS_TEST_SPIN);
  spinLock(task, lock);
  expect(spinIsLocked(heap, lock)).toBe(true);
  expect(spinLockOwner(heap, lock)).toBe(task.id);
  expect(task.preemptCount).toBe(1);
  spinAssertHeld(task, lock);
  spinUnlock(task, lock);
  expect(spinIsLocked(heap, lock)).toBe(false);
  expect(spinLockOwner(heap, lock)).toBe(0);
  expect(task.preemptCount).toBe(0);
});

simTest(
  'spinlock: a trylock fails while another task holds the lock, and changes nothing',
  (kernel: Kernel): Sim<void> => {
    const lock = newLock(kernel);
    const other = kernel.taskOn(2);
    spinLock(kernel.task, lock);
    expect(spinTryLock(other, lock)).toBe(false);
    expect(other.preemptCount).toBe(0);
    expect(spinLockOwner(kernel.heap, lock)).toBe(kernel.task.id);
    spinUnlock(kernel.task, lock);
    expect(spinTryLock(other, lock)).toBe(true);
    expect(other.preemptCount).toBe(1);
    spinUnlock(other, lock);
  },
);

simTest('spinlock: only its holder may unlock it', (kernel: Kernel): Sim<void> => {
  const lock = newLock(kernel);
  let message = '';
  try {
    spinUnlock(kernel.task, lock);
  } catch (error) {
    message = messageOf(error);
  }
  expect(message).toBe('spinUnlock: the lock is not held by this task');
  spinLock(kernel.task, lock);
  try {
    spinUnlock(kernel.taskOn(2), lock);
  } catch (error) {
    message = messageOf(error);
  }
  expect(message).toBe('spinUnlock: the lock is not held by this task');
  expect(() => spinAssertHeld(kernel.taskOn(2), lock)).toThrow('a spinlock that must be held is not');
});
