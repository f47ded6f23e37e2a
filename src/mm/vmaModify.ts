/**
 * New flags for a part of a VMA: merged with a neighbour that has them already, else split off.
 *
 * Kernel: vma_modify(), vma_modify_flags() in mm/vma.c. Not modelled: changes of policy, name, userfaultfd context.
 */

import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { vmaEnd, vmaStart } from '../layout/vma.ts';
import { vmaMergeExistingRange } from './vmaMerge.ts';
import { vmgForVma } from './vmaMergeRules.ts';
import { splitVma } from './vmaSplit.ts';

/**
 * Makes [start, end) of `vma` a matter of one VMA, as preparation for giving that one `flags`. The flags themselves are
 * still the caller's to set; a VMA that took the range over has them.
 *
 * @param prev the VMA before `vma`, or `vma` itself when the range does not begin at its start
 * @returns the VMA that covers the range, or -ENOMEM. If the second of two splits fails, the first stays.
 * @locked mmapLock(write)
 */
export function vmaModifyFlags(
  task: Task,
  mm: MmPtr,
  prev: VmaPtr,
  vma: VmaPtr,
  start: Vpn,
  end: Vpn,
  flags: number,
): Sim<number> {
  const { heap } = task;
  const vmg = { ...vmgForVma(task, mm, vma, start, end), prev, flags };
  const merged = vmaMergeExistingRange(task, vmg);
  if (merged !== NO_VMA) return merged;
  if (vmg.state === 'outOfMemory') return -ENOMEM;
  if (vmaStart(heap, vma) < start) {
    const error = splitVma(task, mm, vma, start, true);
    if (error !== 0) return error;
  }
  if (vmaEnd(heap, vma) > end) {
    const error = splitVma(task, mm, vma, end, false);
    if (error !== 0) return error;
  }
  return vma;
}
