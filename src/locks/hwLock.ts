/**
 * A raw lock word without hooks: the lock of a TLB (hardware, which no kernel tool sees) and what guards the wait lists
 * of rwsem and mutex (their raw wait_lock).
 *
 * Three states: 0 free, 1 held, 2 held and somebody may sleep. Who sleeps has set 2 before (its exchange in the loop), and
 * sleeps only while the word is still 2; who unlocks swaps 0 in and notifies one sleeper iff it swapped out a 2. A task that
 * was woken goes on with 2, not with 1, because others may sleep behind it: at worst one notify too many, never one
 * too few. A spinner that overtakes with 1 is safe, since the woken task swaps 2 in again before it sleeps.
 *
 * Kernel: raw spinlocks; the form is Drepper's third futex mutex. Not modelled: FIFO order among waiters.
 */

import { cas, readOnce, xchg } from '../arena/access.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import { SPIN_ROUNDS, cpuRelax, parkWhile, unpark } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import type { LockClassId } from '../layout/ids.ts';
import { CLASS_NONE } from '../layout/lockClass.ts';
import { taskBlockedOn } from '../layout/task.ts';
import { blockBegin, blockEnd } from './sleep.ts';

const FREE = 0;
const HELD = 1;
const CONTENDED = 2;

/** Takes the raw lock word at `at`. */
export function hwLock(task: Task, at: number): Sim<void> {
  if (cas(task.heap, at, FREE, HELD) !== FREE) hwLockSlow(task, at, CLASS_NONE);
}

/** Drops the raw lock word at `at`. */
export function hwUnlock(task: Task, at: number): Sim<void> {
  const before = xchg(task.heap, at, FREE);
  assert(before !== FREE, 'hwUnlock: the lock is not held');
  if (before === CONTENDED) unpark(task, at, 1);
}

/** The lock, of class `cls`, was held at the first look: spins for a bounded time, then sleeps. */
export function hwLockSlow(task: Task, at: number, cls: LockClassId): Sim<void> {
  const { heap } = task;
  for (let round = 0; round < SPIN_ROUNDS; round++) {
    cpuRelax(task);
    if (readOnce(heap, at) === FREE && cas(heap, at, FREE, HELD) === FREE) return;
  }
  if (xchg(heap, at, CONTENDED) === FREE) return;
  // A wait list's lock is also taken in the middle of a wait that the watchdog already knows.
  const inner = taskBlockedOn(heap, task.ptr) !== 0;
  if (!inner) blockBegin(task, at, cls);
  do parkWhile(task, at, CONTENDED);
  while (xchg(heap, at, CONTENDED) !== FREE);
  if (!inner) blockEnd(task);
}
