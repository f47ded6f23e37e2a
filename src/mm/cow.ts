/**
 * Write-protect faults: reuse the page or copy it.
 *
 * A page whose PG_anon_exclusive bit is set belongs to this entry alone: it is reused with no further question. One whose
 * bit is clear may still turn out to be ours alone if the only reference on it is this mapping. Everything else is copied:
 * the decision is by references, not by mapcount, so a page that waits in an mmu_gather or is isolated for
 * migration is copied although nobody else maps it.
 *
 * Lock order here: ptl > folio lock, only by trylock (the order elsewhere is the other one).
 *
 * Invariants
 *   COW-1  The old entry is cleared and flushed before the new one is set: else one thread could see the copy's contents while
 *          another still reads or, worse, writes the old page.
 *   COW-2  The new mapping is in place before the old page's mapcount drops: whoever then finds the old page unmapped may
 *          reuse it at once, so our entry must not show it any more.
 *   COW-3  A writable entry maps an exclusive page.
 *   COW-4  A KSM page is never reused: KSM may map it elsewhere at any moment.
 *
 * Kernel: do_wp_page(), wp_can_reuse_anon_folio(), wp_page_reuse(), wp_page_copy() in mm/memory.c. Not modelled: swap
 * cache, page_mkwrite, userfaultfd.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  NO_PFN,
  NO_TABLE,
  type MmPtr,
  type PageTablePtr,
  type Pfn,
  type PteVal,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { atomicAddMmAnonPages } from '../layout/mm.ts';
import {
  PG_anonExclusive,
  PG_dirty,
  atomicSetPageFlags,
  mappingIsKsm,
  readOncePageFlags,
  readOncePageMapping,
  readOncePageRefcount,
  zeroPfn,
} from '../layout/page.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { PTE_YOUNG, makePte, pteIsWritable, ptePfn, pteSet } from '../layout/pte.ts';
import { VM_SHARED, vmaFlags } from '../layout/vma.ts';
import { folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { folioAddLru, vmfAnonPrepare } from './anonFault.ts';
import { FAULT_FLAG_UNSHARE, VM_FAULT_OOM } from './faultFlags.ts';
import { allocFrame, allocZeroedFolio, copyPageContents, markUptodate } from './pageAlloc.ts';
import { pteMakeDirtyWritable, vmPageProt } from './pageProt.ts';
import { folioGet, folioPut } from './pageRef.ts';
import { ptepClearFlush, setPteAt } from './pteAccess.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { folioAddNewAnonRmap, folioMoveAnonRmap, folioRemoveRmap } from './rmap.ts';

/**
 * do_wp_page(): a write (or a wish for exclusivity, FAULT_FLAG_UNSHARE) met the present, not writable entry `orig`.
 * @locked ptl of `table`, mapped: both are given up; mmapLock or the VMA
 * @returns 0 or VM_FAULT_*; after VM_FAULT_RETRY the VMA is not locked any more
 */
export function doWpPage(
  task: Task,
  mm: MmPtr,
  vma: VmaPtr,
  vpn: Vpn,
  flags: number,
  table: PageTablePtr,
  orig: PteVal,
): Sim<number> {
  const { heap } = task;
  const page = ptePfn(orig);
  if ((vmaFlags(heap, vma) & VM_SHARED) !== 0) {
    // wp_page_shared(): the memory is everybody's, there is nothing to copy.
    atomicSetPageFlags(heap, page, PG_dirty);
    wpPageReuse(task, mm, vma, vpn, table, orig);
    pteUnmapUnlock(task, table);
    return 0;
  }
  const old = page === zeroPfn(heap) ? NO_PFN : page;
  if (old !== NO_PFN) {
    const exclusive = (readOncePageFlags(heap, old) & PG_anonExclusive) !== 0;
    if (exclusive || wpCanReuseAnonFolio(task, vma, old)) {
      if (!exclusive) atomicSetPageFlags(heap, old, PG_anonExclusive);
      if ((flags & FAULT_FLAG_UNSHARE) === 0) wpPageReuse(task, mm, vma, vpn, table, orig);
      pteUnmapUnlock(task, table);
      return 0;
    }
    // Keeps the page while no lock does.
    folioGet(task, old);
  }
  pteUnmapUnlock(task, table);
  return wpPageCopy(task, mm, vma, vpn, flags, orig, old);
}

/**
 * wp_can_reuse_anon_folio(): whether this entry holds the only reference. On true folio->mapping is this VMA's
 * anon_vma, so that the page leaves the rmap of relatives it is not shared with any more.
 * @locked ptl
 */
function wpCanReuseAnonFolio(task: Task, vma: VmaPtr, pfn: Pfn): Sim<boolean> {
  const { heap } = task;
  // A hint only, without the folio lock: it saves the lock where it cannot help.
  if (isKsm(task, pfn) || readOncePageRefcount(heap, pfn) > 1) return false;
  // Blocking would invert folio lock > ptl; who holds it has a reference anyway.
  if (!folioTryLock(task, pfn)) return false;
  const alone = !isKsm(task, pfn) && readOncePageRefcount(heap, pfn) === 1;
  if (alone) folioMoveAnonRmap(task, pfn, vma);
  folioUnlock(task, pfn);
  return alone;
}

/** folio_test_ksm(). Final under the folio lock. */
function isKsm(task: Task, pfn: Pfn): Sim<boolean> {
  return mappingIsKsm(readOncePageMapping(task.heap, pfn));
}

/** wp_page_reuse(): makes the entry writable in place. More is allowed than before, so no flush. @locked ptl */
function wpPageReuse(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, table: PageTablePtr, orig: PteVal): Sim<void> {
  const entry = pteMakeDirtyWritable(pteSet(orig, PTE_YOUNG), vmaFlags(task.heap, vma));
  setPteAt(task, mm, vpn, entryAt(table, vpn, LEVEL_PTE), entry);
}

/**
 * wp_page_copy(): replaces the page of `orig` by a copy. `old` comes with a reference of the caller's, 0 for the zero page.
 * @locked mmapLock or the VMA
 */
function wpPageCopy(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number, orig: PteVal, old: Pfn): Sim<number> {
  let result = vmfAnonPrepare(task, mm, vma, flags);
  if (result === 0) {
    const copy = old === NO_PFN ? allocZeroedFolio(task) : allocFrame(task);
    if (copy === NO_PFN) result = VM_FAULT_OOM;
    else installCopy(task, mm, vma, vpn, flags, orig, old, copy);
  }
  if (old !== NO_PFN) folioPut(task, old);
  return result;
}

/** Fills `copy` and puts it in place of `orig`, unless the entry changed meanwhile. Consumes the reference on `copy`. */
function installCopy(
  task: Task,
  mm: MmPtr,
  vma: VmaPtr,
  vpn: Vpn,
  flags: number,
  orig: PteVal,
  old: Pfn,
  copy: Pfn,
): Sim<void> {
  const { heap } = task;
  if (old !== NO_PFN) {
    copyPageContents(task, old, copy);
    markUptodate(task, copy);
  }
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) {
    folioPut(task, copy);
    return;
  }
  const pte = entryAt(table, vpn, LEVEL_PTE);
  if (readOncePte(heap, pte) !== orig) {
    pteUnmapUnlock(task, table);
    folioPut(task, copy);
    return;
  }
  if (old === NO_PFN) atomicAddMmAnonPages(heap, mm, 1);
  const vmFlags = vmaFlags(heap, vma);
  const readOnly = makePte(copy, vmPageProt(vmFlags));
  const entry = (flags & FAULT_FLAG_UNSHARE) === 0 ? pteMakeDirtyWritable(readOnly, vmFlags) : readOnly;
  ptepClearFlush(task, mm, vpn, pte);
  folioAddNewAnonRmap(task, copy, vma, vpn);
  folioAddLru(task, copy);
  assert((flags & FAULT_FLAG_UNSHARE) === 0 || !pteIsWritable(entry), 'unshare made a writable entry');
  setPteAt(task, mm, vpn, pte, entry);
  if (old !== NO_PFN) folioRemoveRmap(task, old, vma);
  pteUnmapUnlock(task, table);
  // The reference of the mapping that is gone; the caller still has its own.
  if (old !== NO_PFN) folioPut(task, old);
}
