/**
 * The scan: which mergeable page comes next, address space after address space, pages by address.
 *
 * Lock order here: ksm_thread_mutex > mmapLock(read) of one mm at a time > ksm_mmlist_lock.
 *
 * Invariants
 *   KSM-9  The rmap_items of an mm are in order of their addresses. Those that the scan has passed without finding their page are
 *          removed when it meets the next page, or the end of the mm.
 *
 * Kernel: scan_get_next_rmap_item() in mm/ksm.c. Not modelled: smart scan, the advisor, draining of LRU batches.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import {
  NO_ANON_VMA,
  NO_KSM_SLOT,
  NO_PFN,
  NO_RMAP_ITEM,
  NO_VMA,
  type KsmMmSlotPtr,
  type MmPtr,
  type Pfn,
  type RmapItemPtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import {
  ksmHasNoSlots,
  ksmMmHead,
  ksmMmlistLock,
  ksmScanSlot,
  ksmSlotMm,
  ksmSlotNext,
  ksmSlotRmapLink,
  ksmWord,
  rmapItemNextLink,
  setKsmScanSlot,
  setKsmTreeRoot,
  setKsmWord,
  unlinkKsmSlot,
  unstableRoot,
} from '../layout/ksm.ts';
import { setMmKsmSlot } from '../layout/mm.ts';
import { VM_MERGEABLE, vmaAnonVma, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { getNextRmapItem, removeTrailingRmapItems } from './ksmItems.ts';
import { followAnonPage } from './ksmPage.ts';
import { freeKsmSlot, ksmTestExit } from './ksmSlots.ts';
import { mmdrop } from './mmCount.ts';
import { folioPut } from './pageRef.ts';
import { vmaFind, vmaNext } from './vmaTree.ts';

/** What the scan came to: a page with a reference, and its item; no item without memory. */
export interface ScannedPage {
  readonly item: RmapItemPtr;
  readonly pfn: Pfn;
}

/**
 * scan_get_next_rmap_item(): the next page.
 *
 * @returns null at the end of a pass, and if there are no address spaces
 * @locked ksm_thread_mutex
 */
export function scanGetNextRmapItem(task: Task): Sim<ScannedPage | null> {
  const { heap } = task;
  const head = ksmMmHead(heap);
  if (ksmHasNoSlots(heap)) return null;
  let slot = ksmScanSlot(heap);
  if (slot === head) {
    setKsmTreeRoot(heap, unstableRoot(heap), 0);
    slot = enterNextSlot(task, head);
    // The last one may just have gone.
    if (slot === head) return null;
  }
  while (slot !== head) {
    const found = scanMm(task, slot);
    if (found !== null) return found;
    slot = leaveMm(task, slot);
  }
  setKsmWord(heap, GLOBAL.ksmSeqnr, ksmWord(heap, GLOBAL.ksmSeqnr) + 1);
  return null;
}

/** The scan goes to the slot behind `slot`, or to the head of the list. */
export function enterNextSlot(task: Task, slot: KsmMmSlotPtr): Sim<KsmMmSlotPtr> {
  spinLock(task, ksmMmlistLock(task.heap));
  const next = moveScan(task, slot);
  spinUnlock(task, ksmMmlistLock(task.heap));
  return next;
}

/** @locked ksm_mmlist_lock */
function moveScan(task: Task, slot: KsmMmSlotPtr): Sim<KsmMmSlotPtr> {
  const { heap } = task;
  const next = ksmSlotNext(heap, slot);
  setKsmScanSlot(heap, next);
  setKsmWord(heap, GLOBAL.ksmScanVpn, 0);
  setKsmWord(heap, GLOBAL.ksmScanLink, ksmSlotRmapLink(next));
  return next;
}

/** The next page of the mm; mmapLock is dropped then. At the end of the mm: null, with mmapLock held. */
function scanMm(task: Task, slot: KsmMmSlotPtr): Sim<ScannedPage | null> {
  const { heap } = task;
  const mm = ksmSlotMm(heap, slot);
  mmapReadLock(task, mm);
  let vma: VmaPtr = NO_VMA;
  // Its VMAs may be on their way out, with no regard to mmapLock for read.
  if (!ksmTestExit(task, mm)) vma = vmaFind(task, mm, ksmWord(heap, GLOBAL.ksmScanVpn) as Vpn);
  while (vma !== NO_VMA) {
    if ((vmaFlags(heap, vma) & VM_MERGEABLE) !== 0) {
      const found = scanVma(task, mm, vma);
      if (found !== null) {
        mmapReadUnlock(task, mm);
        return found;
      }
    }
    vma = vmaNext(task, mm, vma);
  }
  if (ksmTestExit(task, mm)) {
    setKsmWord(heap, GLOBAL.ksmScanVpn, 0);
    setKsmWord(heap, GLOBAL.ksmScanLink, ksmSlotRmapLink(slot));
  }
  return null;
}

/** The next page of a VMA, or null at its end. @locked mmapLock(read) */
function scanVma(task: Task, mm: MmPtr, vma: VmaPtr): Sim<ScannedPage | null> {
  const { heap } = task;
  const end = vmaEnd(heap, vma);
  let at = Math.max(ksmWord(heap, GLOBAL.ksmScanVpn), vmaStart(heap, vma));
  if (vmaAnonVma(heap, vma) === NO_ANON_VMA) at = end;
  for (; at < end && !ksmTestExit(task, mm); at++) {
    const pfn = followAnonPage(task, mm, at as Vpn);
    if (pfn === NO_PFN) continue;
    const item = getNextRmapItem(task, mm, ksmWord(heap, GLOBAL.ksmScanLink), at as Vpn);
    if (item === NO_RMAP_ITEM) {
      folioPut(task, pfn);
      // The same page again, next time.
      setKsmWord(heap, GLOBAL.ksmScanVpn, at);
      return { item, pfn: NO_PFN };
    }
    setKsmWord(heap, GLOBAL.ksmScanLink, rmapItemNextLink(item));
    setKsmWord(heap, GLOBAL.ksmScanVpn, at + 1);
    return { item, pfn };
  }
  setKsmWord(heap, GLOBAL.ksmScanVpn, at);
  return null;
}

/**
 * The end of an mm: items of pages that are not there any more go; so does the slot when there was no mergeable mapping.
 *
 * @returns the slot that comes next
 * @locked mmapLock(read), dropped here
 */
function leaveMm(task: Task, slot: KsmMmSlotPtr): Sim<KsmMmSlotPtr> {
  const { heap } = task;
  const mm = ksmSlotMm(heap, slot);
  removeTrailingRmapItems(task, ksmWord(heap, GLOBAL.ksmScanLink));
  const useless = ksmWord(heap, GLOBAL.ksmScanVpn) === 0;
  spinLock(task, ksmMmlistLock(heap));
  const next = moveScan(task, slot);
  if (useless) {
    // mmapLock keeps a madvise() away that would find the flag set and the slot gone.
    unlinkKsmSlot(heap, slot);
    setMmKsmSlot(heap, mm, NO_KSM_SLOT);
    spinUnlock(task, ksmMmlistLock(heap));
    freeKsmSlot(task, slot, mm);
    mmapReadUnlock(task, mm);
    mmdrop(task, mm);
  } else {
    // In this order: the slot's is the only reference that we have, and once the scan is elsewhere and the lock free, the end of
    // the process may take the slot and the mm away.
    mmapReadUnlock(task, mm);
    spinUnlock(task, ksmMmlistLock(heap));
  }
  return next;
}
