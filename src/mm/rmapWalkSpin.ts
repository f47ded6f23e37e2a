/**
 * How rmap walks locked when anon_vmas had spinlocks, each its own or (rootOnly) the root's for all.
 *
 *   rootOnly            2.6.36: one lock for the tree of anon_vmas; nothing is nested.
 *   eachInListOrder     The page's anon_vma, and inside it the own anon_vma of each VMA visited. Two walks that start at
 *                       different anon_vmas take the same two locks in either order.
 *   rootFirstOldToNew   The patch of May 2010: find the oldest anon_vma over the chain of the first VMA, lock it in place of
 *                       the page's, walk its list (all relatives), and nest the others inside. That the root found is
 *                       the root, and that it stays, hangs on the order in which chains are unlinked.
 *
 * Lock order here: RCU > the walk's anon_vma > the visited VMA's anon_vma (subclass 1).
 *
 * RCU is read-held over the whole walk: nobody counts a reference, so it is all that keeps the memory an anon_vma.
 *
 * Kernel: page_lock_anon_vma() and rmap_walk_anon() of 2.6.34; anon_vma_lock_root() and anon_vma_lock_nested() of the patch.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { anonVmaSpinLock, anonVmaTree, avcAnonVma, avcVma, treeNodeAvc } from '../layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type AnonVmaPtr, type VmaPtr } from '../layout/ids.ts';
import { vmaAnonVma, vmaAvcLast } from '../layout/vma.ts';
import { SINGLE_DEPTH_NESTING } from '../locks/lockHooks.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { anonVmaLockRead, anonVmaUnlockRead } from './anonVmaLock.ts';
import { intervalTreeIterFirst } from './intervalTree.ts';

/**
 * Enters RCU and locks the anon_vma for a walk.
 *
 * @returns the anon_vma whose list is to be walked, or 0 (nothing held) when the list is empty
 */
export function lockEachAnonVma(task: Task, anonVma: AnonVmaPtr): Sim<AnonVmaPtr> {
  rcuReadLock(task);
  anonVmaLockRead(task, anonVma);
  if (task.rules.rmapWalk.lockScheme !== 'rootFirstOldToNew') return anonVma;
  const root = findRootByChain(task, anonVma);
  if (root === anonVma) return anonVma;
  // Two anon_vmas cannot be locked in this direction, so the page's is unlocked first. What made the root the root
  // may be gone when its lock is taken.
  anonVmaUnlockRead(task, anonVma);
  if (root === NO_ANON_VMA) {
    rcuReadUnlock(task);
    return NO_ANON_VMA;
  }
  anonVmaLockRead(task, root);
  return root;
}

/** Undoes lockEachAnonVma. */
export function unlockEachAnonVma(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  anonVmaUnlockRead(task, anonVma);
  rcuReadUnlock(task);
}

/**
 * Locks the own anon_vma of a visited VMA inside the walk's, where the scheme wants it.
 *
 * @returns the anon_vma to unlock after the visit, 0 if none
 */
export function lockVisited(task: Task, walked: AnonVmaPtr, vma: VmaPtr): Sim<AnonVmaPtr> {
  if (task.rules.rmapWalk.lockScheme === 'rootOnly') return NO_ANON_VMA;
  const own = vmaAnonVma(task.heap, vma);
  if (own === NO_ANON_VMA || own === walked) return NO_ANON_VMA;
  spinLock(task, anonVmaSpinLock(own), SINGLE_DEPTH_NESTING);
  return own;
}

/** Undoes lockVisited. */
export function unlockVisited(task: Task, own: AnonVmaPtr): Sim<void> {
  spinUnlock(task, anonVmaSpinLock(own));
}

/** The anon_vma at the end of the chain of the first VMA on the list: the oldest, as long as chains are kept in order. */
function findRootByChain(task: Task, anonVma: AnonVmaPtr): Sim<AnonVmaPtr> {
  const { heap } = task;
  const first = treeNodeAvc(intervalTreeIterFirst(heap, anonVmaTree(anonVma), 0, 0));
  if (first === NO_AVC) return NO_ANON_VMA;
  const last = vmaAvcLast(heap, avcVma(heap, first));
  return last === NO_AVC ? NO_ANON_VMA : avcAnonVma(heap, last);
}
