/**
 * Taking KSM pages out of mappings again: each gets a copy of its own by a fault that asks for exclusivity, whether or not the
 * mapping may be written.
 *
 * Lock order here: mmapLock > VMA write (madvise, mremap) > what a fault takes.
 *
 * Invariants
 *   KSM-3  MADV_UNMERGEABLE and mremap leave no KSM page in what they take away from KSM, and wait for one under migration.
 *
 * That is not to say that KSM pages are found in mergeable mappings alone. A page that fork shared becomes one for all its mappings
 * when KSM merges it for one of them, whatever the others are meant to be; as in Linux, nobody asks them.
 *
 * Kernel: break_ksm(), break_cow(), unmerge_ksm_pages(), ksm_madvise() in mm/ksm.c.
 */

import { EINTR, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, NO_TABLE, NO_VMA, type MmPtr, type RmapItemPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { rmapItemAnonVma, rmapItemMm, rmapItemVpn, setRmapItemAnonVma } from '../layout/ksm.ts';
import { mappingIsKsm, readOncePageMapping, zeroPfn } from '../layout/page.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { pteIsMigration, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { VM_HUGETLB, VM_MERGEABLE, VM_SHARED, vmaAnonVma, vmaFlags } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { isKilled } from '../locks/sleep.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { putAnonVma } from './anonVma.ts';
import { handleMmFault } from './fault.ts';
import { FAULT_FLAG_UNSHARE, VM_FAULT_OOM } from './faultFlags.ts';
import { findMergeableVma } from './ksmPage.ts';
import { ksmEnter, ksmTestExit } from './ksmSlots.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';

/** Flags of mappings whose pages cannot be merged (!vma_ksm_compatible). */
const INCOMPATIBLE = VM_SHARED | VM_HUGETLB;

/**
 * The MADV_MERGEABLE half of ksm_madvise(): makes KSM look at the mm.
 *
 * @returns the VMA's flags after it (of a mapping that is unfit they stay), or -ENOMEM
 * @locked mmapLock(write)
 */
export function madviseMergeable(task: Task, mm: MmPtr, flags: number): Sim<number> {
  if ((flags & (VM_MERGEABLE | INCOMPATIBLE)) !== 0) return flags;
  const error = ksmEnter(task, mm);
  return error !== 0 ? error : flags | VM_MERGEABLE;
}

/**
 * The MADV_UNMERGEABLE half of ksm_madvise(), also for who is about to move [start, end): no KSM page is left there.
 *
 * @returns 0, -ENOMEM or -EINTR, with pages up to some point broken
 * @locked mmapLock(write)
 */
export function breakMergedRange(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn): Sim<number> {
  const { heap } = task;
  if ((vmaFlags(heap, vma) & VM_MERGEABLE) === 0 || vmaAnonVma(heap, vma) === NO_ANON_VMA) return 0;
  // Faults under the VMA lock could copy entries that are just being looked at.
  vmaStartWrite(task, mm, vma);
  return unmergeKsmPages(task, mm, vma, start, end);
}

/** unmerge_ksm_pages(): breaks all KSM pages of a range. @locked mmapLock @returns 0, -ENOMEM or -EINTR */
export function unmergeKsmPages(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn): Sim<number> {
  let error = 0;
  for (let at = start as number; at < end && error === 0; at++) {
    if (ksmTestExit(task, mm)) break;
    error = isKilled(task) ? -EINTR : breakKsm(task, mm, vma, at as Vpn);
  }
  return error;
}

/**
 * break_cow(): undoes a merge that led nowhere. Drops the item's reference on its anon_vma, without which rmap walks would not
 * find the mapping.
 *
 * @locked ksm_thread_mutex
 */
export function breakCow(task: Task, item: RmapItemPtr): Sim<void> {
  const { heap } = task;
  const mm = rmapItemMm(heap, item);
  const vpn = rmapItemVpn(heap, item);
  putAnonVma(task, rmapItemAnonVma(heap, item));
  setRmapItemAnonVma(heap, item, NO_ANON_VMA);
  mmapReadLock(task, mm);
  const vma = findMergeableVma(task, mm, vpn);
  // Without memory the KSM page stays where it is.
  if (vma !== NO_VMA) breakKsm(task, mm, vma, vpn);
  mmapReadUnlock(task, mm);
}

/** break_ksm(): one page. A fault may change nothing if it met somebody, so it is tried again. @returns 0 or -ENOMEM */
function breakKsm(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn): Sim<number> {
  let fault = 0;
  while (fault === 0 && hasKsmPage(task, mm, vpn)) fault = handleMmFault(task, mm, vma, vpn, FAULT_FLAG_UNSHARE);
  return fault === VM_FAULT_OOM ? -ENOMEM : 0;
}

/** Whether a KSM page is mapped there, or will be again when its migration is over. @locked mmapLock */
function hasKsmPage(task: Task, mm: MmPtr, vpn: Vpn): Sim<boolean> {
  const { heap } = task;
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) return false;
  const value = readOncePte(heap, entryAt(table, vpn, LEVEL_PTE));
  if (pteIsMigration(value)) task.check?.migrationEntrySeen(task, mm, vpn, value);
  const hasPage = pteIsPresent(value) || pteIsMigration(value);
  const isKsm = hasPage && ptePfn(value) !== zeroPfn(heap) && mappingIsKsm(readOncePageMapping(heap, ptePfn(value)));
  pteUnmapUnlock(task, table);
  return isKsm;
}
