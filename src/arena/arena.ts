/** Creating, sharing and copying an arena. */

import { CACHE, CACHES, CACHE_NAMES, HEADER, cacheAt, checkHeader, stampHeader } from './header.ts';
import { attachHeap, createHeap, type Heap } from './heap.ts';
import { planSections, type MachinePlan } from './plan.ts';
import { initCache } from './slab.ts';

/** Allocates an arena after a plan: header written, every object on its free list. @throws UsageError (see planSections) */
export function createArena(plan: MachinePlan): Heap {
  const sections = planSections(plan);
  const heap = createHeap(sections.totalWords);
  stampHeader(heap);
  heap[HEADER.cpus] = plan.cpus;
  heap[HEADER.pageWords] = plan.pageWords;
  heap[HEADER.tlbEntries] = plan.tlbEntries;
  heap[HEADER.magazine] = plan.magazine;
  heap[HEADER.taskBase] = sections.taskBase;
  heap[HEADER.taskStride] = sections.taskStride;
  heap[HEADER.tlbBase] = sections.tlbBase;
  heap[HEADER.tlbStride] = sections.tlbStride;
  heap[HEADER.magazineBase] = sections.magazineBase;
  heap[HEADER.waitTableBase] = sections.waitTableBase;
  heap[HEADER.waitTableBuckets] = plan.waitBuckets;
  heap[HEADER.lockdepBase] = sections.lockdepBase;
  heap[HEADER.lockdepWords] = plan.lockdepWords;
  heap[HEADER.userBase] = sections.userBase;
  heap[HEADER.userWords] = plan.userWords;
  heap[HEADER.globalBase] = sections.globalBase;
  for (const name of CACHE_NAMES) {
    const at = cacheAt(CACHES[name]);
    const { count, words, flags } = plan.objects[name];
    heap[at + CACHE.base] = sections.cacheBase[name];
    heap[at + CACHE.stride] = sections.cacheStride[name];
    heap[at + CACHE.objectWords] = words;
    heap[at + CACHE.count] = count;
    heap[at + CACHE.flags] = flags;
    initCache(heap, CACHES[name]);
  }
  return heap;
}

/** Attaches to an arena another thread created. @throws UsageError when the buffer is not an arena of this layout */
export function attachArena(buffer: SharedArrayBuffer): Heap {
  const heap = attachHeap(buffer);
  checkHeader(heap);
  return heap;
}

/** A copy of the whole arena. Only at quiescence: nobody may run on it. */
export function snapshotArena(heap: Heap): Int32Array {
  return new Int32Array(heap);
}

/** Puts a snapshot back. Only at quiescence. */
export function restoreArena(heap: Heap, snapshot: Int32Array): void {
  heap.set(snapshot);
}
