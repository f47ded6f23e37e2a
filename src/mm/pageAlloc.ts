/**
 * The page allocator: one frame at a time from the slab cache of frames. A free frame always has reference count 0,
 * no mapping and no flags (pageRef.ts resets it), so an allocation only has to make the first reference.
 *
 * Invariants
 *   PAGE-1  The first reference is the last word written: whoever finds the frame through a stale translation (GUP-fast)
 *           either fails to get a reference or gets one on the new page and notices by re-reading the entry.
 *
 * Kernel: mm/page_alloc.c (post_alloc_hook, check_new_pages). Not modelled: orders, zones, watermarks, memcg.
 */

import { CACHES, pageWords } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import type { Access, Sim } from '../base/sim.ts';
import { kmemCacheAlloc } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { NO_PFN, type Pfn } from '../layout/ids.ts';
import {
  PG_uptodate,
  clearPageContents,
  pageContent,
  pfnAt,
  readOncePageRefcount,
  setPageContent,
  setPageFlags,
  setPageRefcount,
} from '../layout/page.ts';

/**
 * Allocates a frame: refcount 1, mapcount 0, no mapping, no flags, contents undefined. May sleep.
 * @returns the frame, or 0 when there is no memory
 */
export function allocFrame(task: Task): Sim<Pfn> {
  const page = kmemCacheAlloc(task, CACHES.frame);
  if (page === 0) return NO_PFN;
  const pfn = pfnAt(task.heap, page);
  prepNewPage(task.heap, pfn);
  return pfn;
}

/** As allocFrame, contents zero and uptodate (vma_alloc_zeroed_movable_folio). */
export function allocZeroedFolio(task: Task): Sim<Pfn> {
  const pfn = allocFrame(task);
  if (pfn === NO_PFN) return NO_PFN;
  clearPageContents(task.heap, pfn);
  markUptodate(task, pfn);
  return pfn;
}

/** __folio_mark_uptodate() of a folio that nobody else can reach yet: its contents are complete. */
export function markUptodate(task: Task, pfn: Pfn): Sim<void> {
  setPageFlags(task.heap, pfn, PG_uptodate);
}

/**
 * Copies the contents of a page word by word: other CPUs may write the source meanwhile if somebody left them a writable
 * translation, and then the copy is torn. The caller holds a reference on both.
 */
export function copyPageContents(task: Task, from: Pfn, to: Pfn): Sim<void> {
  const { heap } = task;
  const words = pageWords(heap);
  for (let word = 0; word < words; word++) setPageContent(heap, to, word, pageContent(heap, from, word));
}

/** One step: nobody can reach the frame before its first reference exists. */
function prepNewPage(heap: Heap, pfn: Pfn): Access<void> {
  assert(readOncePageRefcount(heap, pfn) === 0, 'allocated a frame that is referenced');
  setPageRefcount(heap, pfn, 1);
}
