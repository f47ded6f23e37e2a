/**
 * The lock of an anon_vma: which word it is, by the rules.
 *
 *   rootRwsem            the rwsem of the tree's root, and only that one (since 3.8; a spinlock in 2.6.36)
 *   perAnonVmaSpinlock   a spinlock in each anon_vma guards its own list (2.6.34); with walks by 'rootOnly' the root's
 *                        spinlock guards them all, which is the design of 2.6.36 (012f18004da3)
 *
 * Lock order here: mmapLock > anon_vma lock > page table locks. At most one anon_vma tree is locked at a time, but for
 * mm_take_all_locks.
 *
 * Kernel: anon_vma_lock_write() and kin in include/linux/rmap.h; anon_vma_lock() of 2.6.36.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { anonVmaRwSem, anonVmaSpinLock, readOnceAnonVmaRoot } from '../layout/anonVma.ts';
import type { AnonVmaPtr, SpinLockPtr } from '../layout/ids.ts';
import { downRead, downReadTrylock, downWrite, rwSemIsLocked, upRead, upWrite } from '../locks/rwSem.ts';
import { spinLock, spinTryLock, spinUnlock } from '../locks/spinLock.ts';
import type { Rules } from '../rules/rules.ts';

/** True if the root's rwsem is the lock; false under the spinlocks of 2010. */
export function usesRootRwsem(rules: Rules): boolean {
  return rules.anonVma.lock === 'rootRwsem';
}

/** True if one lock guards a root and all its descendants, false if each anon_vma has its own. */
export function locksWholeTree(rules: Rules): boolean {
  return usesRootRwsem(rules) || rules.rmapWalk.lockScheme === 'rootOnly';
}

/**
 * Locks the anon_vma's tree against rmap walks and other changes.
 *
 * @locked nothing below the mmap lock; a reference or a linked VMA keeps the anon_vma
 */
export function anonVmaLockWrite(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  if (usesRootRwsem(task.rules)) downWrite(task, anonVmaRwSem(readOnceAnonVmaRoot(task.heap, anonVma)));
  else spinLock(task, anonVmaSpin(task, anonVma));
}

/** Releases anonVmaLockWrite. */
export function anonVmaUnlockWrite(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  if (usesRootRwsem(task.rules)) upWrite(task, anonVmaRwSem(readOnceAnonVmaRoot(task.heap, anonVma)));
  else spinUnlock(task, anonVmaSpin(task, anonVma));
}

/** Locks the anon_vma for a walk; walks share the rwsem. */
export function anonVmaLockRead(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  if (usesRootRwsem(task.rules)) downRead(task, anonVmaRwSem(readOnceAnonVmaRoot(task.heap, anonVma)));
  else spinLock(task, anonVmaSpin(task, anonVma));
}

/** anonVmaLockRead that gives up when somebody is in the way. */
export function anonVmaTryLockRead(task: Task, anonVma: AnonVmaPtr): Sim<boolean> {
  if (usesRootRwsem(task.rules)) {
    return downReadTrylock(task, anonVmaRwSem(readOnceAnonVmaRoot(task.heap, anonVma)));
  }
  return spinTryLock(task, anonVmaSpin(task, anonVma));
}

/** Releases anonVmaLockRead. */
export function anonVmaUnlockRead(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  if (usesRootRwsem(task.rules)) upRead(task, anonVmaRwSem(readOnceAnonVmaRoot(task.heap, anonVma)));
  else spinUnlock(task, anonVmaSpin(task, anonVma));
}

/** True if anybody holds the root's rwsem. */
export function anonVmaRootIsLocked(task: Task, anonVma: AnonVmaPtr): Sim<boolean> {
  return rwSemIsLocked(task.heap, anonVmaRwSem(readOnceAnonVmaRoot(task.heap, anonVma)));
}

/** The spinlock that guards an anon_vma where there is no rwsem. */
function anonVmaSpin(task: Task, anonVma: AnonVmaPtr): Sim<SpinLockPtr> {
  if (!locksWholeTree(task.rules)) return anonVmaSpinLock(anonVma);
  return anonVmaSpinLock(readOnceAnonVmaRoot(task.heap, anonVma));
}
