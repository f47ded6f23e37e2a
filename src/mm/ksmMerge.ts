/**
 * Merging: a page is write-protected and becomes a KSM page, or its mapping is turned to a KSM page with the same contents.
 *
 * Lock order here: ksm_thread_mutex > mmapLock(read) > folio lock (by trylock) > ptl.
 *
 * Invariants
 *   KSM-6  A page is merged only if nobody can write to it: no entry is writable, and while the entry was out no reference was in
 *          sight that no mapping has. GUP-fast takes its reference first and looks at the entry again, so one of the two sees the other.
 *   KSM-7  Contents are compared after that, and the mapping turned only if its entry is still the one that was protected.
 *   KSM-8  A KSM page is never exclusive, so a write copies it whoever else maps it or not.
 *
 * Kernel: write_protect_page(), replace_page(), try_to_merge_one_page(), try_to_merge_with_ksm_page(),
 * try_to_merge_two_pages() in mm/ksm.c. Not modelled: large folios, swap cache, merging with the zero page, notifiers.
 */

import { EFAULT } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { readOnceAnonVmaRoot } from '../layout/anonVma.ts';
import {
  NO_ANON_VMA,
  NO_PFN,
  NO_STABLE_NODE,
  NO_TABLE,
  NO_VMA,
  type Pfn,
  type PteVal,
  type RmapItemPtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { rmapItemMm, rmapItemVpn, setRmapItemAnonVma } from '../layout/ksm.ts';
import { readOnceMmTlbFlushPending } from '../layout/mm.ts';
import {
  PG_anonExclusive,
  PG_dirty,
  atomicSetPageFlags,
  mappingAnonVma,
  pageIndex,
  readOncePageFlags,
  readOncePageMapcount,
  readOncePageMapping,
  readOncePageRefcount,
} from '../layout/page.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { PTE_DIRTY, PTE_NONE, PTE_WRITE, makePte, pteClear, pteIsDirty, pteIsWritable } from '../layout/pte.ts';
import { vmaAnonVma, vmaFlags, vmaMm } from '../layout/vma.ts';
import { folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { getAnonVma } from './anonVma.ts';
import { breakCow } from './ksmBreak.ts';
import { removeRmapItemFromTree } from './ksmNode.ts';
import { comparePages, findMergeableVma, folioSetStableNode } from './ksmPage.ts';
import { vmPageProt } from './pageProt.ts';
import { folioGet, folioPut } from './pageRef.ts';
import {
  pageVmaMappedWalk,
  pageVmaMappedWalkDone,
  startPageVmaMappedWalk,
  type PageVmaMappedWalk,
} from './pageVmaMappedWalk.ts';
import { ptepClearFlush, setPteAt } from './pteAccess.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { folioAddAnonRmapPte, folioRemoveRmap, folioTryShareAnonRmap } from './rmap.ts';
import { vmaAddress } from './vmaAddress.ts';

/**
 * try_to_merge_two_pages(): makes `pfn` a KSM page, which has no node yet, and turns the other item's mapping to it.
 *
 * @returns false if that did not work: the first page's mapping was broken again
 * @locked ksm_thread_mutex; references on both pages
 */
export function tryToMergeTwoPages(
  task: Task,
  item: RmapItemPtr,
  pfn: Pfn,
  treeItem: RmapItemPtr,
  treePage: Pfn,
): Sim<boolean> {
  if (tryToMergeWithKsmPage(task, item, pfn, NO_PFN) !== 0) return false;
  if (tryToMergeWithKsmPage(task, treeItem, treePage, pfn) === 0) return true;
  breakCow(task, item);
  return false;
}

/**
 * try_to_merge_with_ksm_page(): merges the page at the item's address with `kpfn`, or (0) makes it a KSM page. The item is in
 * no tree afterwards and has a reference on the anon_vma by which walks will find the mapping.
 *
 * @returns 0 or -EFAULT: nothing changed
 * @locked ksm_thread_mutex; references on both pages
 */
export function tryToMergeWithKsmPage(task: Task, item: RmapItemPtr, pfn: Pfn, kpfn: Pfn): Sim<number> {
  const { heap } = task;
  const mm = rmapItemMm(heap, item);
  let error = -EFAULT;
  mmapReadLock(task, mm);
  const vma = findMergeableVma(task, mm, rmapItemVpn(heap, item));
  if (vma !== NO_VMA) {
    error = tryToMergeOnePage(task, vma, pfn, kpfn);
    if (error === 0) {
      removeRmapItemFromTree(task, item);
      // Under mmapLock: the VMA keeps it until there is a reference.
      const anonVma = vmaAnonVma(heap, vma);
      getAnonVma(task, anonVma);
      setRmapItemAnonVma(heap, item, anonVma);
    }
  }
  mmapReadUnlock(task, mm);
  return error;
}

/** try_to_merge_one_page(): the mapping of `pfn` in one VMA. @locked mmapLock @returns 0 or -EFAULT */
function tryToMergeOnePage(task: Task, vma: VmaPtr, pfn: Pfn, kpfn: Pfn): Sim<number> {
  // A KSM page that fork shared.
  if (pfn === kpfn) return 0;
  // There are other pages to look at meanwhile.
  if (!folioTryLock(task, pfn)) return -EFAULT;
  let error = -EFAULT;
  const entry = writeProtectPage(task, vma, pfn);
  if (entry !== PTE_NONE) {
    if (kpfn === NO_PFN) {
      // All mappings at once: those that fork made are protected like this one.
      folioSetStableNode(task, pfn, NO_STABLE_NODE);
      // A clean page could be dropped.
      atomicSetPageFlags(task.heap, pfn, PG_dirty);
      error = 0;
    } else if (comparePages(task, pfn, kpfn) === 0) {
      error = replacePage(task, vma, pfn, kpfn, entry);
    }
  }
  folioUnlock(task, pfn);
  return error;
}

/**
 * write_protect_page(): takes the right to write from the page's entry in the VMA, if nobody else uses the page.
 *
 * @returns the entry, or PTE_NONE: pinned, in use, or not mapped there any more
 * @locked mmapLock, folio lock
 */
function writeProtectPage(task: Task, vma: VmaPtr, pfn: Pfn): Sim<PteVal> {
  const { heap } = task;
  const vpn = pageAddressInVma(task, vma, pfn);
  if (vpn < 0) return PTE_NONE;
  const pvmw = startPageVmaMappedWalk(task, pfn, vma, vpn as Vpn, 0);
  if (!pageVmaMappedWalk(task, pvmw)) return PTE_NONE;
  const exclusive = (readOncePageFlags(heap, pfn) & PG_anonExclusive) !== 0;
  const mayBeWritten =
    pteIsWritable(pvmw.value) || pteIsDirty(pvmw.value) || exclusive || readOnceMmTlbFlushPending(heap, pvmw.mm) !== 0;
  const entry = mayBeWritten ? protectEntry(task, pvmw, exclusive) : pvmw.value;
  pageVmaMappedWalkDone(task, pvmw);
  return entry;
}

/** The entry is out while references are counted. @locked ptl, folio lock @returns the new entry, or PTE_NONE: it is as it was */
function protectEntry(task: Task, { pfn, mm, vpn, pte }: PageVmaMappedWalk, exclusive: boolean): Sim<PteVal> {
  const { heap } = task;
  const old = ptepClearFlush(task, mm, vpn, pte);
  // One reference is the caller's.
  const inUse = readOncePageMapcount(heap, pfn) + 1 !== readOncePageRefcount(heap, pfn);
  if (inUse || (exclusive && folioTryShareAnonRmap(task, pfn) !== 0)) {
    setPteAt(task, mm, vpn, pte, old);
    return PTE_NONE;
  }
  if (pteIsDirty(old)) atomicSetPageFlags(heap, pfn, PG_dirty);
  const entry = pteClear(old, PTE_DIRTY | PTE_WRITE);
  setPteAt(task, mm, vpn, pte, entry);
  return entry;
}

/** page_address_in_vma(): negative for a KSM page, whose index says nothing. @locked mmapLock, folio lock */
function pageAddressInVma(task: Task, vma: VmaPtr, pfn: Pfn): Sim<number> {
  const { heap } = task;
  const anonVma = mappingAnonVma(readOncePageMapping(heap, pfn));
  const own = vmaAnonVma(heap, vma);
  if (anonVma === NO_ANON_VMA || own === NO_ANON_VMA) return -EFAULT;
  if (readOnceAnonVmaRoot(heap, anonVma) !== readOnceAnonVmaRoot(heap, own)) return -EFAULT;
  return vmaAddress(task, vma, pageIndex(heap, pfn));
}

/**
 * replace_page(): maps `kpfn` where the VMA maps `pfn`.
 *
 * @returns 0; or -EFAULT if the entry is not `expected` any more
 * @locked mmapLock, folio lock of `pfn`; references on both pages
 */
function replacePage(task: Task, vma: VmaPtr, pfn: Pfn, kpfn: Pfn, expected: PteVal): Sim<number> {
  const { heap } = task;
  const mm = vmaMm(heap, vma);
  const vpn = pageAddressInVma(task, vma, pfn) as Vpn;
  if (vpn < 0) return -EFAULT;
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) return -EFAULT;
  const pte = entryAt(table, vpn, LEVEL_PTE);
  if (readOncePte(heap, pte) !== expected) {
    pteUnmapUnlock(task, table);
    return -EFAULT;
  }
  folioGet(task, kpfn);
  folioAddAnonRmapPte(task, kpfn, vma, false);
  ptepClearFlush(task, mm, vpn, pte);
  setPteAt(task, mm, vpn, pte, makePte(kpfn, vmPageProt(vmaFlags(heap, vma))));
  folioRemoveRmap(task, pfn, vma);
  folioPut(task, pfn);
  pteUnmapUnlock(task, table);
  return 0;
}
