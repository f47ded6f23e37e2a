/**
 * Reader-writer semaphores: the fast paths. The words are those of RWSEM (src/layout/lockWords.ts).
 *
 * Fair in the kernel's sense: below the handoff deadline (4 ms) fresh readers and spinning writers may overtake the
 * queue, after it the head waiter gets the lock. A reader that finds a reader-owned lock with waiters queues behind them, so
 * read recursion deadlocks with a writer in between, as it does in Linux.
 *
 * Lock order here: sem->waitLock is a raw leaf lock.
 *
 * Invariants
 *   RWSEM-1  At most one writer, and no reader beside it: the writer bit is only set by a compare-and-swap from a count
 *            without holders, a reader whose bias met the writer bit takes it back before it enters.
 *   RWSEM-2  The waiters bit is set iff the list is not empty (both change under the waitLock); who drops the lock last and
 *            sees the bit wakes the head (rwSemWake.ts).
 *   RWSEM-3  Readers are granted before they are woken: their bias is in the count when their wake word is cleared.
 *
 * Kernel: kernel/locking/rwsem.c of 7.0, non-RT. Not modelled: the 64-bit count's read-fail guard, real-time waiters,
 * the MCS queue of spinners (a second spinner queues at once), non-owner release.
 */

import { cas, fetchAdd, fetchSub, readOnce, store } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import { EINTR } from '../base/errno.ts';
import type { Access, Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { LockClassId, RwSemPtr } from '../layout/ids.ts';
import {
  RWSEM,
  RWSEM_HANDOFF,
  RWSEM_HELD,
  RWSEM_READER,
  RWSEM_WAITERS,
  RWSEM_WORDS,
  RWSEM_WRITER,
  peekRwSemCount,
  rwSemClass,
  rwSemWriter,
  setRwSemOwner,
  setRwSemReaderOwner,
} from '../layout/lockWords.ts';
import { EXCLUSIVE, EXCLUSIVE_TRY, SHARED, SHARED_TRY, acquireSleeping } from './lockHooks.ts';
import { downReadSlow, downWriteSlow } from './rwSemSlow.ts';
import { wakeAfterDowngrade, wakeAfterRelease } from './rwSemWake.ts';

/** Any of these in the count sends a reader to the slow path. */
const READ_FAILED = RWSEM_WRITER | RWSEM_WAITERS | RWSEM_HANDOFF;

/** Unlocks a fresh rwsem and gives it its class. Nobody else may reach it yet. */
export function rwSemInit(heap: Heap, sem: RwSemPtr, cls: LockClassId): Access<void> {
  for (let word = 0; word < RWSEM_WORDS; word++) store(heap, sem + word, 0);
  store(heap, sem + RWSEM.cls, cls);
}

/** down_read_nested(). */
export function downRead(task: Task, sem: RwSemPtr, subclass = 0): Sim<void> {
  const { heap, lockdep } = task;
  if (lockdep !== null) acquireSleeping(task, lockdep, 'down_read', sem, rwSemClass(heap, sem), SHARED[subclass]);
  const before = fetchAdd(heap, sem + RWSEM.count, RWSEM_READER);
  if ((before & READ_FAILED) !== 0) {
    downReadSlow(task, sem, before + RWSEM_READER, false);
    return;
  }
  setRwSemReaderOwner(heap, sem, task.id);
  if (task.lockStats !== null) task.lockStats.acquired(task, sem, rwSemClass(heap, sem), false, 0);
}

/** down_read_killable(). @returns 0, or -EINTR when a fatal signal came before the lock */
export function downReadKillable(task: Task, sem: RwSemPtr): Sim<number> {
  const { heap, lockdep } = task;
  if (lockdep !== null) acquireSleeping(task, lockdep, 'down_read_killable', sem, rwSemClass(heap, sem), SHARED[0]);
  const before = fetchAdd(heap, sem + RWSEM.count, RWSEM_READER);
  if ((before & READ_FAILED) !== 0) {
    if (downReadSlow(task, sem, before + RWSEM_READER, true)) return 0;
    if (lockdep !== null) lockdep.release(task, sem);
    return -EINTR;
  }
  setRwSemReaderOwner(heap, sem, task.id);
  if (task.lockStats !== null) task.lockStats.acquired(task, sem, rwSemClass(heap, sem), false, 0);
  return 0;
}

/** down_read_trylock(): fails also when a writer merely waits. */
export function downReadTrylock(task: Task, sem: RwSemPtr): Sim<boolean> {
  const { heap } = task;
  let count = readOnce(heap, sem + RWSEM.count);
  while ((count & READ_FAILED) === 0) {
    const seen = cas(heap, sem + RWSEM.count, count, count + RWSEM_READER);
    if (seen === count) {
      setRwSemReaderOwner(heap, sem, task.id);
      if (task.lockdep !== null) task.lockdep.acquire(task, sem, rwSemClass(heap, sem), SHARED_TRY[0]);
      if (task.lockStats !== null) task.lockStats.acquired(task, sem, rwSemClass(heap, sem), false, 0);
      return true;
    }
    count = seen;
  }
  return false;
}

/** up_read(). */
export function upRead(task: Task, sem: RwSemPtr): Sim<void> {
  const { heap } = task;
  if (task.lockdep !== null) task.lockdep.release(task, sem);
  if (task.lockStats !== null) task.lockStats.released(task, sem, rwSemClass(heap, sem));
  const after = fetchSub(heap, sem + RWSEM.count, RWSEM_READER) - RWSEM_READER;
  assert(after >= 0, 'upRead: nobody holds the lock for read');
  if ((after & (RWSEM_HELD | RWSEM_WAITERS)) === RWSEM_WAITERS) wakeAfterRelease(task, sem);
}

/** down_write_nested(). */
export function downWrite(task: Task, sem: RwSemPtr, subclass = 0): Sim<void> {
  const { heap, lockdep } = task;
  if (lockdep !== null) acquireSleeping(task, lockdep, 'down_write', sem, rwSemClass(heap, sem), EXCLUSIVE[subclass]);
  takeWrite(task, sem, false);
}

/** down_write_killable(). @returns 0, or -EINTR when a fatal signal came before the lock */
export function downWriteKillable(task: Task, sem: RwSemPtr, subclass = 0): Sim<number> {
  const { heap, lockdep } = task;
  if (lockdep !== null) {
    acquireSleeping(task, lockdep, 'down_write_killable', sem, rwSemClass(heap, sem), EXCLUSIVE[subclass]);
  }
  if (takeWrite(task, sem, true)) return 0;
  if (lockdep !== null) lockdep.release(task, sem);
  return -EINTR;
}

/** down_write_nest_lock(): several of one class may be held because `nestLock` is held by whoever takes them. */
export function downWriteNestLock(task: Task, sem: RwSemPtr, nestLock: number): Sim<void> {
  const { heap, lockdep } = task;
  if (lockdep !== null) {
    const mode = { read: 0, trylock: false, subclass: 0, nestLock } as const;
    acquireSleeping(task, lockdep, 'down_write_nest_lock', sem, rwSemClass(heap, sem), mode);
  }
  takeWrite(task, sem, false);
}

/** down_write_trylock(): only when the count is zero, so never past waiters. */
export function downWriteTrylock(task: Task, sem: RwSemPtr): Sim<boolean> {
  const { heap } = task;
  if (cas(heap, sem + RWSEM.count, 0, RWSEM_WRITER) !== 0) return false;
  setRwSemOwner(heap, sem, task.id);
  if (task.lockdep !== null) task.lockdep.acquire(task, sem, rwSemClass(heap, sem), EXCLUSIVE_TRY[0]);
  if (task.lockStats !== null) task.lockStats.acquired(task, sem, rwSemClass(heap, sem), false, 0);
  return true;
}

/** up_write(). */
export function upWrite(task: Task, sem: RwSemPtr): Sim<void> {
  const { heap } = task;
  if (task.lockdep !== null) task.lockdep.release(task, sem);
  if (task.lockStats !== null) task.lockStats.released(task, sem, rwSemClass(heap, sem));
  assert(rwSemWriter(heap, sem) === task.id, 'upWrite: the lock is not held for write by this task');
  setRwSemOwner(heap, sem, 0);
  if ((fetchSub(heap, sem + RWSEM.count, RWSEM_WRITER) & RWSEM_WAITERS) !== 0) wakeAfterRelease(task, sem);
}

/** downgrade_write(): a write hold becomes a read hold; queued readers come in iff one of them is the head. */
export function downgradeWrite(task: Task, sem: RwSemPtr): Sim<void> {
  const { heap } = task;
  if (task.lockdep !== null) task.lockdep.downgrade(task, sem);
  assert(rwSemWriter(heap, sem) === task.id, 'downgradeWrite: the lock is not held for write by this task');
  // Before the count: once the writer bit is gone, others may become owners, and ours must not overwrite theirs.
  setRwSemReaderOwner(heap, sem, task.id);
  const before = fetchAdd(heap, sem + RWSEM.count, RWSEM_READER - RWSEM_WRITER);
  if ((before & RWSEM_WAITERS) !== 0) wakeAfterDowngrade(task, sem);
}

/** rwsem_is_locked(): whether anybody holds it; may be stale on return. */
export function rwSemIsLocked(heap: Heap, sem: RwSemPtr): Access<boolean> {
  return (readOnce(heap, sem + RWSEM.count) & RWSEM_HELD) !== 0;
}

/** rwsem_is_contended(): whether anybody queues for it; may be stale on return. */
export function rwSemIsContended(heap: Heap, sem: RwSemPtr): Access<boolean> {
  return readOnce(heap, sem + RWSEM.head) !== 0;
}

/** rwsem_assert_held(): somebody holds it (readers are not told apart). */
export function rwSemAssertHeld(task: Task, sem: RwSemPtr): void {
  assert((peekRwSemCount(task.heap, sem) & RWSEM_HELD) !== 0, 'an rwsem that must be held is not');
}

/** rwsem_assert_held_write(): the calling task holds it for write. */
export function rwSemAssertHeldWrite(task: Task, sem: RwSemPtr): void {
  assert(rwSemWriter(task.heap, sem) === task.id, 'an rwsem that must be held for write is not');
}

function takeWrite(task: Task, sem: RwSemPtr, killable: boolean): Sim<boolean> {
  const { heap } = task;
  if (cas(heap, sem + RWSEM.count, 0, RWSEM_WRITER) !== 0) return downWriteSlow(task, sem, killable);
  setRwSemOwner(heap, sem, task.id);
  if (task.lockStats !== null) task.lockStats.acquired(task, sem, rwSemClass(heap, sem), false, 0);
  return true;
}
