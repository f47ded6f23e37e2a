/**
 * Carrying a decided merge out: the target VMA takes over its new range, and with it the anon_vma of whoever mapped pages
 * there.
 *
 * Lock order here: mmapLock(write) > VMA write of everyone concerned > anon_vma root(write).
 *
 * Invariants
 *   EXPAND-1  On failure no VMA has changed: the only thing done before is a cloned chain, and that is unlinked again.
 *
 * Kernel: vma_expand(), commit_merge(), dup_anon_vma(), vma_shrink() in mm/vma.c.
 */

import { assert } from '../base/assert.ts';
import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, NO_NODE, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { setVmaAnonVma, vmaAnonVma, vmaEnd, vmaPgoff, vmaStart } from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { anonVmaClone } from './anonVmaClone.ts';
import { unlinkAnonVmas } from './unlinkAnonVmas.ts';
import { initVmaPrep, vmaComplete, vmaPrepare, vmaSetRange, type VmaPrepare } from './vmaAdjust.ts';
import type { VmaMerge } from './vmaMergeRules.ts';
import { vmaTreePrealloc, vmaTreeStore } from './vmaTree.ts';

/**
 * Makes `vmg.target` cover [vmg.start, vmg.end), swallowing `vmg.next` if that ends there too (vma_expand).
 *
 * @returns 0 or -ENOMEM; when the memory for the tree was missing, vmg.state says so
 * @locked mmapLock(write)
 */
export function vmaExpand(task: Task, vmg: VmaMerge): Sim<number> {
  const { heap } = task;
  const { mm, target, next, copiedFrom } = vmg;
  vmaStartWrite(task, mm, target);
  vmg.removeNext = next !== NO_VMA && next !== target && vmg.end === vmaEnd(heap, next);
  const unfaulted = vmaAnonVma(heap, target) === NO_ANON_VMA;
  if (vmg.removeNext && dupAnonVma(task, target, next) !== 0) return -ENOMEM;
  if (copiedFrom !== NO_VMA && dupAnonVma(task, target, copiedFrom) !== 0) return -ENOMEM;
  if (vmg.removeNext) vmaStartWrite(task, mm, next);
  if (commitMerge(task, vmg) === 0) return 0;
  if (unfaulted) unlinkAnonVmas(task, target);
  vmg.state = 'outOfMemory';
  return -ENOMEM;
}

/**
 * A target without an anon_vma inherits that of `source` with its whole chain: pages of the source become the target's
 * (dup_anon_vma).
 *
 * @returns 0 or -ENOMEM, the target then unchanged
 * @locked mmapLock(write), VMA write of the target
 */
export function dupAnonVma(task: Task, target: VmaPtr, source: VmaPtr): Sim<number> {
  const { heap } = task;
  const anonVma = vmaAnonVma(heap, source);
  if (anonVma === NO_ANON_VMA || vmaAnonVma(heap, target) !== NO_ANON_VMA) return 0;
  // Set before the clone counts it. A fault cannot use it yet: it needs the VMA's lock, and we write-hold that.
  task.check?.guardedWrite(task, 'vmaAnonVma', target);
  setVmaAnonVma(heap, target, anonVma);
  return anonVmaClone(task, target, source, 'mergeUnfaulted');
}

/** Changes ranges, tree and VMAs as the merge says (commit_merge). @returns 0 or -ENOMEM, nothing then changed */
export function commitMerge(task: Task, vmg: VmaMerge): Sim<number> {
  const { heap } = task;
  const { mm, target } = vmg;
  const node = vmaTreePrealloc(task, mm);
  if (node === NO_NODE) return -ENOMEM;
  const vp = prepForMerge(vmg);
  vmaPrepare(task, vp);
  vmaSetRange(task, vp.vma, vmg.start, vmg.end, vmg.pgoff);
  if (vp.adjNext !== NO_VMA) moveStart(task, vp.adjNext, vmg.end);
  vmaTreeStore(task, mm, node, vmaStart(heap, target), vmaEnd(heap, target), target);
  vmaComplete(task, vp, NO_NODE);
  return 0;
}

/**
 * Cuts a VMA down to [start, end) at one of its ends (vma_shrink).
 *
 * @returns 0 or -ENOMEM
 * @locked mmapLock(write)
 */
export function vmaShrink(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn, pgoff: number): Sim<number> {
  const { heap } = task;
  const oldStart = vmaStart(heap, vma);
  const oldEnd = vmaEnd(heap, vma);
  assert((oldStart === start) !== (oldEnd === end), 'vma shrink: not at one end');
  const node = vmaTreePrealloc(task, mm);
  if (node === NO_NODE) return -ENOMEM;
  vmaStartWrite(task, mm, vma);
  const vp = initVmaPrep(mm, vma);
  vmaPrepare(task, vp);
  if (oldStart < start) vmaTreeStore(task, mm, node, oldStart, start, NO_VMA);
  else vmaTreeStore(task, mm, node, end, oldEnd, NO_VMA);
  vmaSetRange(task, vma, start, end, pgoff);
  vmaComplete(task, vp, NO_NODE);
  return 0;
}

/** Whose fields change (init_multi_vma_prep). */
function prepForMerge(vmg: VmaMerge): VmaPrepare {
  // When the border between middle and next moves down, it is middle that gets [start, end), and next the rest.
  const vma = vmg.adjustNextStart ? vmg.middle : vmg.target;
  const remove: VmaPtr[] = [];
  if (vmg.removeMiddle) remove.push(vmg.middle);
  if (vmg.removeNext) remove.push(vmg.next);
  let adjNext: VmaPtr = NO_VMA;
  if (vmg.adjustMiddleStart) adjNext = vmg.middle;
  else if (vmg.adjustNextStart) adjNext = vmg.next;
  return { ...initVmaPrep(vmg.mm, vma), adjNext, remove: remove[0] ?? NO_VMA, remove2: remove[1] ?? NO_VMA };
}

/** Moves the start of a VMA in either direction, its page offsets with it (vmg_adjust_set_range). */
function moveStart(task: Task, vma: VmaPtr, start: Vpn): Sim<void> {
  const { heap } = task;
  const pgoff = vmaPgoff(heap, vma) + (start - vmaStart(heap, vma));
  vmaSetRange(task, vma, start, vmaEnd(heap, vma), pgoff);
}
