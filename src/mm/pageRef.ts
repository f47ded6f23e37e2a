/**
 * References on folios. One per present entry, one per isolation, 1024 per pin, one per page that waits in an mmu_gather,
 * and temporary ones. The last put frees.
 *
 * Invariants
 *   REF-1  A mapping takes its reference before it raises the mapcount and lowers the mapcount before it drops the
 *          reference, so refcount >= mapcount at every instant.
 *   REF-2  A freed frame has no mapping, no flags and poisoned contents.
 *
 * Kernel: include/linux/mm.h (folio_get, folio_put), page_ref.h. Not modelled: per-CPU LRU batches and their references.
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { POISON } from '../arena/slab.ts';
import { assert } from '../base/assert.ts';
import type { Access, Sim } from '../base/sim.ts';
import { kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import type { Pfn } from '../layout/ids.ts';
import {
  PG_hugetlb,
  PG_locked,
  atomicAddPageRefcount,
  cmpxchgPageRefcount,
  fillPageContents,
  pageAt,
  readOncePageFlags,
  readOncePageMapcount,
  readOncePageRefcount,
  setPageFlags,
  setPagePrivate,
  writeOncePageMapping,
} from '../layout/page.ts';
import { freeHugeFolio } from './hugetlbPool.ts';

/** folio_get(): one more reference; the caller owns one or holds the ptl of an entry that does. */
export function folioGet(task: Task, pfn: Pfn): Sim<void> {
  const count = atomicAddPageRefcount(task.heap, pfn, 1);
  assert(count > 1, 'folioGet of a free folio');
}

/** folio_ref_add(): as folioGet, `n` references at once. */
export function folioRefAdd(task: Task, pfn: Pfn, n: number): Sim<void> {
  const count = atomicAddPageRefcount(task.heap, pfn, n);
  assert(count > n, 'folioRefAdd of a free folio');
}

/** folio_try_get(): a reference, unless the frame is free or being freed. */
export function folioTryGet(task: Task, pfn: Pfn): Sim<boolean> {
  const { heap } = task;
  let count = readOncePageRefcount(heap, pfn);
  while (count > 0) {
    const seen = cmpxchgPageRefcount(heap, pfn, count, count + 1);
    if (seen === count) return true;
    count = seen;
  }
  return false;
}

/** folio_put(): drops a reference; the last one frees the frame. */
export function folioPut(task: Task, pfn: Pfn): Sim<void> {
  folioPutRefs(task, pfn, 1);
}

/** folio_put_refs(): drops `n` references; the last one frees the frame. */
export function folioPutRefs(task: Task, pfn: Pfn, n: number): Sim<void> {
  const count = atomicAddPageRefcount(task.heap, pfn, -n);
  assert(count >= 0, 'folio reference count underflow');
  if (count === 0) freeFolio(task, pfn);
}

/** folio_ref_freeze(): takes the caller's reference for the last one, if it is: nobody can get another afterwards. */
export function folioRefFreeze(task: Task, pfn: Pfn): Sim<boolean> {
  return cmpxchgPageRefcount(task.heap, pfn, 1, 0) === 1;
}

/** free_frozen_pages(): frees what folioRefFreeze froze, or what the last reference was dropped on. */
export function freeFolio(task: Task, pfn: Pfn): Sim<void> {
  if (task.check !== null) task.check.pageFreed(task, pfn);
  const flags = readOncePageFlags(task.heap, pfn);
  if ((flags & PG_hugetlb) !== 0) {
    freeHugeFolio(task, pfn);
    return;
  }
  resetFrame(task.heap, pfn, flags);
  kmemCacheFree(task, CACHES.frame, pageAt(task.heap, pfn));
}

/** free_pages_prepare(). One step: with no reference left only a failing folioTryGet can look at the frame. */
function resetFrame(heap: Heap, pfn: Pfn, flags: number): Access<void> {
  assert(readOncePageMapcount(heap, pfn) === 0, 'freed a folio that is mapped');
  assert((flags & PG_locked) === 0, 'freed a folio that is locked');
  setPageFlags(heap, pfn, 0);
  writeOncePageMapping(heap, pfn, 0);
  setPagePrivate(heap, pfn, 0);
  fillPageContents(heap, pfn, POISON);
}
