/**
 * The pool of huge pages (2 MiB): which are free, how many of these are promised to mappings, and where a freed one goes.
 *
 * Lock order here: hugetlb_lock, innermost.
 *
 * Invariants
 *   HUGE-1  Pages in use and free ones add up to the pool. Migration's target is a page beside the pool (temporary) and takes
 *           the place of its source, which leaves the pool in its stead.
 *   HUGE-2  An allocation without a reservation leaves as many free pages as are reserved.
 *
 * Kernel: dequeue_hugetlb_folio_vma(), free_huge_folio(), hugetlb_acct_memory(), alloc_migrate_hugetlb_folio() in mm/hugetlb.c.
 * A huge page here is a frame, whose struct page stands for all 512, and a place for the contents of the others. Not modelled:
 * surplus pages, changing the pool, several sizes, nodes, subpools, cgroups.
 */

import { CACHES } from '../arena/header.ts';
import { POISON, slabAlloc } from '../arena/slab.ts';
import { assert } from '../base/assert.ts';
import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import {
  giveHugePlace,
  hugetlbFree,
  hugetlbLock,
  hugetlbReserved,
  setHugetlbFree,
  setHugetlbReserved,
  takeHugePlace,
} from '../layout/hugetlb.ts';
import { NO_PFN, type Pfn } from '../layout/ids.ts';
import {
  PG_hugetlb,
  PG_hugetlbRestoreReserve,
  PG_hugetlbTemporary,
  PG_locked,
  atomicClearPageFlags,
  atomicSetPageFlags,
  fillHugeContents,
  hugeContents,
  pageAt,
  pfnAt,
  readOncePageFlags,
  readOncePageMapcount,
  setHugeContents,
  setPageFlags,
  setPageMapcount,
  setPagePrivate,
  setPageRefcount,
  writeOncePageMapping,
} from '../layout/page.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';

/**
 * hugetlb_acct_memory(): promises `pages` pages of the pool, or (negative) gives promises back.
 *
 * @returns 0; -ENOMEM if there are not enough that are neither in use nor promised
 */
export function hugetlbAcctMemory(task: Task, pages: number): Sim<number> {
  const { heap } = task;
  const lock = hugetlbLock(heap);
  spinLock(task, lock);
  const reserved = hugetlbReserved(heap) + pages;
  const free = hugetlbFree(heap);
  // What is reserved may be below zero for a while: a page that others still have gives its promise back when it is freed.
  const isEnough = pages <= 0 || (reserved <= free && pages <= free);
  if (isEnough) setHugetlbReserved(heap, reserved);
  spinUnlock(task, lock);
  return isEnough ? 0 : -ENOMEM;
}

/**
 * dequeue_hugetlb_folio_vma(): takes a page from the pool.
 *
 * @param reserved it was promised
 * @returns the page: refcount 1, contents undefined; 0 when there is none left for this
 */
export function dequeueHugetlbFolio(task: Task, reserved: boolean): Sim<Pfn> {
  const { heap } = task;
  const lock = hugetlbLock(heap);
  spinLock(task, lock);
  const free = hugetlbFree(heap);
  const isThere = free > 0 && (reserved || free > hugetlbReserved(heap));
  const pfn = isThere ? newHugeFolio(task, PG_hugetlb) : NO_PFN;
  if (pfn !== NO_PFN) {
    setHugetlbFree(heap, free - 1);
    if (reserved) setHugetlbReserved(heap, hugetlbReserved(heap) - 1);
  }
  spinUnlock(task, lock);
  if (pfn !== NO_PFN && reserved) atomicSetPageFlags(heap, pfn, PG_hugetlbRestoreReserve);
  return pfn;
}

/** alloc_migrate_hugetlb_folio(): a page beside the pool, for migration. @returns 0 without memory */
export function allocMigrateHugetlbFolio(task: Task): Sim<Pfn> {
  const lock = hugetlbLock(task.heap);
  spinLock(task, lock);
  const pfn = newHugeFolio(task, PG_hugetlb | PG_hugetlbTemporary);
  spinUnlock(task, lock);
  return pfn;
}

/** move_hugetlb_state(): the copy is of the pool now if the source was, and the source is not any more. */
export function moveHugetlbState(task: Task, src: Pfn, dst: Pfn): Sim<void> {
  if ((readOncePageFlags(task.heap, src) & PG_hugetlbTemporary) !== 0) return;
  atomicSetPageFlags(task.heap, src, PG_hugetlbTemporary);
  atomicClearPageFlags(task.heap, dst, PG_hugetlbTemporary);
}

/** free_huge_folio(): the last reference is gone. */
export function freeHugeFolio(task: Task, pfn: Pfn): Sim<void> {
  const { heap } = task;
  const flags = readOncePageFlags(heap, pfn);
  const lock = hugetlbLock(heap);
  assert(readOncePageMapcount(heap, pfn) === 0, 'freed a huge page that is mapped');
  assert((flags & PG_locked) === 0, 'freed a huge page that is locked');
  fillHugeContents(heap, pfn, POISON);
  const contents = hugeContents(heap, pfn);
  setPageFlags(heap, pfn, 0);
  writeOncePageMapping(heap, pfn, 0);
  setPagePrivate(heap, pfn, 0);
  spinLock(task, lock);
  giveHugePlace(heap, contents);
  kmemCacheFree(task, CACHES.frame, pageAt(heap, pfn));
  if ((flags & PG_hugetlbRestoreReserve) !== 0) setHugetlbReserved(heap, hugetlbReserved(heap) + 1);
  if ((flags & PG_hugetlbTemporary) === 0) setHugetlbFree(heap, hugetlbFree(heap) + 1);
  spinUnlock(task, lock);
}

/** A frame and a place for the contents behind it. The pool has its pages already, so no failure is injected. */
function newHugeFolio(task: Task, flags: number): Sim<Pfn> {
  const { heap } = task;
  const page = slabAlloc(heap, task.cpu, CACHES.frame);
  if (page === 0) return NO_PFN;
  const contents = takeHugePlace(heap);
  if (contents === 0) {
    kmemCacheFree(task, CACHES.frame, page);
    return NO_PFN;
  }
  const pfn = pfnAt(heap, page);
  setHugeContents(heap, pfn, contents);
  setPageFlags(heap, pfn, flags);
  setPageMapcount(heap, pfn, 0);
  setPageRefcount(heap, pfn, 1);
  return pfn;
}
