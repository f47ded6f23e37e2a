/**
 * The address spaces that KSM knows: in the order in which they became mergeable, those that came since the scan began behind all
 * that it has still to visit.
 *
 * Lock order here: mmapLock(write) > ksm_mmlist_lock; ksmExit takes mmapLock(write) alone.
 *
 * Invariants
 *   KSM-1  A slot holds a reference on its mm, none as a user: the mappings go when the process ends, and who works for KSM in an
 *          address space looks under mmapLock whether that has happened.
 *   KSM-2  After ksmExit nobody works for KSM in the address space any more: either the slot is gone, or mmapLock was had for
 *          write after the last user went.
 *
 * Kernel: __ksm_enter(), __ksm_exit(), ksm_fork() in mm/ksm.c. Not modelled: the hash table of slots (the mm has a field),
 * merging of whole processes by prctl.
 */

import { CACHES } from '../arena/header.ts';
import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import { NO_KSM_SLOT, NO_RMAP_ITEM, type KsmMmSlotPtr, type MmPtr } from '../layout/ids.ts';
import {
  KSM_RUN_UNMERGE,
  initKsmSlot,
  ksmMmHead,
  ksmMmlistLock,
  ksmScanSlot,
  ksmSlotNext,
  ksmSlotRmapLink,
  ksmWord,
  linkKsmSlot,
  rmapItemAt,
  unlinkKsmSlot,
} from '../layout/ksm.ts';
import {
  MMF_VM_MERGEABLE,
  atomicClearMmFlags,
  atomicSetMmFlags,
  mmKsmSlot,
  readOnceMmFlags,
  readOnceMmUsers,
  setMmKsmSlot,
} from '../layout/mm.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { mmdrop, mmgrab } from './mmCount.ts';

/** ksm_test_exit(): the last user has gone, or is going. */
export function ksmTestExit(task: Task, mm: MmPtr): Sim<boolean> {
  return readOnceMmUsers(task.heap, mm) === 0;
}

/** ksm_enter(): gives the mm a slot if it has none. @locked mmapLock(write) @returns 0 or -ENOMEM */
export function ksmEnter(task: Task, mm: MmPtr): Sim<number> {
  const { heap } = task;
  if ((readOnceMmFlags(heap, mm) & MMF_VM_MERGEABLE) !== 0) return 0;
  const slot = kmemCacheAlloc(task, CACHES.ksmMmSlot) as KsmMmSlotPtr;
  if (slot === NO_KSM_SLOT) return -ENOMEM;
  initKsmSlot(heap, slot, mm);
  spinLock(task, ksmMmlistLock(heap));
  setMmKsmSlot(heap, mm, slot);
  // Behind the scan, to let the memory settle. But who takes everything apart must not miss an mm that was forked meanwhile.
  const all = ksmWord(heap, GLOBAL.ksmRun) === KSM_RUN_UNMERGE;
  linkKsmSlot(heap, slot, all ? ksmMmHead(heap) : ksmScanSlot(heap));
  spinUnlock(task, ksmMmlistLock(heap));
  atomicSetMmFlags(heap, mm, MMF_VM_MERGEABLE);
  mmgrab(task, mm);
  return 0;
}

/** ksm_fork(): the child has mergeable memory if its parent has. Without memory for the slot it is just never visited. */
export function ksmFork(task: Task, mm: MmPtr, oldMm: MmPtr): Sim<void> {
  if ((readOnceMmFlags(task.heap, oldMm) & MMF_VM_MERGEABLE) !== 0) ksmEnter(task, mm);
}

/**
 * __ksm_exit(): the last user has gone. A slot without rmap_items goes at once; else it is visited next and then goes.
 *
 * @locked nothing
 */
export function ksmExit(task: Task, mm: MmPtr): Sim<void> {
  const { heap } = task;
  let easyToFree = false;
  spinLock(task, ksmMmlistLock(heap));
  const slot = mmKsmSlot(heap, mm);
  if (slot !== NO_KSM_SLOT && ksmScanSlot(heap) !== slot) {
    easyToFree = rmapItemAt(heap, ksmSlotRmapLink(slot)) === NO_RMAP_ITEM;
    unlinkKsmSlot(heap, slot);
    if (easyToFree) setMmKsmSlot(heap, mm, NO_KSM_SLOT);
    else linkKsmSlot(heap, slot, ksmSlotNext(heap, ksmScanSlot(heap)));
  }
  spinUnlock(task, ksmMmlistLock(heap));
  if (easyToFree) {
    freeKsmSlot(task, slot, mm);
    mmdrop(task, mm);
  } else if (slot !== NO_KSM_SLOT) {
    mmapWriteLock(task, mm);
    mmapWriteUnlock(task, mm);
  }
}

/** Forgets a slot that is in no list and that the mm does not name any more. Its reference on the mm is the caller's now. */
export function freeKsmSlot(task: Task, slot: KsmMmSlotPtr, mm: MmPtr): Sim<void> {
  kmemCacheFree(task, CACHES.ksmMmSlot, slot);
  atomicClearMmFlags(task.heap, mm, MMF_VM_MERGEABLE);
}
