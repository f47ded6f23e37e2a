/**
 * The three ways a merge comes about: a new range, a range that mremap copies, a part of a VMA whose attributes change.
 *
 * Lock order here: mmapLock(write) > VMA write > anon_vma root(write).
 *
 * Invariants
 *   MERGE-1  Whoever grows over memory that was ever faulted is linked to the anon_vmas of its pages before it grows.
 *   MERGE-2  Left wins: when both neighbours match but not each other, the previous VMA grows.
 *
 * Kernel: vma_merge_new_range(), vma_merge_copied_range(), vma_merge_existing_range(), vma_merge_extend() in mm/vma.c.
 * Not modelled: close hooks (which forbid removing a VMA), brk's left-only mode, uprobes.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { vmaAnonVma, vmaEnd, vmaPgoff, vmaStart } from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { unlinkAnonVmas } from './unlinkAnonVmas.ts';
import { commitMerge, dupAnonVma, vmaExpand } from './vmaExpand.ts';
import { canMergeLeft, canMergeRight, vmgForVma, type VmaMerge } from './vmaMergeRules.ts';
import { vmaNext } from './vmaTree.ts';

/**
 * Tries to give a free range to a neighbour. The caller has set prev and next. What is mapped in the range, if anything, is
 * detached and about to go.
 *
 *   both       |prev|****|next|   ->   |prev------------|
 *   left       |prev|****|             |prev-----|
 *   right           |****|next|             |next-------|
 *
 * @returns the VMA that grew, or 0: declined or no memory (vmg.state)
 * @locked mmapLock(write)
 */
export function vmaMergeNewRange(task: Task, vmg: VmaMerge): Sim<VmaPtr> {
  const { heap } = task;
  const { prev, next } = vmg;
  assert(vmg.middle === NO_VMA && vmg.target === NO_VMA, 'merge: a new range has no VMA yet');
  vmg.state = 'noMerge';
  const left = canMergeLeft(task, vmg);
  const right = canMergeRight(task, vmg, left);
  if (right) {
    vmg.end = vmaEnd(heap, next);
    vmg.target = next;
  }
  if (left) {
    vmg.start = vmaStart(heap, prev);
    vmg.pgoff = vmaPgoff(heap, prev);
    vmg.target = prev;
  }
  if (vmg.target === NO_VMA || vmaExpand(task, vmg) !== 0) return NO_VMA;
  vmg.state = 'merged';
  return vmg.target;
}

/** As vmaMergeNewRange, for the range into which mremap copies `vmg.middle` (vma_merge_copied_range). */
export function vmaMergeCopiedRange(task: Task, vmg: VmaMerge): Sim<VmaPtr> {
  assert(vmg.middle !== NO_VMA, 'merge: nothing to copy from');
  vmg.copiedFrom = vmg.middle;
  vmg.middle = NO_VMA;
  return vmaMergeNewRange(task, vmg);
}

/**
 * Extends a VMA by `nrPages` free pages and merges it with the next one if they meet (vma_merge_extend).
 *
 * @returns the VMA, or 0 without memory
 * @locked mmapLock(write)
 */
export function vmaMergeExtend(task: Task, mm: MmPtr, vma: VmaPtr, nrPages: number): Sim<VmaPtr> {
  const end = vmaEnd(task.heap, vma);
  const vmg = vmgForVma(task, mm, vma, end, (end + nrPages) as Vpn);
  vmg.prev = vma;
  vmg.middle = NO_VMA;
  vmg.next = vmaNext(task, mm, vma);
  return vmaMergeNewRange(task, vmg);
}

/**
 * Tries to give [start, end) of `vmg.middle`, which has got new attributes, to a neighbour. The caller has set prev (middle
 * itself when the range does not begin at its start).
 *
 *   whole middle, both     |prev|******|next|   ->   |prev--------------|
 *   whole middle, left     |prev|******|             |prev-------|
 *   whole middle, right         |******|next|             |next---------|
 *   head of middle, left   |prev|****--|             |prev-----|middle|
 *   tail of middle, right       |--****|next|             |middle|next--|
 *
 * @returns the VMA that now covers the range, or 0: declined or no memory (vmg.state)
 * @locked mmapLock(write)
 */
export function vmaMergeExistingRange(task: Task, vmg: VmaMerge): Sim<VmaPtr> {
  const { heap } = task;
  const { mm, middle, prev, start, end } = vmg;
  assert(middle !== NO_VMA && vmg.next === NO_VMA, 'merge: an existing range has a VMA, its next is found here');
  vmg.state = 'noMerge';
  const atStart = start === vmaStart(heap, middle);
  const atEnd = end === vmaEnd(heap, middle);
  const left = atStart && canMergeLeft(task, vmg);
  if (atEnd) vmg.next = vmaNext(task, mm, middle);
  const right = atEnd && canMergeRight(task, vmg, left);
  if (!left && !right) return NO_VMA;
  vmg.removeMiddle = atStart && atEnd;
  vmg.removeNext = left && right;
  vmaStartWrite(task, mm, middle);
  if (right) vmaStartWrite(task, mm, vmg.next);
  if (left) vmaStartWrite(task, mm, prev);
  vmg.target = left ? prev : vmg.next;
  const unfaulted = vmaAnonVma(heap, vmg.target) === NO_ANON_VMA;
  const source = left && right && vmaAnonVma(heap, vmg.next) !== NO_ANON_VMA ? vmg.next : middle;
  if (left) planMergeLeft(task, vmg, right);
  else planMergeRight(task, vmg);
  if (dupAnonVma(task, vmg.target, source) !== 0) {
    vmg.state = 'outOfMemory';
    return NO_VMA;
  }
  if (commitMerge(task, vmg) !== 0) {
    if (unfaulted) unlinkAnonVmas(task, vmg.target);
    vmg.state = 'outOfMemory';
    return NO_VMA;
  }
  vmg.state = 'merged';
  return vmg.target;
}

/** prev grows over the range, and over next if that goes too. */
function planMergeLeft(task: Task, vmg: VmaMerge, both: boolean): Sim<void> {
  const { heap } = task;
  vmg.start = vmaStart(heap, vmg.prev);
  vmg.pgoff = vmaPgoff(heap, vmg.prev);
  if (both) vmg.end = vmaEnd(heap, vmg.next);
  vmg.adjustMiddleStart = !vmg.removeMiddle;
}

/** next grows down over the range; what is left of middle ends where the range began. */
function planMergeRight(task: Task, vmg: VmaMerge): Sim<void> {
  const { heap } = task;
  if (vmg.removeMiddle) {
    vmg.pgoff = vmaPgoff(heap, vmg.next) - (vmg.end - vmg.start);
    vmg.end = vmaEnd(heap, vmg.next);
    return;
  }
  vmg.adjustNextStart = true;
  vmg.end = vmg.start;
  vmg.start = vmaStart(heap, vmg.middle);
  vmg.pgoff = vmaPgoff(heap, vmg.middle);
}
