/** System calls as such: killed while they wait, the mmap lock after every kind of return; and the life of an mm. */
import { describe, expect } from 'vitest';
import { EINTR } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { CACHES } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { slabAllocatedCount, slabIsAllocated } from '../../src/arena/slab.ts';
import { MM, mmMmapLock } from '../../src/layout/mm.ts';
import { NO_MM } from '../../src/layout/ids.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rwSemIsLocked } from '../../src/locks/rwSem.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { mmdrop, mmgrab } from '../../src/mm/mmCount.ts';
import { mmAlloc, mmget, mmgetNotZero, mmput } from '../../src/mm/mmStruct.ts';
import { failingTask, mmTest, type Sandbox } from './sandbox.ts';
import { drawVmas, runScript, runStep } from './vmaScript.ts';

const CALLS = ['map 10 2 rw', 'unmap 1 2', 'protect 1 2 r', 'remap 0 4 2 -', 'move 0 4 20'];

describe('killed while it waits for the mmap lock', () => {
  for (const call of CALLS) {
    mmTest(call, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw\n write 0 abcd');
      mmapWriteLock(box.task2, box.mm);
      killTask(box.task3, box.task.id);
      expect(runStep(box, call.split(' '))).toBe(-EINTR);
      expect(drawVmas(box.heap, box.mm, 0, 12)).toBe('wwww........');
      mmapWriteUnlock(box.task2, box.mm);
    });
  }
});

describe('the mmap lock is free after', () => {
  const steps = [
    ...CALLS,
    'unmap 50 1',
    'remap 0 4 8 -',
    'remap 0 4 8 M',
    'remap 0 4 4 -',
    'remap 50 1 2 M',
    'remap 0 2 4 -',
    'remap 0 4 1 MF 20',
    'remap 0 4 4 MD',
    'remap 0 8 4 -',
    'move 50 2 20',
    'protect 3 2 r',
  ];
  for (const step of steps) {
    for (const failing of [false, true]) {
      mmTest(`${step}${failing ? ', out of memory' : ''}`, (box: Sandbox): Sim<void> => {
        runScript(box, 'map 0 4 rw\n write 0 abcd');
        runStep(failing ? { ...box, task: failingTask(box.task, 0, 100) } : box, step.split(' '));
        expect(rwSemIsLocked(box.heap, mmMmapLock(box.mm))).toBe(false);
      });
    }
  }
});

/** Read from outside, as a detector does. */
function word(heap: Heap, at: number): number {
  return heap[at];
}

describe('an mm', () => {
  mmTest('has users and references', (box: Sandbox): Sim<void> => {
    const { heap, task } = box;
    const mm = mmAlloc(task);
    expect([word(heap, mm + MM.users), word(heap, mm + MM.count)]).toEqual([1, 1]);
    expect(word(heap, mm + MM.asid)).not.toBe(word(heap, box.mm + MM.asid));
    mmget(task, mm);
    expect(mmgetNotZero(task, mm)).toBe(true);
    expect(word(heap, mm + MM.users)).toBe(3);
    mmgrab(task, mm);
    for (let i = 0; i < 3; i++) mmput(task, mm);
    expect(mmgetNotZero(task, mm)).toBe(false);
    expect(slabIsAllocated(heap, mm)).toBe(true);
    mmdrop(task, mm);
    expect(slabIsAllocated(heap, mm)).toBe(false);
  });
  mmTest('is not made without memory', (box: Sandbox): Sim<void> => {
    const before = slabAllocatedCount(box.heap, CACHES.mm);
    for (const n of [0, 1]) expect(mmAlloc(failingTask(box.task, n))).toBe(NO_MM);
    expect(slabAllocatedCount(box.heap, CACHES.mm)).toBe(before);
  });
});
