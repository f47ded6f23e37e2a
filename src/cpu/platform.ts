/**
 * What the simulated kernel needs of the world below: sleeping on a word, waking, waiting one spin round, a clock. This
 * is the one module with a twin: the explored build uses platform.explored.ts, where a sleeping task is a coroutine that
 * the scheduler does not pick.
 */

import { abortRequested } from '../arena/header.ts';
import type { Sim } from '../base/sim.ts';
import { MachineAborted } from './machineAborted.ts';
import type { Task } from './task.ts';

/**
 * Rounds a lock may spin before it parks. Enough for a holder on the other core to finish a short section (a round is
 * one failed compare-and-swap, about 20 ns), far below the millisecond a spinner costs when CPUs outnumber cores.
 */
export const SPIN_ROUNDS = 200;

/** Longest single sleep: a sleeper looks at the abort word this often. */
const PARK_SLICE_MS = 50;

/**
 * Futex wait: returns at once if the word is not `expected`, else sleeps until unpark (or for no reason at all). Callers
 * loop over their condition.
 * @throws MachineAborted once the machine is to be stopped
 */
export function parkWhile(task: Task, at: number, expected: number): Sim<void> {
  if (abortRequested(task.heap)) throw new MachineAborted();
  Atomics.wait(task.heap, at, expected, PARK_SLICE_MS);
}

/** Futex wake: wakes up to `count` sleepers on the word. Only called where a waiter bit says that somebody sleeps. */
export function unpark(task: Task, at: number, count: number): Sim<void> {
  Atomics.notify(task.heap, at, count);
}

/** cpu_relax(): one round of a bounded spin or of a retry loop. @throws MachineAborted */
export function cpuRelax(task: Task): Sim<void> {
  if (abortRequested(task.heap)) throw new MachineAborted();
}

/** Whether this allocation fails: drawn from the task's generator; explored, the scheduler may choose. */
export function allocationFails(task: Task): Sim<boolean> {
  return task.prng.chance(task.failAlloc);
}

/**
 * Monotonic nanoseconds, for deadlines of the rwsem and for statistics; a logical clock when explored. One clock for all
 * threads: a deadline is written by one CPU and read by another, and performance.now() may start anew in each worker.
 */
export function nowNs(_task: Task): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}
