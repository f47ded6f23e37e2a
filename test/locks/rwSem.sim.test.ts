import { expect } from 'vitest';
import { readOnce, store } from '../../src/arena/access.ts';
import { EINTR } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { RwSemPtr } from '../../src/layout/ids.ts';
import { CLASS_TEST_RWSEM } from '../../src/layout/lockClass.ts';
import {
  RWSEM,
  RWSEM_HANDOFF,
  RWSEM_READER,
  RWSEM_WAITERS,
  RWSEM_WORDS,
  RWSEM_WRITER,
  rwSemWriter,
} from '../../src/layout/lockWords.ts';
import { TASK } from '../../src/layout/task.ts';
import {
  downRead,
  downReadKillable,
  downReadTrylock,
  downWrite,
  downWriteKillable,
  downWriteTrylock,
  downgradeWrite,
  rwSemAssertHeld,
  rwSemAssertHeldWrite,
  rwSemInit,
  rwSemIsContended,
  rwSemIsLocked,
  upRead,
  upWrite,
} from '../../src/locks/rwSem.ts';
import { killTask } from '../../src/locks/sleep.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { messageOf } from './suite/thrown.ts';

function newSem(kernel: Kernel): Sim<RwSemPtr> {
  const sem = kernel.words(RWSEM_WORDS) as RwSemPtr;
  rwSemInit(kernel.heap, sem, CLASS_TEST_RWSEM);
  return sem;
}

function count(kernel: Kernel, sem: RwSemPtr): Sim<number> {
  return readOnce(kernel.heap, sem + RWSEM.count);
}

simTest('rwsem: readers share, the count tells how many', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const other = kernel.taskOn(2);
  const sem = newSem(kernel);
  downRead(task, sem);
  downRead(other, sem);
  expect(count(kernel, sem)).toBe(2 * RWSEM_READER);
  expect(rwSemWriter(kernel.heap, sem)).toBe(0);
  rwSemAssertHeld(task, sem);
  expect(() => rwSemAssertHeldWrite(task, sem)).toThrow('an rwsem that must be held for write is not');
  upRead(task, sem);
  upRead(other, sem);
  expect(rwSemIsLocked(kernel.heap, sem)).toBe(false);
  expect(() => rwSemAssertHeld(task, sem)).toThrow('an rwsem that must be held is not');
});

simTest('rwsem: trylocks fail against a writer', (kernel: Kernel): Sim<void> => {
  const other = kernel.taskOn(2);
  const sem = newSem(kernel);
  downWrite(kernel.task, sem);
  rwSemAssertHeldWrite(kernel.task, sem);
  expect(downReadTrylock(other, sem)).toBe(false);
  expect(downWriteTrylock(other, sem)).toBe(false);
  expect(count(kernel, sem)).toBe(RWSEM_WRITER);
  expect(rwSemIsContended(kernel.heap, sem)).toBe(false);
  upWrite(kernel.task, sem);
  expect(downWriteTrylock(other, sem)).toBe(true);
  expect(rwSemWriter(kernel.heap, sem)).toBe(other.id);
  upWrite(other, sem);
});

simTest('rwsem: a write trylock fails against a reader, a read trylock does not', (kernel: Kernel): Sim<void> => {
  const other = kernel.taskOn(2);
  const sem = newSem(kernel);
  downRead(kernel.task, sem);
  expect(downWriteTrylock(other, sem)).toBe(false);
  expect(downReadTrylock(other, sem)).toBe(true);
  upRead(other, sem);
  upRead(kernel.task, sem);
});

simTest('rwsem: trylocks fail when somebody merely waits or is to be handed the lock', (kernel: Kernel): Sim<void> => {
  const sem = newSem(kernel);
  for (const bit of [RWSEM_WAITERS, RWSEM_HANDOFF]) {
    store(kernel.heap, sem + RWSEM.count, bit);
    expect(downReadTrylock(kernel.task, sem)).toBe(false);
    expect(downWriteTrylock(kernel.task, sem)).toBe(false);
    expect(count(kernel, sem)).toBe(bit);
  }
});

simTest('rwsem: a downgraded writer is a reader', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const other = kernel.taskOn(2);
  const sem = newSem(kernel);
  downWrite(task, sem);
  downgradeWrite(task, sem);
  expect(count(kernel, sem)).toBe(RWSEM_READER);
  expect(downWriteTrylock(other, sem)).toBe(false);
  expect(downReadTrylock(other, sem)).toBe(true);
  upRead(other, sem);
  upRead(task, sem);
  expect(count(kernel, sem)).toBe(0);
});

simTest('rwsem: a pending fatal signal ends a killable wait before it begins', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const victim = kernel.taskOn(2);
  const sem = newSem(kernel);
  killTask(task, victim.id);
  downWrite(task, sem);
  expect(downReadKillable(victim, sem)).toBe(-EINTR);
  expect(downWriteKillable(victim, sem)).toBe(-EINTR);
  expect(count(kernel, sem)).toBe(RWSEM_WRITER);
  expect(rwSemIsContended(kernel.heap, sem)).toBe(false);
  expect(readOnce(kernel.heap, victim.ptr + TASK.blockedOn)).toBe(0);
  upWrite(task, sem);
});

simTest(
  'rwsem: a pending fatal signal does not matter when there is nothing to wait for',
  (kernel: Kernel): Sim<void> => {
    const sem = newSem(kernel);
    killTask(kernel.task, kernel.task.id);
    expect(downReadKillable(kernel.task, sem)).toBe(0);
    upRead(kernel.task, sem);
    expect(downWriteKillable(kernel.task, sem)).toBe(0);
    upWrite(kernel.task, sem);
  },
);

simTest('rwsem: releases without a hold are refused', (kernel: Kernel): Sim<void> => {
  const sem = newSem(kernel);
  const other = kernel.taskOn(2);
  let message = '';
  try {
    upRead(kernel.task, sem);
  } catch (error) {
    message = messageOf(error);
  }
  expect(message).toBe('upRead: nobody holds the lock for read');
  rwSemInit(kernel.heap, sem, CLASS_TEST_RWSEM);
  downWrite(kernel.task, sem);
  try {
    upWrite(other, sem);
  } catch (error) {
    message = messageOf(error);
  }
  expect(message).toBe('upWrite: the lock is not held for write by this task');
  try {
    downgradeWrite(other, sem);
  } catch (error) {
    message = messageOf(error);
  }
  expect(message).toBe('downgradeWrite: the lock is not held for write by this task');
});
