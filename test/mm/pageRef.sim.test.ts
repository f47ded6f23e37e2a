/** Frames and their references. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { CACHES, pageWords } from '../../src/arena/header.ts';
import { POISON, slabAllocatedCount } from '../../src/arena/slab.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_PFN, type Pfn } from '../../src/layout/ids.ts';
import {
  PG_lru,
  PG_uptodate,
  atomicSetPageFlags,
  pageContent,
  readOncePageFlags,
  readOncePageMapping,
  readOncePageRefcount,
  setPageContent,
  writeOncePageMapping,
} from '../../src/layout/page.ts';
import { allocFrame, allocZeroedFolio, copyPageContents } from '../../src/mm/pageAlloc.ts';
import { folioGet, folioPut, folioPutRefs, folioRefAdd, folioTryGet } from '../../src/mm/pageRef.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { failingTask, mmTest, pageState, type Sandbox } from './sandbox.ts';

describe('a frame', () => {
  mmTest('comes with one reference and no history', (box: Sandbox): Sim<void> => {
    const first = allocFrame(box.task);
    setPageContent(box.heap, first, 0, 77);
    writeOncePageMapping(box.heap, first, 5);
    atomicSetPageFlags(box.heap, first, PG_lru);
    folioPut(box.task, first);
    // Last in, first out: the same frame again.
    const again = allocZeroedFolio(box.task);
    expect(again).toBe(first);
    expect(pageState(box, again)).toBe('0/1');
    expect(readOncePageMapping(box.heap, again)).toBe(0);
    expect(readOncePageFlags(box.heap, again)).toBe(PG_uptodate);
    for (let word = 0; word < pageWords(box.heap); word++) expect(pageContent(box.heap, again, word)).toBe(0);
    folioPut(box.task, again);
  });

  mmTest('is freed by its last reference and poisoned', (box: Sandbox): Sim<void> => {
    const pfn = allocFrame(box.task);
    setPageContent(box.heap, pfn, 1, 5);
    folioGet(box.task, pfn);
    folioRefAdd(box.task, pfn, 1024);
    folioPut(box.task, pfn);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(2);
    folioPutRefs(box.task, pfn, 1024);
    expect(pageContent(box.heap, pfn, 1)).toBe(5);
    folioPut(box.task, pfn);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1);
    expect(pageContent(box.heap, pfn, 1)).toBe(POISON);
  });

  mmTest('that is free cannot be referenced', (box: Sandbox): Sim<void> => {
    const pfn = allocFrame(box.task);
    expect(folioTryGet(box.task, pfn)).toBe(true);
    folioPutRefs(box.task, pfn, 2);
    expect(folioTryGet(box.task, pfn)).toBe(false);
    expect(readOncePageRefcount(box.heap, pfn)).toBe(0);
  });

  mmTest('is refused when memory is short', (box: Sandbox): Sim<void> => {
    expect(allocFrame(failingTask(box.task, 0))).toBe(NO_PFN);
    expect(allocZeroedFolio(failingTask(box.task, 0))).toBe(NO_PFN);
    const frames: Pfn[] = [];
    for (let pfn = allocFrame(box.task); pfn !== NO_PFN; pfn = allocFrame(box.task)) frames.push(pfn);
    expect(frames.length).toBe(63);
    for (const pfn of frames) folioPut(box.task, pfn);
  });

  mmTest('takes the contents of another', (box: Sandbox): Sim<void> => {
    const [from, to] = [allocFrame(box.task), allocFrame(box.task)];
    const words = pageWords(box.heap);
    for (let word = 0; word < words; word++) setPageContent(box.heap, from, word, word * 3);
    copyPageContents(box.task, from, to);
    for (let word = 0; word < words; word++) expect(pageContent(box.heap, to, word)).toBe(word * 3);
    folioPut(box.task, from);
    folioPut(box.task, to);
  });
});

interface Shared {
  readonly pfn: Pfn;
}

/** A reference found by its number only, against the last put. */
function tryGetThread(task: Task, { pfn }: Shared): Sim<void> {
  if (!folioTryGet(task, pfn)) return;
  expect(pageContent(task.heap, pfn, 0)).toBe(5);
  folioPut(task, pfn);
}

simConcurrent('a try for a reference either keeps the frame or finds it gone', {
  ...mmKernel(LINUX_7_0, {}),
  setup: ({ heap, task }: Kernel): Sim<Shared> => {
    const pfn = allocFrame(task);
    setPageContent(heap, pfn, 0, 5);
    return { pfn };
  },
  threads: [(task: Task, { pfn }: Shared): Sim<void> => folioPut(task, pfn), tryGetThread, tryGetThread],
  check: ({ heap }: Kernel, { pfn }: Shared): Sim<void> => {
    expect(readOncePageRefcount(heap, pfn)).toBe(0);
    expect(slabAllocatedCount(heap, CACHES.frame)).toBe(1);
  },
});
