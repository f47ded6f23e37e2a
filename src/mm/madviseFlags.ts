/**
 * Advice that becomes a flag of the VMA, by splitting and merging as mprotect does.
 *
 * Lock order here: mmapLock(write) > VMA write > anon_vma root(write). MADV_UNMERGEABLE first takes KSM's pages out, by faults.
 *
 * Kernel: madvise_vma_behavior(), madvise_update_vma() in mm/madvise.c; ksm_madvise() in mm/ksm.c. Not modelled: special
 * mappings.
 */

import { EAGAIN, EINVAL, ENOMEM } from '../base/errno.ts';
import { fail } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, VmaPtr, Vpn } from '../layout/ids.ts';
import {
  VM_DONTCOPY,
  VM_HUGETLB,
  VM_MERGEABLE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  setVmaFlags,
  vmaFlags,
  vmaStart,
} from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WIPEONFORK,
} from './syscallFlags.ts';
import { breakMergedRange, madviseMergeable } from './ksmBreak.ts';
import { vmaModifyFlags } from './vmaModify.ts';
import { vmaPrev } from './vmaTree.ts';

/**
 * Gives [start, end) of the VMA the flags that the advice stands for. Without a change nothing is merged either.
 *
 * @returns the VMA that covers the range now; -EINVAL; -EINTR; or -EAGAIN without memory, the VMA may be split
 * @locked mmapLock(write)
 */
export function madviseFlags(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn, advice: number): Sim<number> {
  const { heap } = task;
  const oldFlags = vmaFlags(heap, vma);
  const newFlags = flagsAfter(task, mm, vma, start, end, oldFlags, advice);
  // madvise() says so: no memory now, perhaps later.
  if (newFlags < 0) return newFlags === -ENOMEM ? -EAGAIN : newFlags;
  if (newFlags === oldFlags) return vma;
  const prev = start > vmaStart(heap, vma) ? vma : vmaPrev(task, mm, vma);
  const modified = vmaModifyFlags(task, mm, prev, vma, start, end, newFlags);
  if (modified < 0) return -EAGAIN;
  const target = modified as VmaPtr;
  vmaStartWrite(task, mm, target);
  setVmaFlags(heap, target, newFlags);
  return target;
}

/** The flags that the VMA shall have, once everything is done that must come first; or an error. @locked mmapLock(write) */
function flagsAfter(
  task: Task,
  mm: MmPtr,
  vma: VmaPtr,
  start: Vpn,
  end: Vpn,
  flags: number,
  advice: number,
): Sim<number> {
  if (advice === MADV_MERGEABLE) return madviseMergeable(task, mm, flags);
  if (advice !== MADV_UNMERGEABLE) return flagsFor(flags, advice);
  const error = breakMergedRange(task, mm, vma, start, end);
  return error === 0 ? flags & ~VM_MERGEABLE : error;
}

/** The flags of a VMA after advice that needs nothing else, or -EINVAL. */
function flagsFor(flags: number, advice: number): number {
  switch (advice) {
    case MADV_NORMAL:
      return flags & ~(VM_RAND_READ | VM_SEQ_READ);
    case MADV_SEQUENTIAL:
      return (flags & ~VM_RAND_READ) | VM_SEQ_READ;
    case MADV_RANDOM:
      return (flags & ~VM_SEQ_READ) | VM_RAND_READ;
    case MADV_DONTFORK:
      return flags | VM_DONTCOPY;
    case MADV_DOFORK:
      return flags & ~VM_DONTCOPY;
    case MADV_WIPEONFORK:
      return (flags & (VM_SHARED | VM_HUGETLB)) === 0 ? flags | VM_WIPEONFORK : -EINVAL;
    case MADV_KEEPONFORK:
      return flags & ~VM_WIPEONFORK;
    default:
      return fail('madvise: the advice changes no flag');
  }
}
