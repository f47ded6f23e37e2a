import { expect } from 'vitest';
import { store } from '../../src/arena/access.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabIsAllocated } from '../../src/arena/slab.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc } from '../../src/cpu/alloc.ts';
import { GLOBAL, globalAt } from '../../src/layout/globals.ts';
import { taskRcuNesting } from '../../src/layout/task.ts';
import { callRcu, rcuAssertHeld, rcuBarrier, rcuReadLock, rcuReadUnlock, synchronizeRcu } from '../../src/locks/rcu.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { messageOf } from './suite/thrown.ts';

const CACHE = CACHES.anonVmaChain;

simTest('rcu: read sections nest', (kernel: Kernel): Sim<void> => {
  const { heap, task } = kernel;
  rcuReadLock(task);
  rcuReadLock(task);
  expect(taskRcuNesting(heap, task.ptr)).toBe(2);
  rcuReadUnlock(task);
  rcuAssertHeld(task);
  rcuReadUnlock(task);
  expect(taskRcuNesting(heap, task.ptr)).toBe(0);
  expect(() => rcuAssertHeld(task)).toThrow('an RCU read section is needed here');
});

simTest(
  'rcu: a grace period passes when nobody reads, whatever the other CPUs do not do',
  (kernel: Kernel): Sim<void> => {
    for (const period of [0, 1, 1000]) {
      store(kernel.heap, globalAt(kernel.heap, GLOBAL.rcuPeriod), period);
      synchronizeRcu(kernel.task);
    }
  },
);

simTest('rcu: a deferred free happens at once when nobody reads', (kernel: Kernel): Sim<void> => {
  const ptr = kmemCacheAlloc(kernel.task, CACHE);
  callRcu(kernel.task, CACHE, ptr);
  expect(slabIsAllocated(kernel.heap, ptr)).toBe(false);
});

simTest('rcu: a deferred free waits for the reader on another CPU', (kernel: Kernel): Sim<void> => {
  const { heap, task } = kernel;
  const reader = kernel.taskOn(2);
  const [first, second, third] = [
    kmemCacheAlloc(task, CACHE),
    kmemCacheAlloc(task, CACHE),
    kmemCacheAlloc(task, CACHE),
  ];
  rcuReadLock(reader);
  callRcu(task, CACHE, first);
  callRcu(task, CACHE, second);
  expect([first, second].map((ptr) => slabIsAllocated(heap, ptr))).toEqual([true, true]);
  rcuReadUnlock(reader);
  // Nobody drives grace periods: the next one who defers looks.
  callRcu(task, CACHE, third);
  expect([first, second, third].map((ptr) => slabIsAllocated(heap, ptr))).toEqual([false, false, false]);
});

simTest('rcu: a reader that came after the unlinking holds up nothing', (kernel: Kernel): Sim<void> => {
  const { heap, task } = kernel;
  const [early, late] = [kernel.taskOn(2), kernel.taskOn(3)];
  const [first, second] = [kmemCacheAlloc(task, CACHE), kmemCacheAlloc(task, CACHE)];
  rcuReadLock(early);
  callRcu(task, CACHE, first);
  rcuReadLock(late);
  rcuReadUnlock(early);
  callRcu(task, CACHE, second);
  expect([first, second].map((ptr) => slabIsAllocated(heap, ptr))).toEqual([false, true]);
  rcuReadUnlock(late);
  rcuBarrier(task);
  expect(slabIsAllocated(heap, second)).toBe(false);
});

simTest('rcu: a free deferred inside the own read section waits for its end', (kernel: Kernel): Sim<void> => {
  const { heap, task } = kernel;
  const ptr = kmemCacheAlloc(task, CACHE);
  rcuReadLock(task);
  callRcu(task, CACHE, ptr);
  expect(slabIsAllocated(heap, ptr)).toBe(true);
  rcuReadUnlock(task);
  synchronizeRcu(task);
  expect(slabIsAllocated(heap, ptr)).toBe(false);
});

simTest('rcu: rcuBarrier frees what a CPU deferred that does nothing any more', (kernel: Kernel): Sim<void> => {
  const { heap } = kernel;
  const gone = kernel.taskOn(3);
  const ptr = kmemCacheAlloc(gone, CACHE);
  rcuReadLock(gone);
  callRcu(gone, CACHE, ptr);
  rcuReadUnlock(gone);
  expect(slabIsAllocated(heap, ptr)).toBe(true);
  rcuBarrier(kernel.task);
  expect(slabIsAllocated(heap, ptr)).toBe(false);
});

simTest('rcu: mistakes are refused', (kernel: Kernel): Sim<void> => {
  const { task } = kernel;
  const messages: string[] = [];
  try {
    rcuReadUnlock(task);
  } catch (error) {
    messages.push(messageOf(error));
  }
  rcuReadLock(task);
  try {
    synchronizeRcu(task);
  } catch (error) {
    messages.push(messageOf(error));
  }
  const ptr = kmemCacheAlloc(task, CACHE);
  try {
    callRcu(task, CACHES.vma, ptr);
  } catch (error) {
    messages.push(messageOf(error));
  }
  expect(messages).toEqual([
    'rcuReadUnlock outside of a read section',
    'synchronizeRcu inside a read section would wait for itself',
    'callRcu: the object is not of this cache',
  ]);
});
