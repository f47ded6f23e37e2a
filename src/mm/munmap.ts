/**
 * munmap(2) below the system call.
 *
 * Kernel: do_vmi_munmap(), do_vmi_align_munmap() in mm/vma.c.
 */

import { EINVAL, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_NODE, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { mmapWriteUnlock } from '../locks/mmapLock.ts';
import { completeMunmapVmas, gatherMunmapVmas, initVmaMunmap, reattachVmas } from './munmapVmas.ts';
import { TASK_END } from './userSpace.ts';
import { vmaFindRange, vmaTreePrealloc, vmaTreeStore } from './vmaTree.ts';

/**
 * Unmaps `nrPages` pages from `start`; holes do not matter.
 *
 * @param unlock release the mmap lock on success, downgrading it early; on failure it stays held
 * @returns 0, -EINVAL (empty range or beyond the address space), -EPERM (a sealed VMA in the range) or -ENOMEM; after the
 *          last two the VMAs are as before, perhaps split
 * @locked mmapLock(write)
 */
export function doMunmap(task: Task, mm: MmPtr, start: Vpn, nrPages: number, unlock: boolean): Sim<number> {
  if (!Number.isInteger(start) || start > TASK_END || nrPages > TASK_END - start || nrPages === 0) return -EINVAL;
  const end = (start + nrPages) as Vpn;
  const vma = vmaFindRange(task, mm, start, end);
  if (vma !== NO_VMA) return doAlignMunmap(task, mm, vma, start, end, unlock);
  if (unlock) mmapWriteUnlock(task, mm);
  return 0;
}

/** The same for a range whose first VMA is known. */
function doAlignMunmap(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn, unlock: boolean): Sim<number> {
  const vms = initVmaMunmap(mm, vma, start, end, unlock);
  const error = gatherMunmapVmas(task, vms);
  if (error !== 0) return error;
  const node = vmaTreePrealloc(task, mm);
  if (node === NO_NODE) {
    reattachVmas(task, vms);
    return -ENOMEM;
  }
  vmaTreeStore(task, mm, node, start, end, NO_VMA);
  completeMunmapVmas(task, vms);
  return 0;
}
