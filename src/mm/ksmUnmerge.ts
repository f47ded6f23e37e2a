/**
 * Taking everything apart that KSM has merged: all KSM pages are copied, all items and nodes go. The slots stay.
 *
 * Lock order here: ksm_thread_mutex > mmapLock(read) of one mm at a time > what a fault takes, folio lock.
 *
 * Kernel: unmerge_and_remove_all_rmap_items(), remove_all_stable_nodes() in mm/ksm.c. When it gives up in the middle it empties the
 * unstable tree here. There the next pass begins with the same number, and takes what is left for nodes of its own tree.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import {
  NO_KSM_SLOT,
  NO_RMAP_ITEM,
  NO_STABLE_NODE,
  NO_VMA,
  type KsmMmSlotPtr,
  type MmPtr,
  type RmapItemPtr,
  type StableNodePtr,
  type Vpn,
} from '../layout/ids.ts';
import {
  RMAP_ITEM,
  chainFirst,
  ksmMmHead,
  ksmMmlistLock,
  ksmScanSlot,
  ksmSlotMm,
  ksmSlotNext,
  ksmSlotRmapLink,
  ksmTreeRoot,
  setKsmScanSlot,
  setKsmTreeRoot,
  setKsmWord,
  setRmapItemWord,
  stableRoot,
  unlinkKsmSlot,
  unstableRoot,
} from '../layout/ksm.ts';
import { setMmKsmSlot } from '../layout/mm.ts';
import { vmaEnd, vmaStart } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { unmergeKsmPages } from './ksmBreak.ts';
import { dropChain, isChain } from './ksmChain.ts';
import { removeTrailingRmapItems } from './ksmItems.ts';
import { removeStableNode } from './ksmNode.ts';
import { isMergeable } from './ksmPage.ts';
import { enterNextSlot } from './ksmScan.ts';
import { freeKsmSlot, ksmTestExit } from './ksmSlots.ts';
import { treeErase } from './ksmTree.ts';
import { mmdrop } from './mmCount.ts';
import { vmaFind, vmaNext } from './vmaTree.ts';

/**
 * unmerge_and_remove_all_rmap_items().
 *
 * @locked ksm_thread_mutex
 * @returns 0, -ENOMEM or -EINTR
 */
export function unmergeAndRemoveAll(task: Task): Sim<number> {
  const { heap } = task;
  const head = ksmMmHead(heap);
  // Between two passes nobody keeps the tree: items that it leads to may be freed.
  if (ksmScanSlot(heap) === head) setKsmTreeRoot(heap, unstableRoot(heap), 0);
  let slot = enterNextSlot(task, head);
  while (slot !== head) {
    const mm = ksmSlotMm(heap, slot);
    mmapReadLock(task, mm);
    const error = unmergeMm(task, mm);
    if (error !== 0) {
      mmapReadUnlock(task, mm);
      giveUp(task, head);
      return error;
    }
    removeTrailingRmapItems(task, ksmSlotRmapLink(slot));
    mmapReadUnlock(task, mm);
    slot = leaveSlot(task, slot, mm);
  }
  removeAllStableNodes(task);
  setKsmWord(heap, GLOBAL.ksmSeqnr, 0);
  return 0;
}

/** Breaks all KSM pages of an mm. @locked mmapLock(read) */
function unmergeMm(task: Task, mm: MmPtr): Sim<number> {
  const { heap } = task;
  if (ksmTestExit(task, mm)) return 0;
  for (let vma = vmaFind(task, mm, 0 as Vpn); vma !== NO_VMA; vma = vmaNext(task, mm, vma)) {
    if (!isMergeable(task, vma)) continue;
    const error = unmergeKsmPages(task, mm, vma, vmaStart(heap, vma), vmaEnd(heap, vma));
    if (error !== 0) return error;
  }
  return 0;
}

/** Goes on to the next slot; that of an mm without users is freed. */
function leaveSlot(task: Task, slot: KsmMmSlotPtr, mm: MmPtr): Sim<KsmMmSlotPtr> {
  const { heap } = task;
  spinLock(task, ksmMmlistLock(heap));
  const next = ksmSlotNext(heap, slot);
  setKsmScanSlot(heap, next);
  const isOver = ksmTestExit(task, mm);
  if (isOver) {
    unlinkKsmSlot(heap, slot);
    setMmKsmSlot(heap, mm, NO_KSM_SLOT);
  }
  spinUnlock(task, ksmMmlistLock(heap));
  if (isOver) {
    freeKsmSlot(task, slot, mm);
    mmdrop(task, mm);
  }
  return next;
}

/** The scan begins a pass anew. */
function giveUp(task: Task, head: KsmMmSlotPtr): Sim<void> {
  const { heap } = task;
  spinLock(task, ksmMmlistLock(heap));
  setKsmScanSlot(heap, head);
  spinUnlock(task, ksmMmlistLock(heap));
  const root = unstableRoot(heap);
  for (let item = ksmTreeRoot(heap, root); item !== NO_RMAP_ITEM; item = ksmTreeRoot(heap, root)) {
    treeErase(heap, root, item);
    setRmapItemWord(heap, item as RmapItemPtr, RMAP_ITEM.state, 0);
  }
}

/** remove_all_stable_nodes(): up to the first whose page is still mapped. */
function removeAllStableNodes(task: Task): Sim<void> {
  const { heap } = task;
  for (;;) {
    const top = ksmTreeRoot(heap, stableRoot(heap)) as StableNodePtr;
    if (top === NO_STABLE_NODE) return;
    if (!isChain(task, top)) {
      if (!removeStableNode(task, top)) return;
      continue;
    }
    const dup = chainFirst(heap, top);
    if (dup === NO_STABLE_NODE) dropChain(task, top);
    else if (!removeStableNode(task, dup)) return;
  }
}
