/**
 * Splitting a VMA in two.
 *
 * Lock order here: mmapLock(write) > VMA write of both halves > anon_vma root(write).
 *
 * Invariants
 *   SPLIT-1  A page of the VMA is reachable by rmap walks at every moment: the new half is linked to the anon_vmas, with
 *            its final range, while the old one still covers everything; only then does the old one shrink.
 *   SPLIT-2  A split that fails has changed nothing.
 *
 * The rule splitVma.publish turns SPLIT-1 off: the old half shrinks first, the new one is linked afterwards.
 *
 * Kernel: __split_vma(), split_vma() in mm/vma.c. Not modelled: transparent huge pages.
 */

import { assert } from '../base/assert.ts';
import { EINVAL, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { avcAnonVma, avcSameVmaNext } from '../layout/anonVma.ts';
import { NO_AVC, NO_NODE, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { mmMapCount, mmMaxMapCount } from '../layout/mm.ts';
import { HUGE_PAGES } from '../layout/page.ts';
import { VM_HUGETLB, vmaAvcFirst, vmaEnd, vmaFlags, vmaPgoff, vmaStart } from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { anonVmaClone } from './anonVmaClone.ts';
import { avcInsert, avcRemove } from './anonVmaChain.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite } from './anonVmaLock.ts';
import { initVmaPrep, vmaComplete, vmaPrepare, vmaSetRange } from './vmaAdjust.ts';
import { initVmaRange, vmaDup, vmaFree } from './vma.ts';
import { vmaGetFile } from './vmaFile.ts';
import { vmaTreeCancel, vmaTreePrealloc } from './vmaTree.ts';

/**
 * Splits `vma` at `at`, within the limit of mappings (split_vma).
 *
 * @param newBelow the lower half becomes the new VMA, else the upper one; `vma` stays the other half
 * @returns 0, -ENOMEM, or -EINVAL inside a huge page
 * @locked mmapLock(write)
 */
export function splitVma(task: Task, mm: MmPtr, vma: VmaPtr, at: Vpn, newBelow: boolean): Sim<number> {
  if (mmMapCount(task.heap, mm) >= mmMaxMapCount(task.heap, mm)) return -ENOMEM;
  return splitVmaUnlimited(task, mm, vma, at, newBelow);
}

/** splitVma without the limit: munmap may exceed it for a moment, for it frees mappings in the end (__split_vma). */
export function splitVmaUnlimited(task: Task, mm: MmPtr, vma: VmaPtr, at: Vpn, newBelow: boolean): Sim<number> {
  const { heap } = task;
  const start = vmaStart(heap, vma);
  const end = vmaEnd(heap, vma);
  const pgoff = vmaPgoff(heap, vma);
  const pgoffAt = pgoff + (at - start);
  assert(start < at && at < end, 'split: not inside the VMA');
  if (!maySplit(task, vma, at)) return -EINVAL;
  const half = vmaDup(task, vma);
  if (half === NO_VMA) return -ENOMEM;
  if (newBelow) initVmaRange(heap, half, start, at, pgoff);
  else initVmaRange(heap, half, at, end, pgoffAt);
  const node = vmaTreePrealloc(task, mm);
  if (node === NO_NODE) {
    vmaFree(task, half);
    return -ENOMEM;
  }
  if (anonVmaClone(task, half, vma, 'split') !== 0) {
    vmaTreeCancel(task, node);
    vmaFree(task, half);
    return -ENOMEM;
  }
  vmaGetFile(task, half);
  vmaStartWrite(task, mm, vma);
  vmaStartWrite(task, mm, half);
  const linkLate = task.rules.splitVma.publish === 'rangeShrunkBeforeAvcLinked';
  if (linkLate) hideFromRmap(task, half);
  const vp = { ...initVmaPrep(mm, vma), insert: half };
  vmaPrepare(task, vp);
  if (newBelow) vmaSetRange(task, vma, at, end, pgoffAt);
  else vmaSetRange(task, vma, start, at, pgoff);
  vmaComplete(task, vp, node);
  if (linkLate) showToRmap(task, half);
  return 0;
}

/** vm_ops->may_split: a huge page belongs to one VMA (hugetlb_vm_op_split). */
function maySplit(task: Task, vma: VmaPtr, at: Vpn): Sim<boolean> {
  return (vmaFlags(task.heap, vma) & VM_HUGETLB) === 0 || at % HUGE_PAGES === 0;
}

/** Takes the cloned chain out of the trees again: as if the clone came after the adjustment, but without its failure. */
function hideFromRmap(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  for (let avc = vmaAvcFirst(heap, vma); avc !== NO_AVC; avc = avcSameVmaNext(heap, avc)) {
    const anonVma = avcAnonVma(heap, avc);
    anonVmaLockWrite(task, anonVma);
    avcRemove(task, avc, anonVma);
    anonVmaUnlockWrite(task, anonVma);
  }
}

function showToRmap(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  for (let avc = vmaAvcFirst(heap, vma); avc !== NO_AVC; avc = avcSameVmaNext(heap, avc)) {
    const anonVma = avcAnonVma(heap, avc);
    anonVmaLockWrite(task, anonVma);
    avcInsert(task, avc, vma, anonVma);
    anonVmaUnlockWrite(task, anonVma);
  }
}
