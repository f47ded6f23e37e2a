/**
 * Unmapping in two halves with a point of no return between them, for munmap itself and for a mapping that replaces others.
 *
 *   gather     split at the edges, write-lock and detach every VMA of the range; undone by reattach, but splits stay
 *   complete   the range is out of the tree: counts, zap, free - under the mmap lock downgraded to read if wanted
 *
 * Detached VMAs stay in the tree until the caller takes the range out. Faults do not reach them: they cannot be read-locked,
 * and the mmap lock is held for write. After the range is out nobody finds them, which is what makes the downgrade legal.
 *
 * Lock order here: mmapLock(write, then perhaps read) > VMA write > anon_vma root(write).
 *
 * Kernel: vms_gather_munmap_vmas(), vms_complete_munmap_vmas(), reattach_vmas() in mm/vma.c. The kernel collects the VMAs
 * in a second maple tree, whose memory may be missing; here it is a list. Not modelled: userfaultfd, commit charge.
 */

import { ENOMEM, EPERM } from '../base/errno.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { mmLockedVm, mmMapCount, mmMaxMapCount, setMmLockedVm, setMmMapCount } from '../layout/mm.ts';
import { VM_LOCKED, VM_SEALED, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapReadUnlock, mmapWriteDowngrade, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { vmaMarkAttached, vmaMarkDetached, vmaStartWrite } from '../locks/vmaLock.ts';
import { unmapRegion } from './unmapRegion.ts';
import { vmaFree, vmaPages } from './vma.ts';
import { vmaClose, vmaPutFile } from './vmaFile.ts';
import { splitVmaUnlimited } from './vmaSplit.ts';
import { vmStatAccount } from './vmStat.ts';
import { vmaFind, vmaFindBelow, vmaFindRange } from './vmaTree.ts';

/** One unmapping (struct vma_munmap_struct, vms). */
export interface VmaMunmap {
  readonly mm: MmPtr;
  /** First VMA of the range, 0 when nothing is mapped there; and the range. */
  readonly vma: VmaPtr;
  readonly start: Vpn;
  readonly end: Vpn;
  /** Release the mmap lock on success. */
  readonly unlock: boolean;

  /** What was gathered: the VMAs, their pages, how many of them are locked; the neighbours of the range. */
  readonly vmas: VmaPtr[];
  nrPages: number;
  lockedVm: number;
  prev: VmaPtr;
  next: VmaPtr;
  /** The pages are still mapped. */
  clearPtes: boolean;
}

/** Prepares to unmap [start, end), whose first VMA is `vma` (init_vma_munmap). */
export function initVmaMunmap(mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn, unlock: boolean): VmaMunmap {
  return {
    mm,
    vma,
    start,
    end,
    unlock,
    vmas: [],
    nrPages: 0,
    lockedVm: 0,
    prev: NO_VMA,
    next: NO_VMA,
    clearPtes: false,
  };
}

/**
 * Cuts the range out of the VMAs at its edges and detaches all VMAs inside (vms_gather_munmap_vmas).
 *
 * @returns 0; or -ENOMEM or -EPERM (a sealed VMA), every VMA then attached again, splits already made remain
 * @locked mmapLock(write)
 */
export function gatherMunmapVmas(task: Task, vms: VmaMunmap): Sim<number> {
  const { heap } = task;
  const { mm, start, end } = vms;
  assert(vms.vma !== NO_VMA, 'munmap: nothing to gather');
  if (start > vmaStart(heap, vms.vma)) {
    // The limit may be exceeded for a moment, for mappings go; but not when one VMA is to become two.
    const hole = end < vmaEnd(heap, vms.vma);
    if (hole && mmMapCount(heap, mm) >= mmMaxMapCount(heap, mm)) return -ENOMEM;
    if ((vmaFlags(heap, vms.vma) & VM_SEALED) !== 0) return -EPERM;
    const error = splitVmaUnlimited(task, mm, vms.vma, start, true);
    if (error !== 0) return error;
  }
  vms.prev = vmaFindBelow(task, mm, start);
  let vma = vmaFindRange(task, mm, start, end);
  while (vma !== NO_VMA) {
    let error = (vmaFlags(heap, vma) & VM_SEALED) === 0 ? 0 : -EPERM;
    if (error === 0 && vmaEnd(heap, vma) > end) error = splitVmaUnlimited(task, mm, vma, end, false);
    if (error !== 0) {
      reattachVmas(task, vms);
      return error;
    }
    vmaStartWrite(task, mm, vma);
    vmaMarkDetached(task, vma);
    vms.vmas.push(vma);
    const pages = vmaPages(heap, vma);
    vms.nrPages += pages;
    if ((vmaFlags(heap, vma) & VM_LOCKED) !== 0) vms.lockedVm += pages;
    vma = vmaFindRange(task, mm, vmaEnd(heap, vma), end);
  }
  vms.next = vmaFind(task, mm, end);
  vms.clearPtes = true;
  return 0;
}

/** Undoes the detaching: the VMAs were never taken out of the tree. @locked mmapLock(write) */
export function reattachVmas(task: Task, vms: VmaMunmap): Sim<void> {
  for (const vma of vms.vmas) vmaMarkAttached(task, vma);
  vms.vmas.length = 0;
}

/** Unmaps the pages of the gathered VMAs, once (vms_clear_ptes). */
export function clearMunmapPtes(task: Task, vms: VmaMunmap, mmWrLocked: boolean): Sim<void> {
  if (!vms.clearPtes) return;
  const { heap } = task;
  const floor = vms.prev === NO_VMA ? (0 as Vpn) : vmaEnd(heap, vms.prev);
  const ceiling = vms.next === NO_VMA ? (0 as Vpn) : vmaStart(heap, vms.next);
  unmapRegion(task, vms.mm, vms.vmas, floor, ceiling, mmWrLocked);
  vms.clearPtes = false;
}

/**
 * Finishes what cannot fail any more: the gathered VMAs are out of the tree (vms_complete_munmap_vmas).
 *
 * @locked mmapLock(write); released if vms.unlock
 */
export function completeMunmapVmas(task: Task, vms: VmaMunmap): Sim<void> {
  const { heap } = task;
  const { mm } = vms;
  setMmMapCount(heap, mm, mmMapCount(heap, mm) - vms.vmas.length);
  if (vms.lockedVm !== 0) setMmLockedVm(heap, mm, mmLockedVm(heap, mm) - vms.lockedVm);
  const downgraded = vms.unlock && task.rules.munmap.downgrade;
  if (downgraded) mmapWriteDowngrade(task, mm);
  clearMunmapPtes(task, vms, !downgraded);
  for (const vma of vms.vmas) {
    vmStatAccount(task, mm, vmaFlags(heap, vma), -vmaPages(heap, vma));
    vmaClose(task, vma);
    vmaPutFile(task, vma);
    vmaFree(task, vma);
  }
  if (downgraded) mmapReadUnlock(task, mm);
  else if (vms.unlock) mmapWriteUnlock(task, mm);
}
