/**
 * What locks tell lockdep and the lock statistics, kept off the fast paths: every function here is called behind a test
 * of a hook for null.
 *
 * Order (as lockdep's): blocking acquire: hook, then the lock; trylock: hook on success only; release: hook, then the
 * lock; a killable acquire that fails: release hook after the failed wait.
 */

import { nowNs } from '../cpu/platform.ts';
import { mightSleep, type Task } from '../cpu/task.ts';
import type { AcquireMode, LockdepHook, ReadMode } from '../cpu/hooks.ts';
import type { LockClassId } from '../layout/ids.ts';

/** SINGLE_DEPTH_NESTING: the inner one of two locks of the same class. */
export const SINGLE_DEPTH_NESTING = 1;

const SUBCLASSES = [0, 1, 2, 3, 4, 5, 6, 7];

/** One mode object per subclass, made once: an acquire allocates nothing. */
function modes(read: ReadMode, trylock: boolean): readonly AcquireMode[] {
  return SUBCLASSES.map((subclass) => ({ read, trylock, subclass, nestLock: 0 }));
}

/** Exclusive and shared ways to take a lock, by subclass (0..7). Readers queue behind writers: read mode is always 1. */
export const EXCLUSIVE = modes(0, false);
export const EXCLUSIVE_TRY = modes(0, true);
export const SHARED = modes(1, false);
export const SHARED_TRY = modes(1, true);

/** About to wait for a sleeping lock: might_sleep(), then the acquire. */
export function acquireSleeping(
  task: Task,
  lockdep: LockdepHook,
  what: string,
  lock: number,
  cls: LockClassId,
  mode: AcquireMode,
): void {
  mightSleep(task, what);
  lockdep.acquire(task, lock, cls, mode);
}

/** Clock of a wait that is about to begin; 0 when nobody keeps statistics. */
export function waitBegin(task: Task): number {
  return task.lockStats === null ? 0 : nowNs(task);
}

/** The lock was got after a wait that began at `began`. */
export function waitEnd(task: Task, lock: number, cls: LockClassId, began: number): void {
  if (task.lockStats !== null) task.lockStats.acquired(task, lock, cls, true, nowNs(task) - began);
}
