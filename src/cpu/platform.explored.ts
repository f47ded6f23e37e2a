/**
 * The twin of platform.ts in the explored build: a task is a coroutine, to sleep is to yield a request, and the scheduler
 * does not pick a sleeper. Written as generators by hand; the pass puts this module in the place of the other.
 *
 * Nothing runs between a coroutine's last access and its next point, so looking at the word and going to sleep is one
 * step, as it is for a futex, and a full barrier, as a system call is. There are no spurious wake-ups: a wake-up that never came shows as a deadlock.
 */

import { abortRequested } from '../arena/header.ts';
import { drainOwnStores } from '../arena/storeBuffer.ts';
import { ACCESS, REQUEST, S, logAccess, wakeParked } from '../instrument/runtime.ts';
import { MachineAborted } from './machineAborted.ts';
import type { Task } from './task.ts';

/** A lock parks at once: spinning would only multiply schedules that differ in nothing. */
export const SPIN_ROUNDS = 0;

/** What a step takes on the logical clock. */
const NS_PER_STEP = 1000;

/** Futex wait: returns at once if the word is not `expected`, else sleeps until unpark. @throws MachineAborted */
export function* parkWhile(task: Task, at: number, expected: number): Generator<unknown, void> {
  if (abortRequested(task.heap)) throw new MachineAborted();
  drainOwnStores();
  const value = task.heap[at];
  logAccess(at, ACCESS.park, value);
  if (value !== expected) return;
  S.request = REQUEST.park;
  S.at = at;
  yield 0;
  logAccess(at, ACCESS.park, task.heap[at]);
}

/** Futex wake: makes up to `count` sleepers runnable; if there are any, who runs next is chosen anew. */
export function* unpark(_task: Task, at: number, count: number): Generator<unknown, void> {
  drainOwnStores();
  logAccess(at, ACCESS.wake, count);
  if (wakeParked(at, count) === 0) return;
  S.request = REQUEST.woke;
  yield 0;
}

/** cpu_relax(): others make a step before this task goes on, if any can. @throws MachineAborted */
export function* cpuRelax(task: Task): Generator<unknown, void> {
  if (abortRequested(task.heap)) throw new MachineAborted();
  S.request = REQUEST.relax;
  yield 0;
}

/** Whether this allocation fails: a choice of the schedule, or drawn from the task's generator. */
export function* allocationFails(task: Task): Generator<unknown, boolean> {
  if (!task.chooseFailures) return task.prng.chance(task.failAlloc);
  S.request = REQUEST.choose;
  S.at = 2;
  return (yield 0) === 1;
}

/** The logical clock: steps of this execution. */
export function nowNs(_task: Task): number {
  return S.clock * NS_PER_STEP;
}
