/**
 * Mutexes: one word with the owner and three flag bits (waiters, handoff, pickup), a FIFO of sleepers.
 *
 * Whoever finds the word free may take it, waiters or not. A first waiter that woke and lost sets handoff: then the next
 * unlock leaves the word to exactly that waiter (pickup), so nobody starves.
 *
 * Lock order here: waitLock is a raw leaf lock.
 *
 * No wake-up is lost: a waiter sets the waiters flag and its wake word under the waitLock, and tries once more before it
 * sleeps. Its try and the owner's release are changes of the same word: either the try finds it free, or the release finds
 * the flag and takes the waitLock to wake the head. A killed waiter tries before it leaves, so a release or a handoff that was
 * meant for it does not get lost.
 *
 * Kernel: kernel/locking/mutex.c of 7.0. Not modelled: the MCS queue of spinners, ww mutexes, PREEMPT_RT.
 */

import { cas, fetchAnd, fetchOr, readOnce, store } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import { EINTR } from '../base/errno.ts';
import type { Access, Sim } from '../base/sim.ts';
import { SPIN_ROUNDS, cpuRelax } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import type { LockClassId, MutexPtr, TaskPtr } from '../layout/ids.ts';
import {
  MUTEX,
  MUTEX_FLAGS,
  MUTEX_HANDOFF,
  MUTEX_OWNER_SHIFT,
  MUTEX_PICKUP,
  MUTEX_WAITERS,
  MUTEX_WORDS,
  mutexClass,
  peekMutexOwner,
} from '../layout/lockWords.ts';
import { taskAt, taskBlockedOn, taskIdAt } from '../layout/task.ts';
import { hwLock, hwUnlock } from './hwLock.ts';
import { EXCLUSIVE, EXCLUSIVE_TRY, acquireSleeping, waitBegin, waitEnd } from './lockHooks.ts';
import { blockBegin, blockEnd, notifyTasks, prepareToSleep, sleep, wakeWaiter } from './sleep.ts';
import { WAIT_WRITE, addWaiter, firstWaiter, removeWaiter } from './waitList.ts';

/** Unlocks a fresh mutex and gives it its class. Nobody else may reach it yet. */
export function mutexInit(heap: Heap, mutex: MutexPtr, cls: LockClassId): Access<void> {
  for (let word = 0; word < MUTEX_WORDS; word++) store(heap, mutex + word, 0);
  store(heap, mutex + MUTEX.cls, cls);
}

/** mutex_lock_nested(). */
export function mutexLock(task: Task, mutex: MutexPtr, subclass = 0): Sim<void> {
  const { heap, lockdep } = task;
  if (lockdep !== null)
    acquireSleeping(task, lockdep, 'mutex_lock', mutex, mutexClass(heap, mutex), EXCLUSIVE[subclass]);
  takeMutex(task, mutex, false);
}

/** mutex_lock_killable(). @returns 0, or -EINTR when a fatal signal came before the lock */
export function mutexLockKillable(task: Task, mutex: MutexPtr): Sim<number> {
  const { heap, lockdep } = task;
  if (lockdep !== null) {
    acquireSleeping(task, lockdep, 'mutex_lock_killable', mutex, mutexClass(heap, mutex), EXCLUSIVE[0]);
  }
  if (takeMutex(task, mutex, true)) return 0;
  if (lockdep !== null) lockdep.release(task, mutex);
  return -EINTR;
}

/** mutex_trylock(). */
export function mutexTryLock(task: Task, mutex: MutexPtr): Sim<boolean> {
  if (!tryTake(task, mutex, false)) return false;
  if (task.lockdep !== null) task.lockdep.acquire(task, mutex, mutexClass(task.heap, mutex), EXCLUSIVE_TRY[0]);
  if (task.lockStats !== null) task.lockStats.acquired(task, mutex, mutexClass(task.heap, mutex), false, 0);
  return true;
}

/** mutex_unlock(): only the owner may. */
export function mutexUnlock(task: Task, mutex: MutexPtr): Sim<void> {
  const { heap } = task;
  if (task.lockdep !== null) task.lockdep.release(task, mutex);
  if (task.lockStats !== null) task.lockStats.released(task, mutex, mutexClass(heap, mutex));
  const mine = task.id << MUTEX_OWNER_SHIFT;
  const seen = cas(heap, mutex + MUTEX.owner, mine, 0);
  if (seen !== mine) mutexUnlockSlow(task, mutex, seen);
}

/** mutex_is_locked(): whether anybody holds it; may be stale on return. */
export function mutexIsLocked(heap: Heap, mutex: MutexPtr): Access<boolean> {
  return (readOnce(heap, mutex + MUTEX.owner) & ~MUTEX_FLAGS) !== 0;
}

/** lockdep_assert_held() for a mutex; exact for the calling task. */
export function mutexAssertHeld(task: Task, mutex: MutexPtr): void {
  assert(peekMutexOwner(task.heap, mutex) === task.id, 'a mutex that must be held is not');
}

function takeMutex(task: Task, mutex: MutexPtr, killable: boolean): Sim<boolean> {
  const { heap } = task;
  if (cas(heap, mutex + MUTEX.owner, 0, task.id << MUTEX_OWNER_SHIFT) !== 0)
    return mutexLockSlow(task, mutex, killable);
  if (task.lockStats !== null) task.lockStats.acquired(task, mutex, mutexClass(heap, mutex), false, 0);
  return true;
}

/** @returns false when a fatal signal came first (killable only) */
function mutexLockSlow(task: Task, mutex: MutexPtr, killable: boolean): Sim<boolean> {
  const began = waitBegin(task);
  if (!spinForMutex(task, mutex) && !queueForMutex(task, mutex, killable)) return false;
  waitEnd(task, mutex, mutexClass(task.heap, mutex), began);
  return true;
}

/** Takes the mutex past its queue as long as its owner runs, for a bounded time; one try when there are no rounds. */
function spinForMutex(task: Task, mutex: MutexPtr): Sim<boolean> {
  for (let round = 0; ; round++) {
    if (tryTake(task, mutex, false)) return true;
    if (round >= SPIN_ROUNDS || ownerSleeps(task.heap, mutex)) return false;
    cpuRelax(task);
  }
}

function queueForMutex(task: Task, mutex: MutexPtr, killable: boolean): Sim<boolean> {
  const { heap } = task;
  const list = mutex + MUTEX.head;
  hwLock(task, mutex + MUTEX.waitLock);
  addWaiter(heap, list, task.ptr, WAIT_WRITE, 0);
  fetchOr(heap, mutex + MUTEX.owner, MUTEX_WAITERS);
  blockBegin(task, mutex, mutexClass(heap, mutex));
  let got: boolean;
  let woken = false;
  let killed = false;
  while (true) {
    prepareToSleep(task);
    // Awake once and still not served: from now on the head asks for handoff.
    got = tryTake(task, mutex, woken && firstWaiter(heap, list) === task.ptr);
    if (got || killed) break;
    hwUnlock(task, mutex + MUTEX.waitLock);
    killed = !sleep(task, killable);
    woken = true;
    hwLock(task, mutex + MUTEX.waitLock);
  }
  removeWaiter(heap, list, task.ptr);
  if (firstWaiter(heap, list) === 0) fetchAnd(heap, mutex + MUTEX.owner, ~MUTEX_FLAGS);
  hwUnlock(task, mutex + MUTEX.waitLock);
  blockEnd(task);
  return got;
}

/**
 * One try: takes a free mutex, or one that was left to us (pickup). With `handoff` it marks a held mutex as owed to the
 * first waiter.
 */
function tryTake(task: Task, mutex: MutexPtr, handoff: boolean): Sim<boolean> {
  const { heap } = task;
  const mine = task.id << MUTEX_OWNER_SHIFT;
  let word = readOnce(heap, mutex + MUTEX.owner);
  while (true) {
    const owner = word & ~MUTEX_FLAGS;
    let wanted: number;
    if (owner === 0) wanted = word | mine;
    else if ((word & MUTEX_PICKUP) !== 0 && owner === mine) wanted = word & ~MUTEX_PICKUP;
    else if ((word & MUTEX_PICKUP) === 0 && handoff && (word & MUTEX_HANDOFF) === 0) wanted = word | MUTEX_HANDOFF;
    else return false;
    const seen = cas(heap, mutex + MUTEX.owner, word, wanted);
    if (seen === word) return (wanted & ~MUTEX_FLAGS) === mine;
    word = seen;
  }
}

/** The word has flags: drops the mutex, or leaves it to the head of the queue, and wakes the head. */
function mutexUnlockSlow(task: Task, mutex: MutexPtr, seen: number): Sim<void> {
  const { heap } = task;
  let word = seen;
  assert(word >> MUTEX_OWNER_SHIFT === task.id, 'mutexUnlock: the mutex is not held by this task');
  // With handoff set the word stays ours until the head is known, so that nobody can come in between.
  while ((word & MUTEX_HANDOFF) === 0) {
    const before = cas(heap, mutex + MUTEX.owner, word, word & MUTEX_FLAGS);
    if (before === word) {
      if ((word & MUTEX_WAITERS) === 0) return;
      break;
    }
    word = before;
  }
  hwLock(task, mutex + MUTEX.waitLock);
  const first = firstWaiter(heap, mutex + MUTEX.head);
  if ((word & MUTEX_HANDOFF) !== 0) handOff(task, mutex, first);
  const tasks = first === 0 ? 0 : wakeWaiter(heap, first);
  hwUnlock(task, mutex + MUTEX.waitLock);
  notifyTasks(task, tasks);
}

/** Leaves a held mutex to `first`, or frees it when nobody waits any more. @locked waitLock */
function handOff(task: Task, mutex: MutexPtr, first: TaskPtr): Sim<void> {
  const { heap } = task;
  let word = readOnce(heap, mutex + MUTEX.owner);
  while (true) {
    let wanted = word & MUTEX_WAITERS;
    if (first !== 0) wanted |= (taskIdAt(heap, first) << MUTEX_OWNER_SHIFT) | MUTEX_PICKUP;
    const seen = cas(heap, mutex + MUTEX.owner, word, wanted);
    if (seen === word) return;
    word = seen;
  }
}

function ownerSleeps(heap: Heap, mutex: MutexPtr): boolean {
  const owner = peekMutexOwner(heap, mutex);
  return owner !== 0 && taskBlockedOn(heap, taskAt(heap, owner)) !== 0;
}
