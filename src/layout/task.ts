/**
 * Words of a task: what others must see of the task that runs on a simulated CPU (what it waits for, what it holds,
 * whether it is inside RCU). One task per CPU for the whole run; task id n runs on CPU n - 1.
 */

import { fieldTable } from '../arena/fieldTable.ts';
import { HEADER, nrCpus } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { LockClassId, TaskId, TaskPtr } from './ids.ts';

export const MAX_HELD_LOCKS = 48;
/** Words per held lock: lock, class | subclass << 16 | read << 24 | trylock << 26, nest lock, place. */
export const HELD_WORDS = 4;

/** Word offsets of a task. Grouped: waiting, RCU, what runs now, lockdep's held stack. */
export const TASK = {
  /**
   * Word the task sleeps on in a lock's queue: 0 awake, 1 asleep or about to be, 2 asleep but to look at `killed`. Cleared by
   * the waker (grant), under the lock of the queue on which the task stands and never otherwise.
   */
  wake: 0,
  waitNext: 1,
  waitPrev: 2,
  /** What kind of waiter: readers 1, writers 2 (rwsem); the lock's own business otherwise. */
  waitKind: 3,
  /** What it waits for: a pfn for folio waiters. */
  waitKey: 4,
  waitFlags: 5,
  /** The lock (word index) the task blocks on right now and its class, for the watchdog; 0 none. */
  blockedOn: 6,
  blockedClass: 7,
  /** Milliseconds on the machine's clock when it blocked (low 32 bits). */
  blockedSince: 8,
  /** RCU: stamp of the period in which the task entered its read side (src/locks/rcu.ts), 0 outside; nesting depth. */
  rcuActive: 9,
  rcuNesting: 10,
  /** Head of the list of objects whose free is deferred until a grace period has passed, and that period. */
  rcuList: 11,
  rcuListPeriod: 12,
  rcuNextList: 13,
  /** What runs now: operation code, its running number (ticket), the mm. */
  op: 14,
  ticket: 15,
  mm: 16,
  state: 17,
  /** Non-zero: a fatal signal is pending; killable waits return -EINTR. */
  killed: 18,
  /** Steps that made progress, for the livelock watchdog. */
  progress: 19,
  heldCount: 20,
  /** Microseconds on the machine's clock (low 32 bits) after which a queued waiter may ask for handoff. */
  waitDeadline: 21,
  /** Word the task sleeps on when it re-checks a condition itself (rcuwait): anybody may clear it at any time. */
  event: 22,
  held: 24,
} as const;
export const TASK_WORDS = TASK.held + MAX_HELD_LOCKS * HELD_WORDS;
export const TASK_TABLE = fieldTable('task_struct', TASK, TASK_WORDS);

/** Address of a task's words. Constant after boot. */
export function taskAt(heap: Heap, id: TaskId): TaskPtr {
  return (heap[HEADER.taskBase] + (id - 1) * heap[HEADER.taskStride]) as TaskPtr;
}

/** Task that owns the words at `ptr`. */
export function taskIdAt(heap: Heap, ptr: TaskPtr): TaskId {
  return ((ptr - heap[HEADER.taskBase]) / heap[HEADER.taskStride] + 1) as TaskId;
}

/** The task is about to sleep: what the watchdog shows. Observers only, hence no scheduling point. */
export function setTaskBlocked(heap: Heap, task: TaskPtr, lock: number, cls: LockClassId, sinceMs: number): void {
  heap[task + TASK.blockedClass] = cls;
  heap[task + TASK.blockedSince] = sinceMs;
  Atomics.store(heap, task + TASK.blockedOn, lock);
}

/** The task runs again. */
export function clearTaskBlocked(heap: Heap, task: TaskPtr): void {
  Atomics.store(heap, task + TASK.blockedOn, 0);
}

/** The lock the task blocks on, 0 while it runs. */
export function taskBlockedOn(heap: Heap, task: TaskPtr): number {
  return Atomics.load(heap, task + TASK.blockedOn);
}

/** Class of the lock the task blocks on, or blocked on last. */
export function taskBlockedClass(heap: Heap, task: TaskPtr): LockClassId {
  return heap[task + TASK.blockedClass] as LockClassId;
}

/** Depth of RCU read sections of a task; exact for the task itself. */
export function taskRcuNesting(heap: Heap, task: TaskPtr): number {
  return heap[task + TASK.rcuNesting];
}

/** Ids of all tasks, in order. */
export function allTaskIds(heap: Heap): TaskId[] {
  return Array.from({ length: nrCpus(heap) }, (_, cpu) => (cpu + 1) as TaskId);
}
