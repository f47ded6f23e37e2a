/**
 * Sleeping and waking: what every sleeping lock's slow path is made of.
 *
 * Two words per task, for two kinds of wait.
 *
 * `wake`: the task stands in a lock's queue. Protocol:
 *   sleeper, queue lock held: prepareToSleep (wake := 1), then enqueue or look at the lock once more, drop the queue lock,
 *   sleep() until wake is 0. Waker, queue lock held: wakeWaiter (wake := 0); notify after the queue lock was dropped.
 *   No wake-up is lost: the word is 1 before the waker can see the task in the queue, and a sleeper only sleeps while
 *   the word still is 1 (the futex compares and sleeps in one step). The word is cleared only under the lock of the queue on
 *   which the task stands, so a waker that is late with its notify cannot grant anything to the task's next wait: a
 *   notify alone makes sleep() look at the word again and sleep on.
 *
 * `event`: the task waits for a condition that it re-checks itself (rcuwait). Protocol:
 *   sleeper: armEvent (event := 1), publish itself, test the condition, sleepOnEvent, again. Waker: make the condition true,
 *   then look who is published, signalEvent. In the total order of these four accesses either the waker sees the
 *   sleeper or the sleeper sees the condition. A stale signal costs one more look at the condition.
 *
 * A fatal signal turns 1 into 2 in `wake`: the word changed, so a task that is about to sleep on 1 does not. Who may not be
 * killed turns it back and sleeps on.
 *
 * Kernel: set_current_state(), schedule(), wake_q_add(), wake_up_q(), rcuwait. Not modelled: task states other than
 * killable and not, priorities.
 */

import { cas, loadAcquire, readOnce, smpMb, writeOnce, xchg } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import type { Access, Sim } from '../base/sim.ts';
import { nowNs, parkWhile, unpark } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import type { LockClassId, TaskId, TaskPtr } from '../layout/ids.ts';
import { TASK, clearTaskBlocked, setTaskBlocked, taskAt, taskIdAt } from '../layout/task.ts';

const AWAKE = 0;
const ASLEEP = 1;
const LOOK_AT_KILLED = 2;

const NS_PER_MS = 1_000_000;

/** Tells the watchdog what the task is about to sleep for. Slow paths only. */
export function blockBegin(task: Task, lock: number, cls: LockClassId): void {
  assert(lock !== 0, 'sleep: blocked on nothing');
  setTaskBlocked(task.heap, task.ptr, lock, cls, Math.floor(nowNs(task) / NS_PER_MS) | 0);
}

/** The wait is over. */
export function blockEnd(task: Task): void {
  clearTaskBlocked(task.heap, task.ptr);
}

/** set_current_state(): from here on a waker's clear counts. @locked the queue's lock */
export function prepareToSleep(task: Task): Access<void> {
  writeOnce(task.heap, task.ptr + TASK.wake, ASLEEP);
}

/** True once a waker has cleared the task's word. */
export function wasWoken(task: Task): Access<boolean> {
  return loadAcquire(task.heap, task.ptr + TASK.wake) === AWAKE;
}

/**
 * Sleeps until a waker has cleared the task's word.
 * @returns false when a fatal signal came first (killable waits only); the task then still stands in the queue
 */
export function sleep(task: Task, killable: boolean): Sim<boolean> {
  const { heap } = task;
  const at = task.ptr + TASK.wake;
  while (true) {
    // What the waker wrote before it cleared the word is seen.
    const word = loadAcquire(heap, at);
    if (word === AWAKE) return true;
    if (killable) {
      // Read after the word: whoever kills sets `killed` before it changes the word we are about to sleep on.
      if (readOnce(heap, task.ptr + TASK.killed) !== 0) return false;
    } else if (word === LOOK_AT_KILLED) {
      cas(heap, at, LOOK_AT_KILLED, ASLEEP);
      continue;
    }
    parkWhile(task, at, ASLEEP);
  }
}

/**
 * Wakes (or grants to) a task that stands in a queue.
 * @locked the queue's lock
 * @returns the task's bit if it may be asleep, to be handed to notifyTasks once the lock is dropped; else 0
 */
export function wakeWaiter(heap: Heap, waiter: TaskPtr): Access<number> {
  return xchg(heap, waiter + TASK.wake, AWAKE) === ASLEEP ? taskBit(taskIdAt(heap, waiter)) : 0;
}

/** Does wakeWaiter for each task of a set; returns the set of those that may be asleep. */
export function wakeWaiters(heap: Heap, waiters: number): Access<number> {
  let asleep = 0;
  for (let rest = waiters; rest !== 0; rest &= rest - 1) asleep |= wakeWaiter(heap, taskAt(heap, firstTask(rest)));
  return asleep;
}

/** wake_up_q(): notifies a set of tasks whose words were cleared. Nothing happens for the empty set. */
export function notifyTasks(task: Task, tasks: number): Sim<void> {
  for (let rest = tasks & ~taskBit(task.id); rest !== 0; rest &= rest - 1) {
    unpark(task, taskAt(task.heap, firstTask(rest)) + TASK.wake, 1);
  }
}

/** A task's bit in a set of tasks. */
export function taskBit(id: TaskId): number {
  return 1 << (id - 1);
}

/** Lowest task of a set that is not empty. */
function firstTask(tasks: number): TaskId {
  return (32 - Math.clz32(tasks & -tasks)) as TaskId;
}

/** set_current_state(): from here on signals count; the condition must be tested after this, and after the barrier. */
export function armEvent(task: Task): Sim<void> {
  writeOnce(task.heap, task.ptr + TASK.event, ASLEEP);
  if (task.rules.rcuwait.barrier === 'full') smpMb();
}

/** Sleeps until somebody signals (or for no reason at all): the caller tests its condition again. */
export function sleepOnEvent(task: Task): Sim<void> {
  parkWhile(task, task.ptr + TASK.event, ASLEEP);
}

/** rcuwait_wake_up(): makes a task look at its condition again. */
export function signalEvent(task: Task, waiter: TaskPtr): Sim<void> {
  if (xchg(task.heap, waiter + TASK.event, AWAKE) === ASLEEP) unpark(task, waiter + TASK.event, 1);
}

/** True when a fatal signal is pending for the task. */
export function isKilled(task: Task): Access<boolean> {
  return readOnce(task.heap, task.ptr + TASK.killed) !== 0;
}

/** Sends a fatal signal: killable waits of the victim, present and future ones, return -EINTR. */
export function killTask(task: Task, victim: TaskId): Sim<void> {
  const { heap } = task;
  const target = taskAt(heap, victim);
  writeOnce(heap, target + TASK.killed, 1);
  if (cas(heap, target + TASK.wake, ASLEEP, LOOK_AT_KILLED) === ASLEEP) unpark(task, target + TASK.wake, 1);
  signalEvent(task, target);
}
