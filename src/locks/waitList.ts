/**
 * FIFO of waiting tasks: two words (head, tail) beside a lock, links in the tasks. A task stands in at most one list.
 * Everything here needs the list's lock, so each change is one step for the scheduler.
 *
 * Kernel: the wait_list of rwsem and mutex, wait_queue_head.
 */

import { load, store, writeOnce } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import type { Access } from '../base/sim.ts';
import type { TaskPtr } from '../layout/ids.ts';
import { TASK, taskIdAt } from '../layout/task.ts';
import { taskBit } from './sleep.ts';

const HEAD = 0;
const TAIL = 1;

/** TASK.waitKind. */
export const WAIT_READ = 1;
export const WAIT_WRITE = 2;

/** TASK.waitFlags: the waiter asked for handoff (rwsem), or was handed the lock by its waker (folio lock). */
export const WAIT_HANDOFF = 1;
export const WAIT_DONE = 2;

/** First task of a list, 0 when it is empty. */
export function firstWaiter(heap: Heap, list: number): Access<TaskPtr> {
  return load(heap, list + HEAD) as TaskPtr;
}

/** Next task of the list a task stands in, 0 at the end. */
export function nextWaiter(heap: Heap, waiter: TaskPtr): Access<TaskPtr> {
  return load(heap, waiter + TASK.waitNext) as TaskPtr;
}

/** True when the list holds exactly one task. */
export function listIsSingular(heap: Heap, list: number): Access<boolean> {
  const head = load(heap, list + HEAD);
  return head !== 0 && head === load(heap, list + TAIL);
}

/** Appends a task that waits as `kind` for `key`. */
export function addWaiter(heap: Heap, list: number, waiter: TaskPtr, kind: number, key: number): Access<void> {
  const tail = load(heap, list + TAIL);
  assert(tail !== waiter, 'wait list: the task already stands in it');
  store(heap, waiter + TASK.waitKind, kind);
  store(heap, waiter + TASK.waitKey, key);
  store(heap, waiter + TASK.waitFlags, 0);
  store(heap, waiter + TASK.waitNext, 0);
  store(heap, waiter + TASK.waitPrev, tail);
  if (tail === 0) setHead(heap, list, waiter);
  else store(heap, tail + TASK.waitNext, waiter);
  store(heap, list + TAIL, waiter);
}

/** The head is marked, as in the kernel's lists: who asks whether anybody queues holds no lock. */
function setHead(heap: Heap, list: number, head: number): Access<void> {
  writeOnce(heap, list + HEAD, head);
}

/** Takes a task out of the list it stands in. */
export function removeWaiter(heap: Heap, list: number, waiter: TaskPtr): Access<void> {
  const next = load(heap, waiter + TASK.waitNext);
  const prev = load(heap, waiter + TASK.waitPrev);
  assert(prev !== 0 || load(heap, list + HEAD) === waiter, 'wait list: the task does not stand in it');
  if (prev === 0) setHead(heap, list, next);
  else store(heap, prev + TASK.waitNext, next);
  store(heap, next === 0 ? list + TAIL : next + TASK.waitPrev, prev);
  store(heap, waiter + TASK.waitNext, 0);
  store(heap, waiter + TASK.waitPrev, 0);
}

/**
 * Takes up to `max` readers out of the list, skipping over writers.
 * @returns the set of the tasks taken
 */
export function takeReaders(heap: Heap, list: number, max: number): Access<number> {
  let taken = 0;
  let waiter = firstWaiter(heap, list);
  for (let left = max; waiter !== 0 && left > 0;) {
    const next = nextWaiter(heap, waiter);
    if (load(heap, waiter + TASK.waitKind) === WAIT_READ) {
      removeWaiter(heap, list, waiter);
      taken |= taskBit(taskIdAt(heap, waiter));
      left--;
    }
    waiter = next;
  }
  return taken;
}

/** Number of tasks in a set. */
export function countTasks(tasks: number): number {
  let count = 0;
  for (let rest = tasks; rest !== 0; rest &= rest - 1) count++;
  return count;
}

export function waiterKind(heap: Heap, waiter: TaskPtr): Access<number> {
  return load(heap, waiter + TASK.waitKind);
}
export function waiterKey(heap: Heap, waiter: TaskPtr): Access<number> {
  return load(heap, waiter + TASK.waitKey);
}
export function waiterHasFlag(heap: Heap, waiter: TaskPtr, flag: number): Access<boolean> {
  return (load(heap, waiter + TASK.waitFlags) & flag) !== 0;
}
export function setWaiterFlag(heap: Heap, waiter: TaskPtr, flag: number): Access<void> {
  store(heap, waiter + TASK.waitFlags, load(heap, waiter + TASK.waitFlags) | flag);
}
export function waiterDeadline(heap: Heap, waiter: TaskPtr): Access<number> {
  return load(heap, waiter + TASK.waitDeadline);
}
export function setWaiterDeadline(heap: Heap, waiter: TaskPtr, deadline: number): Access<void> {
  store(heap, waiter + TASK.waitDeadline, deadline);
}
