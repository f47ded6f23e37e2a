/**
 * mremap's move: the VMA is copied, its page-table entries follow, the source is unmapped or, with MREMAP_DONTUNMAP, left
 * empty.
 *
 * Lock order here: mmapLock(write) > VMA write of source and target > anon_vma root(write, taken by the entry mover) > ptls.
 *
 * Invariants
 *   MOVE-1  Both VMAs are write-locked: a fault at either address waits until mmapLock is released. An access through an entry
 *           that has not moved yet still works at the old address; each page is at exactly one place.
 *   MOVE-2  A failed move ends with every page at its old place. Moving back goes from the later visited VMA to the earlier one,
 *           so it always holds the rmap locks.
 *   MOVE-3  VM_ACCOUNT of the source's memory moves with it. It is cleared while the source is unmapped, or that would give
 *           the charge back, and set again on what remains of the source.
 *
 * Kernel: move_vma(), copy_vma_and_data(), unmap_source_vma(), dontunmap_complete() in mm/mremap.c. Not modelled:
 * userfaultfd, commit charge.
 *
 * As in Linux since 6.15: MREMAP_DONTUNMAP counts the pages of the target as locked and unlocks the source, but nobody
 * subtracts the pages of the source. They count against RLIMIT_MEMLOCK until the process ends.
 */

import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { addMmStrandedLockedVm, mmLockedVm, mmMapCount, mmMaxMapCount, setMmLockedVm } from '../layout/mm.ts';
import {
  VM_ACCOUNT,
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKONFAULT,
  setVmaFlags,
  vmaEnd,
  vmaFile,
  vmaFlags,
  vmaStart,
} from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { copyVma, type CopiedVma } from './copyVma.ts';
import { fixupHugetlbReservations } from './hugetlbReserve.ts';
import { breakMergedRange } from './ksmBreak.ts';
import { movePageTables } from './movePageTables.ts';
import { doMunmap } from './munmap.ts';
import { getUnmappedArea } from './placement.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED } from './syscallFlags.ts';
import { unlinkAnonVmas } from './unlinkAnonVmas.ts';
import { NULL_VPN } from './userSpace.ts';
import { vmaPages } from './vma.ts';
import { vmStatAccount } from './vmStat.ts';
import { vmaFindBelow, vmaFind } from './vmaTree.ts';
import { vrmImpliesNewAddr, type VmaRemap } from './vrm.ts';

/** Maps that a move may need for a moment: munmap of the source can make three VMAs of one. */
const MOVE_HEADROOM = 3;

/**
 * Finds the new place, MREMAP_FIXED's as it is, MREMAP_DONTUNMAP's as a hint (vrm_set_new_addr).
 *
 * @returns 0 with vrm.newAddr set, or the errors of getUnmappedArea
 * @locked mmapLock(write)
 */
export function vrmSetNewAddr(task: Task, vrm: VmaRemap): Sim<number> {
  const hint = vrmImpliesNewAddr(vrm) ? vrm.newAddr : (NULL_VPN as Vpn);
  const area = getUnmappedArea(task, vrm.mm, hint, vrm.newLen, {
    fixed: (vrm.flags & MREMAP_FIXED) !== 0,
    anonymous: vmaFile(task.heap, vrm.vma) === NO_ADDRESS_SPACE,
  });
  if (area < 0) return area;
  vrm.newAddr = area as Vpn;
  return 0;
}

/**
 * Moves [addr, addr + oldLen) of vrm.vma to the free range [newAddr, newAddr + newLen).
 *
 * @returns the new page number, -EINTR or -ENOMEM: nothing changed, or the pages are back and the new range is unmapped
 * @locked mmapLock(write)
 */
export function moveVma(task: Task, vrm: VmaRemap): Sim<number> {
  const { heap } = task;
  const { mm } = vrm;
  if (mmMapCount(heap, mm) >= mmMaxMapCount(heap, mm) - MOVE_HEADROOM) return -ENOMEM;
  // At the new place KSM may know other pages, recently unmapped, and take these for them.
  const merged = breakMergedRange(task, mm, vrm.vma, vrm.addr, (vrm.addr + vrm.oldLen) as Vpn);
  if (merged !== 0) return merged;
  vmaStartWrite(task, mm, vrm.vma);
  const { newAddr } = vrm;
  const copied = copyVma(task, mm, vrm.vma, vrm.addr, newAddr, vrm.newLen);
  if (copied === null) return -ENOMEM;
  vrm.vma = copied.oldVma;
  const error = moveEntries(task, vrm, copied);
  // Also after a failure: the new range exists, and unmapping it below subtracts it again.
  vrmStatAccount(task, vrm, vrm.newLen);
  if (error === 0 && (vrm.flags & MREMAP_DONTUNMAP) !== 0) dontunmapComplete(task, vrm, copied.newVma);
  else unmapSourceVma(task, vrm);
  return error === 0 ? newAddr : error;
}

/** Adds `pages` of vrm.vma's kind to the mm's counters (vrm_stat_account). @locked mmapLock(write) */
export function vrmStatAccount(task: Task, vrm: VmaRemap, pages: number): Sim<void> {
  const { heap } = task;
  const flags = vmaFlags(heap, vrm.vma);
  vmStatAccount(task, vrm.mm, flags, pages);
  if ((flags & VM_LOCKED) !== 0) setMmLockedVm(heap, vrm.mm, mmLockedVm(heap, vrm.mm) + pages);
}

/** Moves the entries; if that fails, moves them back and makes the new range what is to be unmapped. */
function moveEntries(task: Task, vrm: VmaRemap, copied: CopiedVma): Sim<number> {
  const { mm, addr, newAddr, oldLen } = vrm;
  const { oldVma, newVma, needRmapLocks } = copied;
  const moved = movePageTables(task, {
    mm,
    oldVma,
    newVma,
    oldStart: addr,
    newStart: newAddr,
    nrPages: oldLen,
    needRmapLocks,
    forStack: false,
  });
  if (moved === oldLen) {
    fixupReservations(task, vrm, oldVma);
    return 0;
  }
  // Cannot fail: the tables are still there.
  movePageTables(task, {
    mm,
    oldVma: newVma,
    newVma: oldVma,
    oldStart: newAddr,
    newStart: addr,
    nrPages: moved,
    needRmapLocks: true,
    forStack: false,
  });
  fixupReservations(task, vrm, oldVma);
  vrm.vma = newVma;
  vrm.oldLen = vrm.newLen;
  vrm.addr = newAddr;
  return -ENOMEM;
}

/** What was promised to a hugetlb source is the copy's now. */
function fixupReservations(task: Task, { addr, oldLen }: VmaRemap, oldVma: VmaPtr): Sim<void> {
  if ((vmaFlags(task.heap, oldVma) & VM_HUGETLB) === 0) return;
  fixupHugetlbReservations(task, oldVma, addr, (addr + oldLen) as Vpn);
}

/**
 * The source stays mapped but empty. It is not locked any more - the whole VMA, even if a part was moved - and if all of it
 * was moved it is as if never faulted.
 */
function dontunmapComplete(task: Task, vrm: VmaRemap, newVma: VmaPtr): Sim<void> {
  const { heap } = task;
  const { vma } = vrm;
  if ((vmaFlags(heap, vma) & VM_LOCKED) !== 0) addMmStrandedLockedVm(heap, vrm.mm, vmaPages(heap, vma));
  changeFlags(task, vrm.mm, vma, 0, VM_LOCKED | VM_LOCKONFAULT);
  const whole = vrm.addr === vmaStart(heap, vma) && vrm.addr + vrm.oldLen === vmaEnd(heap, vma);
  if (newVma !== vma && whole) unlinkAnonVmas(task, vma);
}

/** Unmaps the source, or after a failure the target; nothing where a mapping was only duplicated. Best effort: without memory for a split it simply stays. */
function unmapSourceVma(task: Task, vrm: VmaRemap): Sim<void> {
  const { heap } = task;
  const { mm, vma, addr } = vrm;
  const end = (addr + vrm.oldLen) as Vpn;
  const accountable = (vmaFlags(heap, vma) & VM_ACCOUNT) !== 0 && (vrm.flags & MREMAP_DONTUNMAP) === 0;
  const vmaFirst = vmaStart(heap, vma);
  const vmaLast = vmaEnd(heap, vma);
  if (accountable) changeFlags(task, mm, vma, 0, VM_ACCOUNT);
  const error = doMunmap(task, mm, addr, vrm.oldLen, false);
  vrm.vma = NO_VMA;
  if (error !== 0 || !accountable) return;
  if (vmaFirst < addr) changeFlags(task, mm, vmaFindBelow(task, mm, addr), VM_ACCOUNT, 0);
  if (vmaLast > end) changeFlags(task, mm, vmaFind(task, mm, end), VM_ACCOUNT, 0);
}

/** Sets and clears flags of a VMA (vm_flags_mod). */
function changeFlags(task: Task, mm: MmPtr, vma: VmaPtr, set: number, clear: number): Sim<void> {
  vmaStartWrite(task, mm, vma);
  task.check?.guardedWrite(task, 'vmaFlags', vma);
  setVmaFlags(task.heap, vma, (vmaFlags(task.heap, vma) | set) & ~clear);
}
