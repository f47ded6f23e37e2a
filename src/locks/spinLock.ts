/**
 * Spinlocks. The word's protocol is hwLock's (three states, bounded spin, then sleep: simulated CPUs outnumber cores);
 * here are the owner, the preemption count, lockdep and the statistics.
 *
 * Lock order here: innermost; nothing that sleeps may be taken inside (lockdep's wait types).
 *
 * Kernel: spin_lock(), spin_lock_nested(), spin_trylock(), spin_unlock(). Not modelled: the queue of qspinlock (FIFO from
 * the second waiter on), interrupts.
 */

import { cas, readOnce, store, xchg } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import type { Access, Sim } from '../base/sim.ts';
import { unpark } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import type { LockClassId, SpinLockPtr } from '../layout/ids.ts';
import { SPIN, setSpinLockOwner, spinLockClass, spinLockOwner } from '../layout/lockWords.ts';
import { hwLockSlow } from './hwLock.ts';
import { EXCLUSIVE, EXCLUSIVE_TRY, waitBegin, waitEnd } from './lockHooks.ts';

const FREE = 0;
const HELD = 1;
const CONTENDED = 2;

/** Unlocks a fresh lock and gives it its class. Nobody else may reach it yet. */
export function spinLockInit(heap: Heap, lock: SpinLockPtr, cls: LockClassId): Access<void> {
  store(heap, lock + SPIN.state, FREE);
  store(heap, lock + SPIN.owner, 0);
  store(heap, lock + SPIN.cls, cls);
}

/** spin_lock_nested(): takes the lock; preemption stays off until spinUnlock. */
export function spinLock(task: Task, lock: SpinLockPtr, subclass = 0): Sim<void> {
  const { heap } = task;
  task.preemptCount++;
  if (task.lockdep !== null) task.lockdep.acquire(task, lock, spinLockClass(heap, lock), EXCLUSIVE[subclass]);
  if (cas(heap, lock + SPIN.state, FREE, HELD) !== FREE) spinLockSlow(task, lock);
  else if (task.lockStats !== null) task.lockStats.acquired(task, lock, spinLockClass(heap, lock), false, 0);
  setSpinLockOwner(heap, lock, task.id);
}

/** spin_lock_nest_lock(): several of one class may be held because `nestLock` is held by whoever takes them. */
export function spinLockNestLock(task: Task, lock: SpinLockPtr, nestLock: number): Sim<void> {
  const { heap, lockdep } = task;
  task.preemptCount++;
  if (lockdep !== null) {
    const mode = { read: 0, trylock: false, subclass: 0, nestLock } as const;
    lockdep.acquire(task, lock, spinLockClass(heap, lock), mode);
  }
  if (cas(heap, lock + SPIN.state, FREE, HELD) !== FREE) spinLockSlow(task, lock);
  else if (task.lockStats !== null) task.lockStats.acquired(task, lock, spinLockClass(heap, lock), false, 0);
  setSpinLockOwner(heap, lock, task.id);
}

/** spin_trylock(): true when the lock was free and is now held. */
export function spinTryLock(task: Task, lock: SpinLockPtr): Sim<boolean> {
  const { heap } = task;
  if (cas(heap, lock + SPIN.state, FREE, HELD) !== FREE) return false;
  task.preemptCount++;
  setSpinLockOwner(heap, lock, task.id);
  if (task.lockdep !== null) task.lockdep.acquire(task, lock, spinLockClass(heap, lock), EXCLUSIVE_TRY[0]);
  if (task.lockStats !== null) task.lockStats.acquired(task, lock, spinLockClass(heap, lock), false, 0);
  return true;
}

/** spin_unlock(). */
export function spinUnlock(task: Task, lock: SpinLockPtr): Sim<void> {
  const { heap } = task;
  if (task.lockdep !== null) task.lockdep.release(task, lock);
  if (task.lockStats !== null) task.lockStats.released(task, lock, spinLockClass(heap, lock));
  assert(spinLockOwner(heap, lock) === task.id, 'spinUnlock: the lock is not held by this task');
  setSpinLockOwner(heap, lock, 0);
  if (xchg(heap, lock + SPIN.state, FREE) === CONTENDED) unpark(task, lock + SPIN.state, 1);
  task.preemptCount--;
}

/** spin_is_locked(): whether anybody holds the lock; may be stale on return. */
export function spinIsLocked(heap: Heap, lock: SpinLockPtr): Access<boolean> {
  return readOnce(heap, lock + SPIN.state) !== FREE;
}

/** spin_needbreak(): somebody sleeps for the lock that the caller holds. */
export function spinIsContended(task: Task, lock: SpinLockPtr): Access<boolean> {
  return readOnce(task.heap, lock + SPIN.state) === CONTENDED;
}

/** lockdep_assert_held() for a spinlock; exact for the calling task, on or off. */
export function spinAssertHeld(task: Task, lock: SpinLockPtr): void {
  assert(spinLockOwner(task.heap, lock) === task.id, 'a spinlock that must be held is not');
}

function spinLockSlow(task: Task, lock: SpinLockPtr): Sim<void> {
  const cls = spinLockClass(task.heap, lock);
  const began = waitBegin(task);
  hwLockSlow(task, lock + SPIN.state, cls);
  waitEnd(task, lock, cls, began);
}
