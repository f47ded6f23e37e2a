/**
 * What one execution did, event by event, in words: what timelines, stories and documents of other tools are made from.
 * Written by a replay (src/explore/explain.ts); everything in it is plain data, but for the stacks.
 */

import type { Violation } from '../base/finding.ts';
import type { WordPlace } from '../check/wordNames.ts';

/** A function on the stack. */
export interface Frame {
  /** As it is written. */
  readonly name: string;
  /** Relative to the project: `src/mm/vmaAdjust.ts`. */
  readonly file: string;
  readonly line: number;
}

/** Innermost first; asked for when it is shown, since parsing stacks and source maps takes longer than running. */
export type Stack = () => readonly Frame[];

interface EventBase {
  /** Steps of the execution before it. */
  readonly step: number;
  /** Index of the task. */
  readonly task: number;
}

/** One access of the running task. */
export interface AccessEvent extends EventBase {
  readonly type: 'access';
  /** Word of the memory: what tells whether two accesses meet. */
  readonly at: number;
  readonly access: AccessName;
  readonly writes: boolean;
  readonly place: WordPlace;
  /** What the word was and is; equal for what only reads. */
  readonly before: number;
  readonly after: number;
  /** The same in words. */
  readonly was: string;
  readonly is: string;
  readonly stack: Stack;
}

/** How a step touches a word: the names of ACCESS. */
export type AccessName =
  | 'read'
  | 'write'
  | 'readOnce'
  | 'writeOnce'
  | 'acquire'
  | 'release'
  | 'rmw'
  | 'casFailed'
  | 'fence'
  | 'park'
  | 'wake'
  | 'lock'
  | 'unlock'
  | 'lockShared'
  | 'unlockShared'
  | 'alloc'
  | 'free'
  | 'racyRead'
  | 'racyWrite';

/** A lock was got, is about to be dropped, or changed from write to read. */
export interface LockEvent extends EventBase {
  readonly type: 'lock';
  readonly action: 'acquired' | 'released' | 'downgraded';
  /** What tells one lock from another. */
  readonly lock: number;
  /** `mm#1.mmap_lock`. */
  readonly name: string;
  readonly mode: 'read' | 'write' | '';
  /** The task had to wait for it. */
  readonly contended: boolean;
  readonly stack: Stack;
}

/** The task sleeps from now on, or waits in a loop until others have made a step. */
export interface WaitEvent extends EventBase {
  readonly type: 'sleep' | 'relax';
  /** What it waits for: a lock's name, or a word's. */
  readonly what: string;
  /** The lock, 0 if it is none that is known. */
  readonly lock: number;
  readonly stack: Stack;
}

/** A sleeper was made runnable. */
export interface WakeEvent extends EventBase {
  readonly type: 'woken';
  /** Who did it. */
  readonly by: number;
}

/** Another task runs from here on: `task` is the one that does no longer. */
export interface SwitchEvent extends EventBase {
  readonly type: 'switch';
  readonly to: number;
  /** The task could have gone on. */
  readonly preempted: boolean;
}

/** An open choice was decided. */
export interface PickEvent extends EventBase {
  readonly type: 'pick';
  readonly picked: number;
  readonly options: number;
  readonly stack: Stack;
}

/** The thread has done everything it had to do. */
export interface EndEvent extends EventBase {
  readonly type: 'end';
}

/** A detector spoke; `task` is -1 when it was the check at the end. */
export interface ViolationEvent extends EventBase {
  readonly type: 'violation';
  readonly violation: Violation;
  readonly stack: Stack;
}

export type TraceEvent =
  AccessEvent | LockEvent | WaitEvent | WakeEvent | SwitchEvent | PickEvent | EndEvent | ViolationEvent;

/** Who waits for a lock, and who has it. */
export interface WaitEdge {
  readonly task: number;
  readonly what: string;
  /** Tasks that hold it; empty when nobody does, or when it is no lock. */
  readonly holders: readonly number[];
}

export interface Trace {
  /** A name per task: `CPU1`. */
  readonly tasks: readonly string[];
  readonly events: readonly TraceEvent[];
  readonly verdict: string;
  readonly violations: readonly Violation[];
  readonly steps: number;
  /** Of a deadlock: who waits for whom. */
  readonly waits: readonly WaitEdge[];
  /** Step at which the program left the schedule that it was to follow; null if it did not. */
  readonly divergedAt: number | null;
}
