/**
 * fork's half of the rmap: the child's VMA is linked to all anon_vmas of the parent's, for the pages they share, and gets
 * one of its own, for the pages it will copy.
 *
 * Lock order here: mmapLock(write) of parent and child > anon_vma lock.
 *
 * Kernel: anon_vma_fork() in mm/rmap.c.
 */

import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { readOnceAnonVmaRoot, setAnonVmaParent, setAnonVmaRoot } from '../layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type AnonVmaPtr, type AvcPtr, type VmaPtr } from '../layout/ids.ts';
import { setVmaAnonVma, vmaAnonVma } from '../layout/vma.ts';
import { anonVmaAlloc, getAnonVma, putAnonVma } from './anonVma.ts';
import { avcAlloc, avcAssign, avcFree, avcInsert } from './anonVmaChain.ts';
import { anonVmaClone } from './anonVmaClone.ts';
import { addActiveVma, addChild, addChildLocked } from './anonVmaCounters.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite, locksWholeTree } from './anonVmaLock.ts';

/**
 * anon_vma_fork(): attaches `child` to the anon_vmas of `parent` and to its own.
 *
 * @locked mmapLock(write) of both mms
 * @returns 0, or -ENOMEM with `child` linked to nothing
 */
export function anonVmaFork(task: Task, child: VmaPtr, parent: VmaPtr): Sim<number> {
  const { heap } = task;
  const parentAnonVma = vmaAnonVma(heap, parent);
  if (parentAnonVma === NO_ANON_VMA) return 0;
  // The copied pointer is the parent's; clone may choose an abandoned one in its place.
  setVmaAnonVma(heap, child, NO_ANON_VMA);
  // Both before clone: once the child is linked there is no way back that cannot fail to allocate.
  const anonVma = anonVmaAlloc(task);
  if (anonVma === NO_ANON_VMA) return -ENOMEM;
  const avc = avcAlloc(task);
  if (avc === NO_AVC) {
    putAnonVma(task, anonVma);
    return -ENOMEM;
  }
  const error = anonVmaClone(task, child, parent, 'fork');
  if (error !== 0 || vmaAnonVma(heap, child) !== NO_ANON_VMA) {
    putAnonVma(task, anonVma);
    avcFree(task, avc);
    return error;
  }
  attachOwn(task, child, anonVma, avc, parentAnonVma);
  return 0;
}

/** Makes a fresh anon_vma the child's own and a child of the parent's. */
function attachOwn(task: Task, child: VmaPtr, anonVma: AnonVmaPtr, avc: AvcPtr, parent: AnonVmaPtr): Sim<void> {
  const { heap } = task;
  const root = readOnceAnonVmaRoot(heap, parent);
  setAnonVmaRoot(heap, anonVma, root);
  setAnonVmaParent(heap, anonVma, parent);
  // The lock lives in the root, so the root must outlive this anon_vma, which may outlive its process.
  getAnonVma(task, root);
  setVmaAnonVma(heap, child, anonVma);
  avcAssign(task, child, avc, anonVma);
  anonVmaLockWrite(task, anonVma);
  avcInsert(task, avc, child, anonVma);
  addActiveVma(task, anonVma, 1);
  if (locksWholeTree(task.rules)) addChild(task, parent, 1);
  anonVmaUnlockWrite(task, anonVma);
  if (!locksWholeTree(task.rules)) addChildLocked(task, parent, 1);
}
