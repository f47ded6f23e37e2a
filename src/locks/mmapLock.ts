/**
 * The mmap lock: an rwsem and, for writers, the mm's sequence number, odd while the lock is held for write. Moving it on
 * ends all VMA write locks of the mm at once (vmaLock.ts), so they survive neither an unlock nor a downgrade.
 *
 * Lock order here: outermost; a child's inside its parent's (fork: subclass 1).
 *
 * Kernel: include/linux/mmap_lock.h. Not modelled: the lockless speculation helpers, tracing.
 */

import type { Sim, Access } from '../base/sim.ts';
import { assert } from '../base/assert.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr } from '../layout/ids.ts';
import { mmMmapLock, readOnceMmLockSeq, setMmLockSeq } from '../layout/mm.ts';
import { SINGLE_DEPTH_NESTING } from './lockHooks.ts';
import {
  downRead,
  downReadKillable,
  downReadTrylock,
  downWrite,
  downWriteKillable,
  downgradeWrite,
  rwSemAssertHeld,
  rwSemAssertHeldWrite,
  upRead,
  upWrite,
} from './rwSem.ts';

/** mmap_read_lock(). */
export function mmapReadLock(task: Task, mm: MmPtr): Sim<void> {
  if (task.check !== null) task.check.mmapLockWait(task, mm);
  downRead(task, mmMmapLock(mm));
  if (task.check !== null) task.check.mmapLocked(task, mm, false);
}

/** mmap_read_lock_killable(). @returns 0 or -EINTR */
export function mmapReadLockKillable(task: Task, mm: MmPtr): Sim<number> {
  if (task.check !== null) task.check.mmapLockWait(task, mm);
  const error = downReadKillable(task, mmMmapLock(mm));
  if (error === 0 && task.check !== null) task.check.mmapLocked(task, mm, false);
  return error;
}

/** mmap_read_trylock(): the only way to take it under a VMA read lock. */
export function mmapReadTrylock(task: Task, mm: MmPtr): Sim<boolean> {
  const got = downReadTrylock(task, mmMmapLock(mm));
  if (got && task.check !== null) task.check.mmapLocked(task, mm, false);
  return got;
}

/** mmap_read_unlock(). */
export function mmapReadUnlock(task: Task, mm: MmPtr): Sim<void> {
  if (task.check !== null) task.check.mmapUnlock(task, mm, false);
  upRead(task, mmMmapLock(mm));
}

/** mmap_write_lock(). */
export function mmapWriteLock(task: Task, mm: MmPtr): Sim<void> {
  if (task.check !== null) task.check.mmapLockWait(task, mm);
  downWrite(task, mmMmapLock(mm));
  beginMmLockSeq(task, mm);
}

/** mmap_write_lock_nested(): the child's lock inside the parent's, in fork. */
export function mmapWriteLockNested(task: Task, mm: MmPtr): Sim<void> {
  if (task.check !== null) task.check.mmapLockWait(task, mm);
  downWrite(task, mmMmapLock(mm), SINGLE_DEPTH_NESTING);
  beginMmLockSeq(task, mm);
}

/** mmap_write_lock_killable(). @returns 0 or -EINTR */
export function mmapWriteLockKillable(task: Task, mm: MmPtr): Sim<number> {
  if (task.check !== null) task.check.mmapLockWait(task, mm);
  const error = downWriteKillable(task, mmMmapLock(mm));
  if (error === 0) beginMmLockSeq(task, mm);
  return error;
}

/** mmap_write_unlock(): also drops every VMA write lock of the mm. */
export function mmapWriteUnlock(task: Task, mm: MmPtr): Sim<void> {
  if (task.check !== null) task.check.mmapUnlock(task, mm, false);
  endMmLockSeq(task, mm);
  upWrite(task, mmMmapLock(mm));
}

/** mmap_write_downgrade(): VMA write locks end, the mmap lock goes on for read. */
export function mmapWriteDowngrade(task: Task, mm: MmPtr): Sim<void> {
  if (task.check !== null) task.check.mmapUnlock(task, mm, true);
  endMmLockSeq(task, mm);
  downgradeWrite(task, mmMmapLock(mm));
}

/** mmap_assert_locked(): somebody holds it. */
export function mmapAssertLocked(task: Task, mm: MmPtr): void {
  rwSemAssertHeld(task, mmMmapLock(mm));
}

/** mmap_assert_write_locked(): the calling task holds it for write. */
export function mmapAssertWriteLocked(task: Task, mm: MmPtr): void {
  rwSemAssertHeldWrite(task, mmMmapLock(mm));
}

/** mm_lock_seqcount_begin(): the lock was got for write. One step: only the write holder changes the number. */
function beginMmLockSeq(task: Task, mm: MmPtr): Access<void> {
  const seq = readOnceMmLockSeq(task.heap, mm);
  assert((seq & 1) === 0, 'mmap lock: the sequence number is odd at write lock');
  setMmLockSeq(task.heap, mm, (seq + 1) | 0);
  if (task.check !== null) task.check.mmapLocked(task, mm, true);
}

/** mm_lock_seqcount_end(): from here on no VMA of the mm is write-locked. */
function endMmLockSeq(task: Task, mm: MmPtr): Access<void> {
  const seq = readOnceMmLockSeq(task.heap, mm);
  assert((seq & 1) === 1, 'mmap lock: the sequence number is even at write unlock');
  setMmLockSeq(task.heap, mm, (seq + 1) | 0);
}
