/**
 * Counts and ties of a mapped anonymous page: mapcount, PG_anonExclusive, folio->mapping and folio->index.
 *
 * Lock order here: none; each function runs under the PTL of the entry concerned.
 *
 * Invariants
 *   RMAP-1  mapcount counts present entries: raised before an entry is set, lowered after it was cleared.
 *   RMAP-2  A page with PG_anonExclusive is mapped by one entry at most; a writable entry maps an exclusive page.
 *   RMAP-3  The bit is cleared only with the entry cleared (or write-protected under write_protect_seq) and no pin in
 *           sight, so GUP either sees the change or is seen.
 *   RMAP-4  folio->mapping of a mapped page leads to an anon_vma that the mapping VMA is linked to.
 *
 * Kernel: folio_add_new_anon_rmap() and kin in mm/rmap.c, include/linux/rmap.h. Not modelled: large folios, KSM, swap.
 */

import { smpMb } from '../arena/access.ts';
import { assert } from '../base/assert.ts';
import { EBUSY } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, type MmPtr, type Pfn, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { MMF_HAS_PINNED, readOnceMmFlags } from '../layout/mm.ts';
import {
  GUP_PIN_COUNTING_BIAS,
  PG_anonExclusive,
  PG_locked,
  PG_swapbacked,
  atomicAddPageMapcount,
  atomicClearPageFlags,
  atomicSetPageFlags,
  makeAnonMapping,
  mappingIsAnon,
  readOncePageFlags,
  readOncePageMapping,
  readOncePageRefcount,
  setPageIndex,
  setPageMapcount,
  writeOncePageMapping,
  zeroPfn,
} from '../layout/page.ts';
import { vmaAnonVma } from '../layout/vma.ts';
import { linearPageIndex } from './vmaAddress.ts';

/**
 * folio_add_new_anon_rmap(): first mapping of a page that nobody else can reach yet. It becomes exclusive.
 *
 * @locked ptl
 */
export function folioAddNewAnonRmap(task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn): Sim<void> {
  const { heap } = task;
  const anonVma = vmaAnonVma(heap, vma);
  assert(anonVma !== NO_ANON_VMA, 'rmap: a new page in a VMA without anon_vma');
  setPageIndex(heap, pfn, linearPageIndex(task, vma, vpn));
  // Whoever finds the page by a scan of frames looks at the mapcount first, then at the mapping: so this one comes first.
  writeOncePageMapping(heap, pfn, makeAnonMapping(anonVma));
  setPageMapcount(heap, pfn, 1);
  atomicSetPageFlags(heap, pfn, PG_swapbacked | PG_anonExclusive);
  task.check?.rmapChanged(task, pfn, vma, 1);
}

/**
 * folio_add_anon_rmap_pte(): one more mapping of an anonymous page; its mapping and index stay.
 *
 * @locked ptl; the folio lock if `exclusive` is given back to it
 */
export function folioAddAnonRmapPte(task: Task, pfn: Pfn, vma: VmaPtr, exclusive: boolean): Sim<void> {
  const { heap } = task;
  assert(pfn !== zeroPfn(heap), 'rmap: the zero page has none');
  assert(mappingIsAnon(readOncePageMapping(heap, pfn)), 'rmap: the page is not anonymous');
  const mapcount = atomicAddPageMapcount(heap, pfn, 1);
  if (exclusive) {
    assert(mapcount === 1, 'rmap: an exclusive page is mapped twice');
    atomicSetPageFlags(heap, pfn, PG_anonExclusive);
  }
  task.check?.rmapChanged(task, pfn, vma, 1);
}

/**
 * folio_try_dup_anon_rmap_pte(): fork shares the page with a child; it is nobody's own any more.
 *
 * @param hasPinned whether the mm ever pinned anything (mmHasPinned): only then a pin is asked about
 * @locked ptl; write_protect_seq of the parent odd, so that GUP-fast cannot pin meanwhile
 * @returns 0, or -EBUSY if the page is exclusive and may be pinned: the child must get a copy
 */
export function folioTryDupAnonRmap(task: Task, pfn: Pfn, srcVma: VmaPtr, hasPinned: boolean): Sim<number> {
  const { heap } = task;
  assert(pfn !== zeroPfn(heap), 'rmap: the zero page has none');
  if (hasPinned && task.rules.fork.pinnedPage === 'copyForChild' && folioMaybeDmaPinned(task, pfn)) {
    if ((readOncePageFlags(heap, pfn) & PG_anonExclusive) !== 0) return -EBUSY;
  }
  atomicClearPageFlags(heap, pfn, PG_anonExclusive);
  atomicAddPageMapcount(heap, pfn, 1);
  task.check?.rmapChanged(task, pfn, srcVma, 1);
  return 0;
}

/**
 * folio_try_share_anon_rmap_pte(): takes exclusivity away from a page that is about to be unmapped or write-protected.
 *
 * @locked ptl; the entry is cleared already, so a pin that this test misses finds the entry changed and backs off
 * @returns 0, or -EBUSY if the page may be pinned: it stays exclusive
 */
export function folioTryShareAnonRmap(task: Task, pfn: Pfn): Sim<number> {
  // The cleared entry is seen before we look for pins: GUP-fast pins, then looks at the entry again (its pin is atomic, so needs
  // no barrier of its own; nor does the clearing below).
  smpMb();
  if (folioMaybeDmaPinned(task, pfn)) return -EBUSY;
  const flags = atomicClearPageFlags(task.heap, pfn, PG_anonExclusive);
  assert((flags & PG_anonExclusive) !== 0, 'rmap: sharing a page that is not exclusive');
  return 0;
}

/**
 * folio_remove_rmap_pte(): one mapping less. PG_anonExclusive stays: it means nothing without a mapping.
 *
 * @locked ptl; the entry is cleared, its reference is dropped afterwards
 */
export function folioRemoveRmap(task: Task, pfn: Pfn, vma: VmaPtr): Sim<void> {
  assert(pfn !== zeroPfn(task.heap), 'rmap: the zero page has none');
  const mapcount = atomicAddPageMapcount(task.heap, pfn, -1);
  assert(mapcount >= 0, 'rmap: mapcount below zero');
  task.check?.rmapChanged(task, pfn, vma, -1);
}

/**
 * folio_move_anon_rmap(): the VMA turned out to be the page's only user, so walks need not visit relatives any more. The new
 * anon_vma has the same root, so a walker that came by the old one holds the right lock.
 *
 * @locked folio lock, ptl
 */
export function folioMoveAnonRmap(task: Task, pfn: Pfn, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  const anonVma = vmaAnonVma(heap, vma);
  assert(anonVma !== NO_ANON_VMA, 'rmap: a page in a VMA without anon_vma');
  assert((readOncePageFlags(heap, pfn) & PG_locked) !== 0, 'rmap: mapping of an unlocked folio changed');
  task.check?.guardedWrite(task, 'folioMapping', pfn);
  // Pointer and tag in one store: a lockless reader must never see the anon_vma without its tag.
  writeOncePageMapping(heap, pfn, makeAnonMapping(anonVma));
}

/** folio_maybe_dma_pinned(): never wrong in saying no; 1024 plain references also look like a pin. */
function folioMaybeDmaPinned(task: Task, pfn: Pfn): Sim<boolean> {
  return readOncePageRefcount(task.heap, pfn) >= GUP_PIN_COUNTING_BIAS;
}

/**
 * The first half of folio_needs_cow_for_dma(). Once per copy is enough: GUP sets the flag before it pins, and who pins after
 * write_protect_seq became odd undoes it.
 *
 * @locked write_protect_seq of the mm odd
 */
export function mmHasPinned(task: Task, mm: MmPtr): Sim<boolean> {
  return (readOnceMmFlags(task.heap, mm) & MMF_HAS_PINNED) !== 0;
}
