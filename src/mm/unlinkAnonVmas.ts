/**
 * The end of a VMA's edges: rmap walks stop seeing it, and anon_vmas that nobody is linked to any more are freed.
 *
 * Lock order here: mmapLock > anon_vma lock. Nothing is freed under the lock: freeing an anon_vma may take it.
 *
 * Kernel: unlink_anon_vmas() in mm/rmap.c.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  anonVmaNumActiveVmas,
  anonVmaNumChildren,
  anonVmaParent,
  anonVmaRbRoot,
  avcAnonVma,
  avcSameVmaNext,
  avcSameVmaPrev,
} from '../layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type AnonVmaPtr, type AvcPtr, type VmaPtr } from '../layout/ids.ts';
import { setVmaAnonVma, vmaAnonVma, vmaAvcFirst, vmaAvcLast } from '../layout/vma.ts';
import { getAnonVma, putAnonVma } from './anonVma.ts';
import { avcFree, avcRemove, avcUnchain } from './anonVmaChain.ts';
import { addActiveVma, addChild, addChildLocked } from './anonVmaCounters.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite, locksWholeTree } from './anonVmaLock.ts';

/**
 * unlink_anon_vmas(): takes the VMA out of every anon_vma; it has no pages left, or another VMA has taken them over.
 *
 * @locked mmapLock (read suffices once the VMA is detached)
 */
export function unlinkAnonVmas(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  const own = vmaAnonVma(heap, vma);
  if (own === NO_ANON_VMA) {
    assert(vmaAvcFirst(heap, vma) === NO_AVC, 'unlink_anon_vmas: a chain without an anon_vma');
    return;
  }
  if (locksWholeTree(task.rules)) {
    anonVmaLockWrite(task, own);
    for (let avc = firstToUnlink(task, vma); avc !== NO_AVC;) avc = unlinkOne(task, vma, avc);
    addActiveVma(task, own, -1);
    task.check?.guardedWrite(task, 'vmaAnonVma', vma);
    setVmaAnonVma(heap, vma, NO_ANON_VMA);
    anonVmaUnlockWrite(task, own);
  } else {
    unlinkOneByOne(task, vma);
  }
  freeEmptyAnonVmas(task, vma);
}

/**
 * Takes one AVC out of its tree and frees it, unless it was the tree's last: then it stays on the list, for its anon_vma
 * is to be freed.
 *
 * @locked root lock for write
 * @returns the AVC behind it
 */
function unlinkOne(task: Task, vma: VmaPtr, avc: AvcPtr): Sim<AvcPtr> {
  const { heap } = task;
  const next = nextToUnlink(task, avc);
  const anonVma = avcAnonVma(heap, avc);
  avcRemove(task, avc, anonVma);
  if (anonVmaRbRoot(heap, anonVma) === NO_AVC) {
    addChild(task, anonVmaParent(heap, anonVma), -1);
  } else {
    avcUnchain(task, vma, avc);
    avcFree(task, avc);
  }
  return next;
}

/**
 * The same in the kernel of 2010: each anon_vma under its own lock. Walks may see the VMA half unlinked, and other VMAs
 * may be unlinked meanwhile, so what is counted in a parent needs the parent pinned.
 */
function unlinkOneByOne(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  const own = vmaAnonVma(heap, vma);
  const pinned = pinChain(task, vma);
  let avc = firstToUnlink(task, vma);
  while (avc !== NO_AVC) {
    const next = nextToUnlink(task, avc);
    const anonVma = avcAnonVma(heap, avc);
    anonVmaLockWrite(task, anonVma);
    avcRemove(task, avc, anonVma);
    if (anonVma === own) addActiveVma(task, own, -1);
    const isEmpty = anonVmaRbRoot(heap, anonVma) === NO_AVC;
    anonVmaUnlockWrite(task, anonVma);
    if (isEmpty) {
      addChildLocked(task, anonVmaParent(heap, anonVma), -1);
    } else {
      avcUnchain(task, vma, avc);
      avcFree(task, avc);
    }
    avc = next;
  }
  setVmaAnonVma(heap, vma, NO_ANON_VMA);
  for (const anonVma of pinned) putAnonVma(task, anonVma);
}

/** References on all anon_vmas of the chain; the parent of each is one of them. */
function pinChain(task: Task, vma: VmaPtr): Sim<AnonVmaPtr[]> {
  const { heap } = task;
  const pinned: AnonVmaPtr[] = [];
  for (let avc = vmaAvcFirst(heap, vma); avc !== NO_AVC; avc = avcSameVmaNext(heap, avc)) {
    getAnonVma(task, avcAnonVma(heap, avc));
    pinned.push(avcAnonVma(heap, avc));
  }
  return pinned;
}

/** Second pass, without the lock: what is left on the list leads to empty anon_vmas. */
function freeEmptyAnonVmas(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  for (let avc = firstToUnlink(task, vma); avc !== NO_AVC;) {
    const next = nextToUnlink(task, avc);
    const anonVma = avcAnonVma(heap, avc);
    if (locksWholeTree(task.rules)) {
      assert(anonVmaNumChildren(heap, anonVma) === 0, 'unlink_anon_vmas: an empty anon_vma has children');
      assert(anonVmaNumActiveVmas(heap, anonVma) === 0, 'unlink_anon_vmas: an empty anon_vma is in use');
    }
    putAnonVma(task, anonVma);
    avcUnchain(task, vma, avc);
    avcFree(task, avc);
    avc = next;
  }
}

/** Newest first leaves the root, which holds the lock, for last: as long as chains are kept in that order. */
function firstToUnlink(task: Task, vma: VmaPtr): Sim<AvcPtr> {
  const newestFirst = task.rules.anonVma.unlinkOrder === 'newestFirst';
  return newestFirst ? vmaAvcFirst(task.heap, vma) : vmaAvcLast(task.heap, vma);
}

function nextToUnlink(task: Task, avc: AvcPtr): Sim<AvcPtr> {
  const newestFirst = task.rules.anonVma.unlinkOrder === 'newestFirst';
  return newestFirst ? avcSameVmaNext(task.heap, avc) : avcSameVmaPrev(task.heap, avc);
}
