/**
 * mlock(2), mlock2(2), munlock(2): memory that stays in. Locking is a flag of the VMA and a count of the mm; what it promises
 * is that pages are there (they are faulted in at once, or as they are touched) and that reclaim leaves them alone.
 *
 * Lock order here: mmapLock(write) > VMA write > anon_vma root(write) for the flags; then mmapLock(read) for the pages.
 *
 * Invariants
 *   MLOCK-1  mm.lockedVm is the sum of the pages of all VM_LOCKED VMAs, and of what MREMAP_DONTUNMAP left counted (mremapMove.ts).
 *   MLOCK-2  VM_LOCKONFAULT is set only together with VM_LOCKED.
 *
 * Kernel: do_mlock(), apply_vma_lock_flags(), mlock_fixup() in mm/mlock.c. Not modelled: mlockall, CAP_IPC_LOCK, the flag and
 * the count that mark locked pages for reclaim (which looks at the VMAs instead), special mappings.
 */

import { EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, EPERM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { mmLockedVm, setMmLockedVm } from '../layout/mm.ts';
import { VM_HUGETLB, VM_LOCKED, VM_LOCKONFAULT, setVmaFlags, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapWriteLockKillable, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { populateRange } from './populate.ts';
import { MLOCK_ONFAULT } from './syscallFlags.ts';
import { PAGE_SIZE, addrToVpn, pageAlign, wrapAddress } from './userSpace.ts';
import { vmaModifyFlags } from './vmaModify.ts';
import { canDoMlock, mlockFutureOk } from './vmStat.ts';
import { vmaFindRange, vmaLookup, vmaPrev } from './vmaTree.ts';

const VM_LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT;

/** Whole pages that a byte range touches: byte addresses, `end` below `start` when the sum wraps; and how many they are. */
interface ByteRange {
  readonly start: number;
  readonly end: number;
  readonly pages: number;
}

/** mlock(2). @returns 0, -EPERM, -EINTR, -EINVAL, -ENOMEM or -EAGAIN; after most of them part of the range is locked */
export function sysMlock(task: Task, addr: number, len: number): Sim<number> {
  return doMlock(task, addr, len, VM_LOCKED);
}

/** mlock2(2): with MLOCK_ONFAULT pages are locked as they are touched. @returns as sysMlock */
export function sysMlock2(task: Task, addr: number, len: number, flags: number): Sim<number> {
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  return doMlock(task, addr, len, (flags & MLOCK_ONFAULT) === 0 ? VM_LOCKED : VM_LOCKED_MASK);
}

/** munlock(2). @returns 0, -EINTR, -EINVAL or -ENOMEM: the VMAs before the hole or the failure are unlocked */
export function sysMunlock(task: Task, addr: number, len: number): Sim<number> {
  const { mm } = task;
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const error = applyVmaLockFlags(task, mm, touchedPages(addr, len), 0);
  mmapWriteUnlock(task, mm);
  return error;
}

/** The flags first, under the lock; then the pages, without it (do_mlock). */
function doMlock(task: Task, addr: number, len: number, flags: number): Sim<number> {
  const { mm } = task;
  if (!canDoMlock(task, mm)) return -EPERM;
  const range = touchedPages(addr, len);
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const allowed = withinLimit(task, mm, range);
  const error = allowed ? applyVmaLockFlags(task, mm, range, flags) : -ENOMEM;
  mmapWriteUnlock(task, mm);
  if (error !== 0 || range.start === range.end) return error;
  return posixError(populateRange(task, mm, addrToVpn(range.start), addrToVpn(range.end), false));
}

function touchedPages(addr: number, len: number): ByteRange {
  const offset = addr % PAGE_SIZE;
  const start = addr - offset;
  const bytes = pageAlign(wrapAddress(len + offset));
  return { start, end: wrapAddress(start + bytes), pages: bytes / PAGE_SIZE };
}

/** RLIMIT_MEMLOCK; what is locked already counts once. @locked mmapLock(write) */
function withinLimit(task: Task, mm: MmPtr, range: ByteRange): Sim<boolean> {
  const { pages } = range;
  if (mlockFutureOk(task, mm, pages)) return true;
  return mlockFutureOk(task, mm, pages - countMlockedPages(task, mm, addrToVpn(range.start), addrToVpn(range.end)));
}

/** Pages of [start, end) that are locked already (count_mm_mlocked_page_nr). @locked mmapLock(write) */
function countMlockedPages(task: Task, mm: MmPtr, start: Vpn, end: Vpn): Sim<number> {
  const { heap } = task;
  let count = 0;
  let vma = vmaFindRange(task, mm, start, end);
  while (vma !== NO_VMA) {
    const first = vmaStart(heap, vma);
    const last = vmaEnd(heap, vma);
    if ((vmaFlags(heap, vma) & VM_LOCKED) !== 0) count += Math.min(last, end) - Math.max(first, start);
    vma = vmaFindRange(task, mm, last, end);
  }
  return count;
}

/**
 * Gives all VMAs of the range the lock flags `flags`, VMA by VMA in address order (apply_vma_lock_flags).
 *
 * @returns 0; -EINVAL (the range wraps), -ENOMEM for a hole or without memory, VMAs before it then changed
 * @locked mmapLock(write)
 */
function applyVmaLockFlags(task: Task, mm: MmPtr, range: ByteRange, flags: number): Sim<number> {
  const { heap } = task;
  if (range.end < range.start) return -EINVAL;
  const end = addrToVpn(range.end);
  let at = addrToVpn(range.start);
  while (at < end) {
    const vma = vmaLookup(task, mm, at);
    if (vma === NO_VMA) return -ENOMEM;
    const last = vmaEnd(heap, vma);
    const changed = mlockFixup(task, mm, vma, at, last < end ? last : end, flags);
    if (changed < 0) return changed;
    at = vmaEnd(heap, changed as VmaPtr);
  }
  return 0;
}

/**
 * One VMA's share of the range (mlock_fixup). Huge pages are never reclaimed: locking them means nothing, and succeeds.
 *
 * @returns the VMA that covers the range now, or -ENOMEM
 * @locked mmapLock(write)
 */
function mlockFixup(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn, flags: number): Sim<number> {
  const { heap } = task;
  const oldFlags = vmaFlags(heap, vma);
  const newFlags = (oldFlags & ~VM_LOCKED_MASK) | flags;
  if (newFlags === oldFlags || (oldFlags & VM_HUGETLB) !== 0) return vma;
  const prev = start > vmaStart(heap, vma) ? vma : vmaPrev(task, mm, vma);
  const modified = vmaModifyFlags(task, mm, prev, vma, start, end, newFlags);
  if (modified < 0) return modified;
  const target = modified as VmaPtr;
  const wasLocked = (oldFlags & VM_LOCKED) === 0 ? 0 : end - start;
  const isLocked = (newFlags & VM_LOCKED) === 0 ? 0 : end - start;
  setMmLockedVm(heap, mm, mmLockedVm(heap, mm) + isLocked - wasLocked);
  vmaStartWrite(task, mm, target);
  setVmaFlags(heap, target, newFlags);
  return target;
}

/** What mlock() says to pages that cannot be faulted in (__mlock_posix_error_return). */
function posixError(error: number): number {
  if (error === -EFAULT) return -ENOMEM;
  return error === -ENOMEM ? -EAGAIN : error;
}
