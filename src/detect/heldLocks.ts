/**
 * What each task holds at each of its accesses, told by the hook that lockdep uses. The log is looked at when a task stops;
 * so that a hold is known at each access in between, what the hook said is kept with its place in the log.
 *
 * A lock counts as held from the moment its acquisition begins: until it succeeds the task touches nothing but the lock.
 */

import type { AcquireMode, LockdepHook } from '../cpu/hooks.ts';
import type { Task } from '../cpu/task.ts';
import { L } from '../instrument/runtime.ts';
import { LOCK_CLASSES } from '../layout/lockClass.ts';
import type { LockClassId } from '../layout/ids.ts';

/** A lock that is held; `read` for a shared hold. */
export interface Held {
  readonly lock: number;
  readonly cls: LockClassId;
  readonly read: boolean;
}

type Change = { readonly at: number } & (
  { readonly what: 'acquire'; readonly held: Held } | { readonly what: 'release' | 'downgrade'; readonly lock: number }
);

export class HeldLocks implements LockdepHook {
  private readonly held: Held[][] = [];
  private changes: Change[] = [];
  private next = 0;

  /** A new execution: nobody holds anything. */
  clear(): void {
    this.held.length = 0;
    this.changes = [];
    this.next = 0;
  }

  acquire(_task: Task, lock: number, cls: LockClassId, mode: AcquireMode): void {
    this.changes.push({ at: L.used, what: 'acquire', held: { lock, cls, read: mode.read !== 0 } });
  }

  release(_task: Task, lock: number): void {
    this.changes.push({ at: L.used, what: 'release', lock });
  }

  downgrade(_task: Task, lock: number): void {
    this.changes.push({ at: L.used, what: 'downgrade', lock });
  }

  mightSleep(): void {
    // Sleeping changes no hold.
  }

  freeRange(): void {
    // lockdep's business.
  }

  returnToUser(): void {
    // lockdep's business.
  }

  /** Takes in what `task` did to its locks before the entry at `at` of the log. @param dropped told of each lock let go */
  advance(task: number, at: number, dropped: (lock: number) => void): void {
    while (this.next < this.changes.length && this.changes[this.next].at <= at)
      this.apply(task, this.changes[this.next++], dropped);
  }

  /** The task stopped: the rest of what it did. */
  finish(task: number, dropped: (lock: number) => void): void {
    this.advance(task, Infinity, dropped);
    if (this.changes.length > 0) this.changes = [];
    this.next = 0;
  }

  /** What a task holds. */
  of(task: number): readonly Held[] {
    return this.held[task] ?? [];
  }

  private apply(task: number, change: Change, dropped: (lock: number) => void): void {
    const locks = (this.held[task] ??= []);
    if (change.what === 'acquire') {
      locks.push(change.held);
      return;
    }
    const index = locks.findLastIndex(({ lock }) => lock === change.lock);
    if (index < 0) return;
    if (change.what === 'downgrade') locks[index] = { ...locks[index], read: true };
    else locks.splice(index, 1);
    dropped(change.lock);
  }
}

/** `&mm->mmap_lock (read), ptlock_ptr(pte)`, or `nothing`. */
export function describeHeld(held: readonly Held[]): string {
  if (held.length === 0) return 'nothing';
  return held.map(({ cls, read }) => `${LOCK_CLASSES[cls].name}${read ? ' (read)' : ''}`).join(', ');
}

/** A hook that tells two observers. */
export function bothLockdep(first: LockdepHook | null, second: LockdepHook): LockdepHook {
  if (first === null) return second;
  return {
    acquire: (task, lock, cls, mode) => {
      first.acquire(task, lock, cls, mode);
      second.acquire(task, lock, cls, mode);
    },
    release: (task, lock) => {
      first.release(task, lock);
      second.release(task, lock);
    },
    downgrade: (task, lock) => {
      first.downgrade(task, lock);
      second.downgrade(task, lock);
    },
    mightSleep: (task, what) => {
      first.mightSleep(task, what);
      second.mightSleep(task, what);
    },
    freeRange: (task, start, words) => {
      first.freeRange(task, start, words);
      second.freeRange(task, start, words);
    },
    returnToUser: (task) => {
      first.returnToUser(task);
      second.returnToUser(task);
    },
  };
}
