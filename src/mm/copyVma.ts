/**
 * mremap's new VMA: by merging into a neighbour of the destination, or as a copy of its own.
 *
 * Lock order here: mmapLock(write) > VMA write > i_mmap_rwsem(write) or anon_vma root(write).
 *
 * Invariants
 *   COPY-1  The copy is linked to every anon_vma of the source before an entry moves, so that walks find pages at both places.
 *   COPY-2  Memory that was never faulted takes the page offsets of its new place, which lets it merge there. Faulted memory
 *           keeps its numbering for ever: folio->index, VMA and place in the page table would have to change as one.
 *   COPY-3  An rmap walk visits a tree by page offset, equal ones in order of insertion. A copy of its own has the source's
 *           offset or a higher one and is inserted later, so it is visited after the source: who missed a page there meets
 *           it here. A merged VMA may be visited first; then entries may only move under the rmap lock.
 *
 * Kernel: copy_vma() in mm/vma.c. Not modelled: policies, uprobes.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, NO_ANON_VMA, NO_NODE, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { vmaAnonVma, vmaEnd, vmaFile, vmaPgoff, vmaStart } from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { anonVmaClone } from './anonVmaClone.ts';
import { unlinkAnonVmas } from './unlinkAnonVmas.ts';
import { initVmaRange, vmaDup, vmaFree } from './vma.ts';
import { vmaStoreNew } from './vmaAdjust.ts';
import { vmaGetFile, vmaLinkFile } from './vmaFile.ts';
import { vmaMergeCopiedRange } from './vmaMerge.ts';
import { vmgForVma } from './vmaMergeRules.ts';
import { vmaFind, vmaFindBelow, vmaTreePrealloc } from './vmaTree.ts';

/** Outcome of copyVma. */
export interface CopiedVma {
  /** The VMA that covers the destination. */
  readonly newVma: VmaPtr;
  /** The source: another object than before if the merge swallowed it. */
  readonly oldVma: VmaPtr;
  /** A walk may visit newVma before oldVma. */
  readonly needRmapLocks: boolean;
}

/**
 * Makes the free range [at, at + nrPages) a continuation of `vma` from its page `from` on.
 *
 * @returns null without memory, nothing then changed
 * @locked mmapLock(write), VMA write of `vma`
 */
export function copyVma(
  task: Task,
  mm: MmPtr,
  vma: VmaPtr,
  from: Vpn,
  at: Vpn,
  nrPages: number,
): Sim<CopiedVma | null> {
  const { heap } = task;
  const oldStart = vmaStart(heap, vma);
  const unfaulted = vmaAnonVma(heap, vma) === NO_ANON_VMA && vmaFile(heap, vma) === NO_ADDRESS_SPACE;
  const end = (at + nrPages) as Vpn;
  const vmg = vmgForVma(task, mm, vma, at, end);
  vmg.pgoff = unfaulted ? at : vmaPgoff(heap, vma) + (from - oldStart);
  const { pgoff } = vmg;
  vmg.prev = vmaFindBelow(task, mm, at);
  vmg.next = vmaFind(task, mm, at);
  assert(vmg.next === NO_VMA || vmaStart(heap, vmg.next) >= end, 'copy vma: the destination is occupied');
  const merged = vmaMergeCopiedRange(task, vmg);
  if (merged === NO_VMA) {
    const newVma = newCopy(task, mm, vma, at, end, pgoff);
    return newVma === NO_VMA ? null : { newVma, oldVma: vma, needRmapLocks: false };
  }
  // The object `vma` may be freed by now, if the merge swallowed it.
  const swallowed = oldStart >= vmaStart(heap, merged) && oldStart < vmaEnd(heap, merged);
  assert(!swallowed || unfaulted, 'copy vma: merged with itself although its pages have their numbers');
  const oldVma = swallowed ? merged : vma;
  return { newVma: merged, oldVma, needRmapLocks: vmaPgoff(heap, merged) <= vmaPgoff(heap, oldVma) };
}

/** A VMA of its own for the destination. @returns 0 without memory */
function newCopy(task: Task, mm: MmPtr, vma: VmaPtr, at: Vpn, end: Vpn, pgoff: number): Sim<VmaPtr> {
  const copy = vmaDup(task, vma);
  if (copy === NO_VMA) return NO_VMA;
  initVmaRange(task.heap, copy, at, end, pgoff);
  if (anonVmaClone(task, copy, vma, 'remap') !== 0) {
    vmaFree(task, copy);
    return NO_VMA;
  }
  const node = vmaTreePrealloc(task, mm);
  if (node === NO_NODE) {
    unlinkAnonVmas(task, copy);
    vmaFree(task, copy);
    return NO_VMA;
  }
  vmaGetFile(task, copy);
  vmaStartWrite(task, mm, copy);
  vmaStoreNew(task, mm, node, copy);
  vmaLinkFile(task, copy);
  return copy;
}
