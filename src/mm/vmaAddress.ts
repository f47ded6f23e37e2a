/**
 * The two directions of the linear mapping between page offsets and addresses that a VMA stands for.
 *
 * Kernel: vma_address() and linear_page_index() in mm/internal.h and include/linux/pagemap.h.
 */

import { EFAULT } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { VmaPtr, Vpn } from '../layout/ids.ts';
import { vmaEnd, vmaPgoff, vmaStart } from '../layout/vma.ts';

/**
 * vma_address(): where the page of offset `pgoff` is mapped in the VMA. The three fields belong together, but they are read
 * one by one: it takes the rmap lock (or the mmap lock) to read what belongs together.
 *
 * @locked root lock, mmapLock or the VMA
 * @returns the vpn, or -EFAULT if the VMA does not cover the page
 */
export function vmaAddress(task: Task, vma: VmaPtr, pgoff: number): Sim<number> {
  const { heap } = task;
  const first = vmaPgoff(heap, vma);
  if (pgoff < first) return -EFAULT;
  const start = vmaStart(heap, vma);
  const vpn = start + (pgoff - first);
  return vpn < vmaEnd(heap, vma) ? vpn : -EFAULT;
}

/** linear_page_index(): offset of the page at `vpn`. @locked mmapLock, the VMA or the root lock */
export function linearPageIndex(task: Task, vma: VmaPtr, vpn: Vpn): Sim<number> {
  const { heap } = task;
  return vpn - vmaStart(heap, vma) + vmaPgoff(heap, vma);
}
