import { expect } from 'vitest';
import { readOnce } from '../../src/arena/access.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, VmaPtr } from '../../src/layout/ids.ts';
import { CLASS_MMAP_LOCK } from '../../src/layout/lockClass.ts';
import { MM_WORDS, mmMmapLock } from '../../src/layout/mm.ts';
import { VMA, VMA_WORDS, setVmaMm } from '../../src/layout/vma.ts';
import {
  mmapAssertLocked,
  mmapAssertWriteLocked,
  mmapReadLock,
  mmapReadLockKillable,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteDowngrade,
  mmapWriteLock,
  mmapWriteLockKillable,
  mmapWriteLockNested,
  mmapWriteUnlock,
} from '../../src/locks/mmapLock.ts';
import { rcuReadLock, rcuReadUnlock } from '../../src/locks/rcu.ts';
import { rwSemInit } from '../../src/locks/rwSem.ts';
import {
  vmaAssertWriteLocked,
  vmaEndRead,
  vmaLockInit,
  vmaMarkAttached,
  vmaMarkDetached,
  vmaStartRead,
  vmaStartWrite,
  vmaStartWriteKillable,
} from '../../src/locks/vmaLock.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { messageOf } from './suite/thrown.ts';

interface Mapping {
  readonly mm: MmPtr;
  readonly vma: VmaPtr;
}

function newMapping(kernel: Kernel): Sim<Mapping> {
  const mm = kernel.words(MM_WORDS) as MmPtr;
  const vma = kernel.words(VMA_WORDS) as VmaPtr;
  rwSemInit(kernel.heap, mmMmapLock(mm), CLASS_MMAP_LOCK);
  setVmaMm(kernel.heap, vma, mm);
  vmaLockInit(kernel.heap, vma);
  return { mm, vma };
}

function attached(kernel: Kernel): Sim<Mapping> {
  const mapping = newMapping(kernel);
  mmapWriteLock(kernel.task, mapping.mm);
  vmaMarkAttached(kernel.task, mapping.vma);
  mmapWriteUnlock(kernel.task, mapping.mm);
  return mapping;
}

/** One try to read-lock, dropped at once. */
function canRead(task: Task, { mm, vma }: Mapping): Sim<boolean> {
  rcuReadLock(task);
  const locked = vmaStartRead(task, mm, vma);
  rcuReadUnlock(task);
  if (locked) vmaEndRead(task, vma);
  return locked;
}

simTest('vma lock: readers share and leave the count as it was', (kernel: Kernel): Sim<void> => {
  const mapping = attached(kernel);
  const { mm, vma } = mapping;
  rcuReadLock(kernel.task);
  expect(vmaStartRead(kernel.task, mm, vma)).toBe(true);
  rcuReadUnlock(kernel.task);
  expect(canRead(kernel.taskOn(2), mapping)).toBe(true);
  expect(readOnce(kernel.heap, vma + VMA.refcnt)).toBe(2);
  vmaEndRead(kernel.task, vma);
  expect(readOnce(kernel.heap, vma + VMA.refcnt)).toBe(1);
});

simTest('vma lock: a detached VMA cannot be read-locked', (kernel: Kernel): Sim<void> => {
  const mapping = newMapping(kernel);
  expect(canRead(kernel.task, mapping)).toBe(false);
  mmapWriteLock(kernel.task, mapping.mm);
  vmaMarkAttached(kernel.task, mapping.vma);
  vmaStartWrite(kernel.task, mapping.mm, mapping.vma);
  vmaMarkDetached(kernel.task, mapping.vma);
  mmapWriteUnlock(kernel.task, mapping.mm);
  expect(canRead(kernel.task, mapping)).toBe(false);
});

simTest('vma lock: the write lock lasts until the mmap lock is dropped', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const mapping = attached(kernel);
  mmapWriteLock(task, mapping.mm);
  expect(canRead(kernel.taskOn(2), mapping)).toBe(true);
  vmaStartWrite(task, mapping.mm, mapping.vma);
  vmaAssertWriteLocked(task, mapping.vma);
  expect(canRead(kernel.taskOn(2), mapping)).toBe(false);
  expect(vmaStartWriteKillable(task, mapping.mm, mapping.vma)).toBe(0);
  mmapWriteUnlock(task, mapping.mm);
  expect(canRead(kernel.taskOn(2), mapping)).toBe(true);
  expect(() => vmaAssertWriteLocked(task, mapping.vma)).toThrow('a VMA that must be write-locked is not');
});

simTest('vma lock: the write lock does not survive a downgrade', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const mapping = attached(kernel);
  mmapWriteLock(task, mapping.mm);
  vmaStartWrite(task, mapping.mm, mapping.vma);
  mmapWriteDowngrade(task, mapping.mm);
  expect(canRead(kernel.taskOn(2), mapping)).toBe(true);
  mmapAssertLocked(task, mapping.mm);
  expect(() => mmapAssertWriteLocked(task, mapping.mm)).toThrow();
  mmapReadUnlock(task, mapping.mm);
});

simTest('vma lock: a VMA of another mm is not taken', (kernel: Kernel): Sim<void> => {
  const mapping = attached(kernel);
  const other = newMapping(kernel);
  expect(canRead(kernel.task, { mm: other.mm, vma: mapping.vma })).toBe(false);
  expect(readOnce(kernel.heap, mapping.vma + VMA.refcnt)).toBe(1);
});

simTest(
  'vma lock: writing needs the mmap lock for write, detaching the VMA write lock',
  (kernel: Kernel): Sim<void> => {
    const { task } = kernel;
    const { mm, vma } = attached(kernel);
    const messages: string[] = [];
    mmapReadLock(task, mm);
    try {
      vmaStartWrite(task, mm, vma);
    } catch (error) {
      messages.push(messageOf(error));
    }
    mmapReadUnlock(task, mm);
    mmapWriteLock(task, mm);
    try {
      vmaMarkDetached(task, vma);
    } catch (error) {
      messages.push(messageOf(error));
    }
    try {
      vmaMarkAttached(task, vma);
    } catch (error) {
      messages.push(messageOf(error));
    }
    expect(messages).toEqual([
      'an rwsem that must be held for write is not',
      'a VMA that must be write-locked is not',
      'vmaMarkAttached: the VMA is attached',
    ]);
  },
);

simTest('mmap lock: its forms', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const { mm } = newMapping(kernel);
  const child = newMapping(kernel).mm;
  expect(mmapWriteLockKillable(task, mm)).toBe(0);
  mmapWriteLockNested(task, child);
  mmapAssertWriteLocked(task, child);
  expect(mmapReadTrylock(kernel.taskOn(2), mm)).toBe(false);
  mmapWriteUnlock(task, child);
  mmapWriteUnlock(task, mm);
  expect(mmapReadTrylock(task, mm)).toBe(true);
  expect(mmapReadLockKillable(kernel.taskOn(2), mm)).toBe(0);
  mmapReadUnlock(task, mm);
  mmapReadUnlock(kernel.taskOn(2), mm);
});
