/**
 * Every lock of an address space at once, for whoever registers an MMU notifier: no fault, no VMA change, no rmap walk that
 * could reach one of its pages may run meanwhile.
 *
 * Lock order here: mmapLock(write, held by the caller) > mm_all_locks_mutex > VMA write of all > all i_mmap_rwsems, of huge pages first > all anon_vma
 * locks.
 *
 * Invariants
 *   ALL-1  Locks of one class are taken without an order among them. That is safe because only one task at a time does so
 *          (the mutex) and nobody else ever nests two of them; lockdep is told by naming mmapLock as nest lock.
 *   ALL-2  A lock that several VMAs share is taken once: whoever takes it marks its object or anon_vma. The mutex guards the marks.
 *
 * With a spinlock in each anon_vma (rules.anonVma.lock) "nobody else nests" is not true of rmap walks that lock several
 * anon_vmas; then the order in which the locks of one VMA are taken decides (rules.mmTakeAllLocks.order).
 *
 * Kernel: mm_take_all_locks(), mm_drop_all_locks() in mm/vma.c.
 */

import { assert } from '../base/assert.ts';
import { EINTR } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { addressSpaceAllLocksMark, iMmapRwsem, setAddressSpaceAllLocksMark } from '../layout/addressSpace.ts';
import {
  anonVmaAllLocksMark,
  anonVmaRwSem,
  anonVmaSpinLock,
  avcAnonVma,
  avcSameVmaNext,
  avcSameVmaPrev,
  readOnceAnonVmaRoot,
  setAnonVmaAllLocksMark,
} from '../layout/anonVma.ts';
import { mmAllLocksMutex } from '../layout/globals.ts';
import {
  NO_ADDRESS_SPACE,
  NO_AVC,
  NO_VMA,
  type AnonVmaPtr,
  type AvcPtr,
  type MmPtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { mmMmapLock } from '../layout/mm.ts';
import { VM_HUGETLB, vmaAvcFirst, vmaAvcLast, vmaFile, vmaFlags } from '../layout/vma.ts';
import { mmapAssertWriteLocked } from '../locks/mmapLock.ts';
import { mutexLock, mutexUnlock } from '../locks/mutex.ts';
import { downWriteNestLock, upWrite } from '../locks/rwSem.ts';
import { isKilled } from '../locks/sleep.ts';
import { spinLockNestLock, spinUnlock } from '../locks/spinLock.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { locksWholeTree, usesRootRwsem } from './anonVmaLock.ts';
import { vmaFind, vmaNext } from './vmaTree.ts';

/**
 * Takes all locks of the mm (mm_take_all_locks).
 *
 * @returns 0, or -EINTR when a fatal signal is pending: nothing then held, but VMAs stay write-locked
 * @locked mmapLock(write), to be held until mmDropAllLocks
 */
export function mmTakeAllLocks(task: Task, mm: MmPtr): Sim<number> {
  mmapAssertWriteLocked(task, mm);
  mutexLock(task, mmAllLocksMutex(task.heap));
  // VMA write locks have no unlock of their own: they end with the caller's hold of mmapLock.
  for (let vma = vmaFind(task, mm, 0 as Vpn); vma !== NO_VMA; vma = vmaNext(task, mm, vma)) {
    if (isKilled(task)) return interrupted(task, mm);
    vmaStartWrite(task, mm, vma);
  }
  for (let vma = vmaFind(task, mm, 0 as Vpn); vma !== NO_VMA; vma = vmaNext(task, mm, vma)) {
    if (isKilled(task)) return interrupted(task, mm);
    if ((vmaFlags(task.heap, vma) & VM_HUGETLB) !== 0) lockMapping(task, mm, vma);
  }
  for (let vma = vmaFind(task, mm, 0 as Vpn); vma !== NO_VMA; vma = vmaNext(task, mm, vma)) {
    if (isKilled(task)) return interrupted(task, mm);
    if ((vmaFlags(task.heap, vma) & VM_HUGETLB) === 0) lockMapping(task, mm, vma);
  }
  for (let vma = vmaFind(task, mm, 0 as Vpn); vma !== NO_VMA; vma = vmaNext(task, mm, vma)) {
    if (isKilled(task)) return interrupted(task, mm);
    lockChain(task, mm, vma);
  }
  return 0;
}

/** Drops what mmTakeAllLocks took (mm_drop_all_locks). @locked mmapLock(write) since */
export function mmDropAllLocks(task: Task, mm: MmPtr): Sim<void> {
  mmapAssertWriteLocked(task, mm);
  for (let vma = vmaFind(task, mm, 0 as Vpn); vma !== NO_VMA; vma = vmaNext(task, mm, vma)) {
    unlockChain(task, vma);
    unlockMapping(task, vma);
  }
  mutexUnlock(task, mmAllLocksMutex(task.heap));
}

function interrupted(task: Task, mm: MmPtr): Sim<number> {
  mmDropAllLocks(task, mm);
  return -EINTR;
}

/** vm_lock_mapping(). */
function lockMapping(task: Task, mm: MmPtr, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  const mapping = vmaFile(heap, vma);
  if (mapping === NO_ADDRESS_SPACE || addressSpaceAllLocksMark(heap, mapping) !== 0) return;
  downWriteNestLock(task, iMmapRwsem(mapping), mmMmapLock(mm));
  setAddressSpaceAllLocksMark(heap, mapping, 1);
}

/** vm_unlock_mapping(). */
function unlockMapping(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  const mapping = vmaFile(heap, vma);
  if (mapping === NO_ADDRESS_SPACE || addressSpaceAllLocksMark(heap, mapping) === 0) return;
  setAddressSpaceAllLocksMark(heap, mapping, 0);
  upWrite(task, iMmapRwsem(mapping));
}

function lockChain(task: Task, mm: MmPtr, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  for (let avc = firstAvc(task, vma); avc !== NO_AVC; avc = nextAvc(task, avc)) {
    const owner = lockOwner(task, avcAnonVma(heap, avc));
    if (anonVmaAllLocksMark(heap, owner) !== 0) continue;
    if (usesRootRwsem(task.rules)) downWriteNestLock(task, anonVmaRwSem(owner), mmMmapLock(mm));
    else spinLockNestLock(task, anonVmaSpinLock(owner), mmMmapLock(mm));
    assert(anonVmaAllLocksMark(heap, owner) === 0, 'take all locks: marked by somebody else');
    setAnonVmaAllLocksMark(heap, owner, 1);
  }
}

function unlockChain(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  for (let avc = firstAvc(task, vma); avc !== NO_AVC; avc = nextAvc(task, avc)) {
    const owner = lockOwner(task, avcAnonVma(heap, avc));
    if (anonVmaAllLocksMark(heap, owner) === 0) continue;
    // Before the unlock: the next holder of the lock must not find the mark.
    setAnonVmaAllLocksMark(heap, owner, 0);
    if (usesRootRwsem(task.rules)) upWrite(task, anonVmaRwSem(owner));
    else spinUnlock(task, anonVmaSpinLock(owner));
  }
}

/** The anon_vma whose lock guards this one's tree, by the rules. */
function lockOwner(task: Task, anonVma: AnonVmaPtr): Sim<AnonVmaPtr> {
  return locksWholeTree(task.rules) ? readOnceAnonVmaRoot(task.heap, anonVma) : anonVma;
}

/** A VMA's list of AVCs begins with the newest anon_vma. */
function firstAvc(task: Task, vma: VmaPtr): Sim<AvcPtr> {
  const newToOld = task.rules.mmTakeAllLocks.order === 'newToOld';
  return newToOld ? vmaAvcFirst(task.heap, vma) : vmaAvcLast(task.heap, vma);
}

function nextAvc(task: Task, avc: AvcPtr): Sim<AvcPtr> {
  const newToOld = task.rules.mmTakeAllLocks.order === 'newToOld';
  return newToOld ? avcSameVmaNext(task.heap, avc) : avcSameVmaPrev(task.heap, avc);
}
