/**
 * What lockdep has to say, as plain data: it crosses threads and is formatted by src/report. Locks are named by class and
 * address, places by traces (`function@file:line`, innermost first).
 */

import type { ReadMode } from '../cpu/hooks.ts';

export type LockdepKind =
  | 'circular'
  | 'recursive'
  | 'instance-order'
  | 'nested-lock'
  | 'wait-context'
  | 'sleeping-function'
  | 'unlock-imbalance'
  | 'held-lock-freed'
  | 'user-return'
  | 'capacity';

/** One lock, held or wanted. */
export interface LockLine {
  readonly lock: number;
  /** Class, with `/1` for a subclass. */
  readonly name: string;
  /** Taken so far: `+` for write (first and third character), for read (second and fourth), `.` never. */
  readonly usage: string;
  readonly wait: number;
  readonly read: ReadMode;
  readonly trylock: boolean;
  /** Operation of the task when it took the lock. */
  readonly op: number;
  readonly trace: readonly string[];
  /** Further locks of the class that share the entry. */
  readonly more: number;
}

/** One dependency of a cycle: `to` was taken while `from` was held. */
export interface DependencyLine {
  readonly from: string;
  readonly to: string;
  /** Usage and wait type of `to`, as in a LockLine. */
  readonly usage: string;
  readonly wait: number;
  /** Task that showed it first. */
  readonly task: number;
  /** Where `to` was taken. */
  readonly trace: readonly string[];
  /** Where `from` had been taken. */
  readonly heldTrace: readonly string[];
  /** Addresses, when the cycle is one of instances. */
  readonly fromLock?: number;
  readonly toLock?: number;
}

export interface LockdepReport {
  readonly kind: LockdepKind;
  readonly task: number;
  /** Operation the task runs. */
  readonly op: number;
  /** The lock that is acquired, released or freed. */
  readonly lock?: LockLine;
  /** The held lock it collides with. */
  readonly other?: LockLine;
  /**
   * Cycles only: the dependencies, the new one first, each ending where the next one starts. The last one ends where the
   * new one starts.
   */
  readonly cycle?: readonly DependencyLine[];
  /** What the kind needs in words: the limit, the sleeping operation, the freed range. */
  readonly detail?: string;
  /** Whether the task is inside an RCU read side, and its preempt count. */
  readonly rcuNesting: number;
  readonly preemptCount: number;
  readonly held: readonly LockLine[];
  /** Where the task is. */
  readonly stack: readonly string[];
}
