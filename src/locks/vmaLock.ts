/**
 * The per-VMA lock: a reference count and a sequence number.
 *
 *   refcnt   0 detached, 1 attached, n + 1 attached with n readers; bit 30: a writer keeps readers out
 *   lockSeq  equal to the mm's mmLockSeq: write-locked. All VMA write locks of an mm end together when mmLockSeq moves on,
 *            at mmapWriteUnlock or mmapWriteDowngrade (mmapLock.ts).
 *
 * Readers never sleep: they fail, and the caller falls back to the mmap lock. A writer sleeps until the readers that
 * were inside have left.
 *
 * Lock order here: mmap lock(write) > VMA write lock. A reader must not sleep on the mmap lock.
 *
 * Invariants
 *   VMALOCK-1  A reader that is in (its increment survived both looks at the numbers) excludes the writer: the writer
 *              set bit 30 after the increment, so it waits for the count; or the reader's second look, which follows its
 *              increment, sees the new number.
 *   VMALOCK-2  No wake-up is lost: the writer publishes itself in mm.vmaWriterWait and arms its event before it looks
 *              at the count; a reader drops the count before it looks who is published.
 *
 * lockdep sees a reader as a trylock held to its release, a writer only around its wait: the lasting write lock is
 * covered by the mmap lock.
 *
 * Kernel: include/linux/mmap_lock.h, mm/mmap_lock.c of 7.0. Not modelled: -EAGAIN of a detached VMA (both are false here), the
 * extra reference on a foreign mm in the narrow window after the put (mm structs are type-safe: at worst some writer there
 * wakes for nothing).
 */

import { cas, fetchSub, readOnce, writeOnce } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import { EINTR } from '../base/errno.ts';
import type { Access, Sim } from '../base/sim.ts';
import { mightSleep, type Task } from '../cpu/task.ts';
import type { MmPtr, TaskPtr, VmaPtr } from '../layout/ids.ts';
import { CLASS_VM_LOCK } from '../layout/lockClass.ts';
import { MM, mmMmapLock, readOnceMmLockSeq } from '../layout/mm.ts';
import { VMA, peekVmaRefcount, peekVmaWriteLocked, readOnceVmaMm } from '../layout/vma.ts';
import { EXCLUSIVE, SHARED_TRY } from './lockHooks.ts';
import { rwSemAssertHeldWrite } from './rwSem.ts';
import { armEvent, blockBegin, blockEnd, isKilled, signalEvent, sleepOnEvent } from './sleep.ts';

const DETACHED = 0;
const ATTACHED = 1;
/** A writer waits for the readers to leave; none may come in. */
const READERS_EXCLUDED = 1 << 30;
/** A sequence number that no mm has, short of 2^31 write locks: odd, so not that of an unlocked mm either. */
const NEVER_LOCKED = -1;

/** vma_lock_init(): a fresh or recycled VMA, detached and not locked. Part of the step that initialises it. */
export function vmaLockInit(heap: Heap, vma: VmaPtr): Access<void> {
  writeOnce(heap, vma + VMA.refcnt, DETACHED);
  // A reader that still has the slot's old VMA may look.
  writeOnce(heap, vma + VMA.lockSeq, NEVER_LOCKED);
}

/**
 * vma_start_read(): takes the read lock if nobody writes. Under RCU, since the VMA may be freed and recycled meanwhile.
 * @returns false if the VMA is write-locked, detached or no longer of `mm`
 */
export function vmaStartRead(task: Task, mm: MmPtr, vma: VmaPtr): Sim<boolean> {
  const { heap } = task;
  // Cheap look first; a number that is about to change is seen by the second look.
  if (readOnce(heap, vma + VMA.lockSeq) === readOnceMmLockSeq(heap, mm)) return false;
  let count = readOnce(heap, vma + VMA.refcnt);
  while (true) {
    if (count === DETACHED || (count & READERS_EXCLUDED) !== 0) return false;
    const seen = cas(heap, vma + VMA.refcnt, count, count + 1);
    if (seen === count) break;
    count = seen;
  }
  if (task.lockdep !== null) task.lockdep.acquire(task, lockOf(vma), CLASS_VM_LOCK, SHARED_TRY[0]);
  const ours = readOnceVmaMm(heap, vma) === mm;
  if (ours && readOnce(heap, vma + VMA.lockSeq) !== readOnceMmLockSeq(heap, mm)) {
    if (task.check !== null) task.check.vmaReadLocked(task, vma);
    return true;
  }
  vmaEndRead(task, vma);
  return false;
}

/** vma_end_read(). The VMA may be gone on return. */
export function vmaEndRead(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  if (task.lockdep !== null) task.lockdep.release(task, lockOf(vma));
  if (task.check !== null) task.check.vmaReadUnlock(task, vma);
  const mm = readOnceVmaMm(heap, vma);
  const after = fetchSub(heap, vma + VMA.refcnt, 1) - 1;
  assert(after >= 0, 'vmaEndRead: nobody holds the VMA');
  if ((after & READERS_EXCLUDED) === 0 || after > READERS_EXCLUDED + ATTACHED) return;
  const writer = readOnce(heap, mm + MM.vmaWriterWait) as TaskPtr;
  if (writer !== 0) signalEvent(task, writer);
}

/** vma_start_write(): write-locks the VMA until the mmap lock is dropped or downgraded. @locked mmap lock(write) */
export function vmaStartWrite(task: Task, mm: MmPtr, vma: VmaPtr): Sim<void> {
  mightSleep(task, 'vma_start_write');
  startWrite(task, mm, vma, false);
}

/** vma_start_write_killable(). @locked mmap lock(write) @returns 0, or -EINTR when a fatal signal came first */
export function vmaStartWriteKillable(task: Task, mm: MmPtr, vma: VmaPtr): Sim<number> {
  mightSleep(task, 'vma_start_write_killable');
  return startWrite(task, mm, vma, true);
}

/** vma_mark_attached(): the VMA is in the tree now, readers may come. @locked mmap lock(write) */
export function vmaMarkAttached(task: Task, vma: VmaPtr): Sim<void> {
  const before = cas(task.heap, vma + VMA.refcnt, DETACHED, ATTACHED);
  assert(before === DETACHED, 'vmaMarkAttached: the VMA is attached');
}

/**
 * vma_mark_detached(): no reader comes in any more, and none is inside on return. Readers may still look in for a
 * moment (they see the write lock and leave), hence the wait. @locked mmap lock(write), VMA write lock
 */
export function vmaMarkDetached(task: Task, vma: VmaPtr): Sim<void> {
  vmaAssertWriteLocked(task, vma);
  const after = fetchSub(task.heap, vma + VMA.refcnt, ATTACHED) - ATTACHED;
  assert(after >= 0, 'vmaMarkDetached: the VMA is not attached');
  if (after === DETACHED || excludeReaders(task, vma, DETACHED, false) !== 1) return;
  const left = readmitReaders(task, vma);
  assert(left === DETACHED, 'vmaMarkDetached: a reader is left');
}

/** vma_assert_write_locked(). */
export function vmaAssertWriteLocked(task: Task, vma: VmaPtr): void {
  assert(peekVmaWriteLocked(task.heap, vma), 'a VMA that must be write-locked is not');
}

/** vma_assert_locked(): read-locked by somebody, or write-locked. */
export function vmaAssertLocked(task: Task, vma: VmaPtr): void {
  const locked = peekVmaRefcount(task.heap, vma) > ATTACHED || peekVmaWriteLocked(task.heap, vma);
  assert(locked, 'a VMA that must be locked is not');
}

/** lockdep's name of the lock: its count word. */
function lockOf(vma: VmaPtr): number {
  return vma + VMA.refcnt;
}

function startWrite(task: Task, mm: MmPtr, vma: VmaPtr, killable: boolean): Sim<number> {
  const { heap } = task;
  rwSemAssertHeldWrite(task, mmMmapLock(mm));
  const seq = readOnceMmLockSeq(heap, mm);
  if (readOnce(heap, vma + VMA.lockSeq) === seq) return 0;
  const excluded = excludeReaders(task, vma, ATTACHED, killable);
  if (excluded < 0) return excluded;
  writeOnce(heap, vma + VMA.lockSeq, seq);
  if (excluded === 1) {
    const left = readmitReaders(task, vma);
    assert(left === ATTACHED, 'vmaStartWrite: a reader came in past the writer');
  }
  return 0;
}

/**
 * Keeps new readers out and waits until the count without the bit is `target`.
 * @returns 1, or 0 when the VMA is detached (there is nobody to keep out), or -EINTR; only after 1 the bit is set
 */
function excludeReaders(task: Task, vma: VmaPtr, target: number, killable: boolean): Sim<number> {
  const { heap } = task;
  let count = readOnce(heap, vma + VMA.refcnt);
  while (true) {
    if (count === DETACHED) return 0;
    assert((count & READERS_EXCLUDED) === 0, 'vma lock: two writers');
    const seen = cas(heap, vma + VMA.refcnt, count, count | READERS_EXCLUDED);
    if (seen === count) break;
    count = seen;
  }
  if (task.lockdep !== null) task.lockdep.acquire(task, lockOf(vma), CLASS_VM_LOCK, EXCLUSIVE[0]);
  if (count === target || waitForReaders(task, vma, target | READERS_EXCLUDED, killable)) return 1;
  readmitReaders(task, vma);
  return -EINTR;
}

/** Clears the bit. @returns the count without it */
function readmitReaders(task: Task, vma: VmaPtr): Sim<number> {
  if (task.lockdep !== null) task.lockdep.release(task, lockOf(vma));
  return fetchSub(task.heap, vma + VMA.refcnt, READERS_EXCLUDED) - READERS_EXCLUDED;
}

/** rcuwait_wait_event() on the count. @returns false when a fatal signal came first (killable only) */
function waitForReaders(task: Task, vma: VmaPtr, wanted: number, killable: boolean): Sim<boolean> {
  const { heap } = task;
  const slot = readOnceVmaMm(heap, vma) + MM.vmaWriterWait;
  const before = cas(heap, slot, 0, task.ptr);
  assert(before === 0, 'vma lock: two writers wait in one mm');
  blockBegin(task, lockOf(vma), CLASS_VM_LOCK);
  let done: boolean;
  while (true) {
    armEvent(task);
    done = readOnce(heap, vma + VMA.refcnt) === wanted;
    if (done || (killable && isKilled(task))) break;
    sleepOnEvent(task);
  }
  blockEnd(task);
  writeOnce(heap, slot, 0);
  return done;
}
