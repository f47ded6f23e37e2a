import { expect } from 'vitest';
import { readOnce } from '../../src/arena/access.ts';
import { EINTR } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { MutexPtr } from '../../src/layout/ids.ts';
import { CLASS_TEST_MUTEX } from '../../src/layout/lockClass.ts';
import { MUTEX, MUTEX_WORDS, peekMutexOwner } from '../../src/layout/lockWords.ts';
import {
  mutexAssertHeld,
  mutexInit,
  mutexIsLocked,
  mutexLock,
  mutexLockKillable,
  mutexTryLock,
  mutexUnlock,
} from '../../src/locks/mutex.ts';
import { killTask } from '../../src/locks/sleep.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { messageOf } from './suite/thrown.ts';

function newMutex(kernel: Kernel): Sim<MutexPtr> {
  const mutex = kernel.words(MUTEX_WORDS) as MutexPtr;
  mutexInit(kernel.heap, mutex, CLASS_TEST_MUTEX);
  return mutex;
}

simTest('mutex: the word names the owner, a trylock fails against it', (kernel: Kernel): Sim<void> => {
  const { heap, task } = kernel;
  const other = kernel.taskOn(2);
  const mutex = newMutex(kernel);
  mutexLock(task, mutex);
  mutexAssertHeld(task, mutex);
  expect(mutexIsLocked(heap, mutex)).toBe(true);
  expect(peekMutexOwner(heap, mutex)).toBe(task.id);
  expect(mutexTryLock(other, mutex)).toBe(false);
  mutexUnlock(task, mutex);
  expect(mutexTryLock(other, mutex)).toBe(true);
  expect(() => mutexAssertHeld(task, mutex)).toThrow('a mutex that must be held is not');
  mutexUnlock(other, mutex);
  expect(mutexIsLocked(heap, mutex)).toBe(false);
});

simTest('mutex: a pending fatal signal ends a killable wait before it begins', (kernel: Kernel): Sim<void> => {
  const victim = kernel.taskOn(2);
  const mutex = newMutex(kernel);
  killTask(kernel.task, victim.id);
  mutexLock(kernel.task, mutex);
  expect(mutexLockKillable(victim, mutex)).toBe(-EINTR);
  mutexUnlock(kernel.task, mutex);
  expect(readOnce(kernel.heap, mutex + MUTEX.owner)).toBe(0);
  expect(mutexLockKillable(victim, mutex)).toBe(0);
  mutexUnlock(victim, mutex);
});

simTest('mutex: only its owner may unlock it', (kernel: Kernel): Sim<void> => {
  const mutex = newMutex(kernel);
  mutexLock(kernel.task, mutex);
  let message = '';
  try {
    mutexUnlock(kernel.taskOn(2), mutex);
  } catch (error) {
    message = messageOf(error);
  }
  expect(message).toBe('mutexUnlock: the mutex is not held by this task');
});
