/**
 * The only place where start, end and pgoff of a VMA that rmap walks can reach change, and what must surround it.
 *
 *   vmaPrepare    rmap locked, the VMAs that change taken out of their interval trees
 *   vmaSetRange   the three fields, one store after the other
 *   vmaComplete   a new VMA enters the tree, the others go back to theirs, rmap unlocked, VMAs that were swallowed freed
 *
 * Lock order here: mmapLock(write) > VMA write > i_mmap_rwsem(write) > anon_vma root(write).
 *
 * Invariants
 *   ADJUST-1  Nothing can fail between vmaPrepare and vmaComplete: memory was reserved before, nothing is allocated under
 *             the rmap lock (reclaim takes it).
 *   ADJUST-2  A walker that holds the root's lock never sees start, end and pgoff that do not belong together.
 *
 * The rule vmaAdjust.rmapLock turns ADJUST-2 off: in 2.6.34 vma_adjust() took no lock at all ('none'); a patch of May 2010
 * proposed the VMA's own anon_vma lock ('vmaAnonVma'), which does not keep out walks that hold another one of the tree.
 *
 * Kernel: vma_prepare(), vma_complete(), vma_set_range() in mm/vma.c. Not modelled: uprobes, huge pages.
 */

import { assert, assertNever } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { anonVmaRwSem, anonVmaSpinLock } from '../layout/anonVma.ts';
import {
  NO_ADDRESS_SPACE,
  NO_ANON_VMA,
  NO_VMA,
  type AddressSpacePtr,
  type AnonVmaPtr,
  type MmPtr,
  type VmaNodePtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { mmMapCount, setMmMapCount } from '../layout/mm.ts';
import { setVmaEnd, setVmaPgoff, setVmaStart, vmaAnonVma, vmaEnd, vmaFile, vmaStart } from '../layout/vma.ts';
import { downWrite, upWrite } from '../locks/rwSem.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { vmaMarkAttached, vmaMarkDetached } from '../locks/vmaLock.ts';
import { intervalTreePostUpdate, intervalTreePreUpdate } from './anonVmaChain.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite, usesRootRwsem } from './anonVmaLock.ts';
import { unlinkAnonVmas } from './unlinkAnonVmas.ts';
import { vmaFree } from './vma.ts';
import { iMmapLockWrite, iMmapUnlockWrite, vmaPutFile, vmaTreeInsert, vmaTreeRemove } from './vmaFile.ts';
import { vmaTreeStore } from './vmaTree.ts';

/** One adjustment. All VMAs named here are write-locked; 0 where there is none. */
export interface VmaPrepare {
  readonly mm: MmPtr;
  /** The VMA whose range changes. */
  readonly vma: VmaPtr;
  /** Its neighbour, when the border between the two moves. */
  readonly adjNext: VmaPtr;
  /** A VMA split off: enters the tree (in the reserved block) before rmap is unlocked. */
  readonly insert: VmaPtr;
  /** VMAs that the merge swallowed. */
  readonly remove: VmaPtr;
  readonly remove2: VmaPtr;
  /** The object that all of them map, 0 for anonymous memory; and whose anon_vma's lock was taken. Set by vmaPrepare. */
  mapping: AddressSpacePtr;
  anonVma: AnonVmaPtr;
}

/** Describes a change of one VMA's range and nothing else (init_vma_prep). */
export function initVmaPrep(mm: MmPtr, vma: VmaPtr): VmaPrepare {
  const none = { adjNext: NO_VMA, insert: NO_VMA, remove: NO_VMA, remove2: NO_VMA };
  return { mm, vma, ...none, mapping: NO_ADDRESS_SPACE, anonVma: NO_ANON_VMA };
}

/**
 * Opens an adjustment. The tree of the object that they map is locked until vmaComplete; if one of the two VMAs has an
 * anon_vma, its tree too.
 *
 * @locked mmapLock(write), VMA write of every VMA named
 */
export function vmaPrepare(task: Task, vp: VmaPrepare): Sim<void> {
  vp.mapping = vmaFile(task.heap, vp.vma);
  if (vp.mapping !== NO_ADDRESS_SPACE) {
    iMmapLockWrite(task, vp.mapping);
    // Before the old half shrinks, so that walks find every page of the two at any time.
    if (vp.insert !== NO_VMA) vmaTreeInsert(task, vp.mapping, vp.insert);
  }
  prepareAnonVma(task, vp);
  if (vp.mapping === NO_ADDRESS_SPACE) return;
  vmaTreeRemove(task, vp.mapping, vp.vma);
  if (vp.adjNext !== NO_VMA) vmaTreeRemove(task, vp.mapping, vp.adjNext);
}

/** The anon_vma's part of vmaPrepare. */
function prepareAnonVma(task: Task, vp: VmaPrepare): Sim<void> {
  vp.anonVma = vmaAnonVma(task.heap, vp.vma);
  if (vp.adjNext !== NO_VMA) {
    const other = vmaAnonVma(task.heap, vp.adjNext);
    if (vp.anonVma === NO_ANON_VMA) vp.anonVma = other;
    assert(other === NO_ANON_VMA || other === vp.anonVma, 'vma adjust: two VMAs with different anon_vmas');
  }
  if (vp.anonVma === NO_ANON_VMA) return;
  lockRmap(task, vp.anonVma);
  intervalTreePreUpdate(task, vp.vma);
  if (vp.adjNext !== NO_VMA) intervalTreePreUpdate(task, vp.adjNext);
}

/**
 * Gives a VMA its new range. Three stores: whoever reads without the lock that vmaPrepare takes may see one but not the next.
 *
 * @locked as vmaPrepare left it
 */
export function vmaSetRange(task: Task, vma: VmaPtr, start: Vpn, end: Vpn, pgoff: number): Sim<void> {
  const { heap } = task;
  assert(start < end, 'vma adjust: an empty range');
  task.check?.guardedWrite(task, 'vmaRange', vma);
  setVmaStart(heap, vma, start);
  setVmaEnd(heap, vma, end);
  setVmaPgoff(heap, vma, pgoff);
}

/**
 * Closes an adjustment.
 *
 * @param node the block reserved for `insert`; 0 when nothing is inserted
 * @locked as vmaPrepare left it; the rmap lock is released
 */
export function vmaComplete(task: Task, vp: VmaPrepare, node: VmaNodePtr): Sim<void> {
  if (vp.mapping !== NO_ADDRESS_SPACE) completeFile(task, vp, vp.mapping);
  if (vp.insert !== NO_VMA) vmaStoreNew(task, vp.mm, node, vp.insert);
  if (vp.anonVma !== NO_ANON_VMA) {
    intervalTreePostUpdate(task, vp.vma);
    if (vp.adjNext !== NO_VMA) intervalTreePostUpdate(task, vp.adjNext);
    unlockRmap(task, vp.anonVma);
  }
  if (vp.mapping !== NO_ADDRESS_SPACE) iMmapUnlockWrite(task, vp.mapping);
  if (vp.remove !== NO_VMA) removeMerged(task, vp.mm, vp.remove);
  if (vp.remove2 !== NO_VMA) removeMerged(task, vp.mm, vp.remove2);
}

/** Back into the object's tree under the new ranges; VMAs that were swallowed leave it. @locked i_mmap_rwsem for write */
function completeFile(task: Task, vp: VmaPrepare, mapping: AddressSpacePtr): Sim<void> {
  if (vp.adjNext !== NO_VMA) vmaTreeInsert(task, mapping, vp.adjNext);
  vmaTreeInsert(task, mapping, vp.vma);
  if (vp.remove !== NO_VMA) vmaTreeRemove(task, mapping, vp.remove);
  if (vp.remove2 !== NO_VMA) vmaTreeRemove(task, mapping, vp.remove2);
}

/**
 * A new VMA enters the tree: lookups find it and faults may take its lock once the write lock is gone (vma_iter_store_new).
 *
 * @locked mmapLock(write), VMA write of the new VMA
 */
export function vmaStoreNew(task: Task, mm: MmPtr, node: VmaNodePtr, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  vmaMarkAttached(task, vma);
  vmaTreeStore(task, mm, node, vmaStart(heap, vma), vmaEnd(heap, vma), vma);
  setMmMapCount(heap, mm, mmMapCount(heap, mm) + 1);
}

/** The range of a swallowed VMA belongs to another one by now. */
function removeMerged(task: Task, mm: MmPtr, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  vmaMarkDetached(task, vma);
  vmaPutFile(task, vma);
  unlinkAnonVmas(task, vma);
  setMmMapCount(heap, mm, mmMapCount(heap, mm) - 1);
  vmaFree(task, vma);
}

function lockRmap(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  const { rmapLock } = task.rules.vmaAdjust;
  switch (rmapLock) {
    case 'root':
      anonVmaLockWrite(task, anonVma);
      return;
    case 'vmaAnonVma':
      if (usesRootRwsem(task.rules)) downWrite(task, anonVmaRwSem(anonVma));
      else spinLock(task, anonVmaSpinLock(anonVma));
      return;
    case 'none':
      return;
    default:
      assertNever(rmapLock);
  }
}

function unlockRmap(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  const { rmapLock } = task.rules.vmaAdjust;
  switch (rmapLock) {
    case 'root':
      anonVmaUnlockWrite(task, anonVma);
      return;
    case 'vmaAnonVma':
      if (usesRootRwsem(task.rules)) upWrite(task, anonVmaRwSem(anonVma));
      else spinUnlock(task, anonVmaSpinLock(anonVma));
      return;
    case 'none':
      return;
    default:
      assertNever(rmapLock);
  }
}
