/**
 * The locks a task holds, oldest first, in the task's own words (src/layout/task.ts), so that anybody can print them: the
 * watchdog does. The newest entry may be a lock the task still waits for: lockdep is told before the wait.
 *
 * An entry is four words: lock, class and mode, nest lock, place. Beyond MERGE_DEPTH locks of one class that are taken
 * under one nest lock share an entry (mm_take_all_locks takes thousands); the ones that have no entry of their own are
 * listed in lockdep's section and step up when the entry's lock is released.
 *
 * Kernel: struct held_lock, whose reference count merges from the second lock on and forgets which locks they were.
 */

import type { Heap } from '../arena/heap.ts';
import type { AcquireMode, ReadMode } from '../cpu/hooks.ts';
import type { LockClassId, TaskPtr } from '../layout/ids.ts';
import { HELD_WORDS, MAX_HELD_LOCKS, TASK, taskIdAt } from '../layout/task.ts';
import type { LockdepSection } from './section.ts';

/** Word offsets of an entry. */
export const HELD = { lock: 0, mode: 1, nest: 2, place: 3 } as const;

const CLASS_MASK = 0xffff;
const SUBCLASS_SHIFT = 16;
const READ_SHIFT = 24;
const TRYLOCK_BIT = 1 << 26;
/** Other locks share the entry. */
export const MERGED_BIT = 1 << 27;

/** Place: chain that ends in the entry, and above it the operation that took the lock. */
const CHAIN_BITS = 16;
export const CHAIN_MASK = (1 << CHAIN_BITS) - 1;
const OP_MASK = 0xff;

/** Entries from here on are merged where they can be; the rest of the stack is for what is taken inside. */
export const MERGE_DEPTH = MAX_HELD_LOCKS - 8;

/** One held lock, unpacked. */
export interface HeldLock extends AcquireMode {
  readonly lock: number;
  readonly cls: LockClassId;
  /** Chain it was taken in, and operation code of the task then. */
  readonly chain: number;
  readonly op: number;
  /** Further locks that share the entry. */
  readonly more: number;
}

/** The mode word of an entry. */
export function packMode(cls: LockClassId, { subclass, read, trylock }: AcquireMode): number {
  return cls | (subclass << SUBCLASS_SHIFT) | (read << READ_SHIFT) | (trylock ? TRYLOCK_BIT : 0);
}

/** The place word of an entry. */
export function packPlace(chain: number, op: number): number {
  return chain | ((op & OP_MASK) << CHAIN_BITS);
}

/** Operation code of a place word. */
export function placeOp(place: number): number {
  return (place >>> CHAIN_BITS) & OP_MASK;
}

/** The mode in which the entry at `at` of `words` was taken. */
export function modeOf(words: Int32Array, at: number): AcquireMode {
  const mode = words[at + HELD.mode];
  // The order of the lock primitives' own modes: one shape for the fast path.
  return {
    read: modeRead(mode),
    trylock: modeIsTrylock(mode),
    subclass: modeSubclass(mode),
    nestLock: words[at + HELD.nest],
  };
}

export function modeClass(mode: number): LockClassId {
  return (mode & CLASS_MASK) as LockClassId;
}

export function modeRead(mode: number): ReadMode {
  return ((mode >>> READ_SHIFT) & 3) as ReadMode;
}

function modeSubclass(mode: number): number {
  return (mode >>> SUBCLASS_SHIFT) & 0xff;
}

function modeIsTrylock(mode: number): boolean {
  return (mode & TRYLOCK_BIT) !== 0;
}

/** Address of entry `index` of a task. */
export function heldAt(task: TaskPtr, index: number): number {
  return task + TASK.held + index * HELD_WORDS;
}

/** Index of the newest entry of `lock`, or -1. */
export function findHeld(heap: Heap, task: TaskPtr, lock: number): number {
  let index = heap[task + TASK.heldCount] - 1;
  while (index >= 0 && heap[heldAt(task, index) + HELD.lock] !== lock) index--;
  return index;
}

/**
 * What a task holds, oldest first. Safe from any thread at any time; of a running task it is a snapshot that may tear.
 * Without a section (lockdep off) the stack is empty.
 */
export function heldLocks(section: LockdepSection, task: TaskPtr): HeldLock[] {
  const { heap } = section;
  const count = Math.min(heap[task + TASK.heldCount], MAX_HELD_LOCKS);
  return Array.from({ length: count }, (_, index) => heldLock(section, task, index));
}

function heldLock(section: LockdepSection, task: TaskPtr, index: number): HeldLock {
  const { heap } = section;
  const at = heldAt(task, index);
  const mode = heap[at + HELD.mode];
  const place = heap[at + HELD.place];
  return {
    lock: heap[at + HELD.lock],
    cls: modeClass(mode),
    ...modeOf(heap, at),
    chain: place & CHAIN_MASK,
    op: placeOp(place),
    more: (mode & MERGED_BIT) === 0 ? 0 : countMerged(section, task, mode),
  };
}

/** Where a task's list of merged locks starts: their number, then pairs of lock and mode word. */
function mergedAt({ heap, nested, size }: LockdepSection, task: TaskPtr): number {
  return nested + (taskIdAt(heap, task) - 1) * (1 + 2 * size.nested);
}

function countMerged(section: LockdepSection, task: TaskPtr, mode: number): number {
  const { heap } = section;
  const at = mergedAt(section, task);
  let count = 0;
  for (let i = 0; i < heap[at]; i++) if (heap[at + 2 + 2 * i] === (mode & ~MERGED_BIT)) count++;
  return count;
}

/** Lets `lock` share entry `index`, which has the same mode. False when the list is full. */
export function addMerged(section: LockdepSection, task: TaskPtr, lock: number, index: number): boolean {
  const { heap, size } = section;
  const at = mergedAt(section, task);
  const entry = heldAt(task, index);
  const count = heap[at];
  if (count >= size.nested) return false;
  heap[at + 1 + 2 * count] = lock;
  heap[at + 2 + 2 * count] = heap[entry + HELD.mode] & ~MERGED_BIT;
  heap[at] = count + 1;
  heap[entry + HELD.mode] |= MERGED_BIT;
  return true;
}

/** Takes `lock` off the list. False when it is not on it. */
export function removeMerged(section: LockdepSection, task: TaskPtr, lock: number): boolean {
  return removeWhere(section, task, 1, lock) !== 0;
}

/** Takes some lock of mode word `mode` off the list, 0 when there is none. */
export function takeMerged(section: LockdepSection, task: TaskPtr, mode: number): number {
  return removeWhere(section, task, 2, mode & ~MERGED_BIT);
}

/** Removes the newest pair whose word at `offset` (1 lock, 2 mode) is `value`; returns its lock. */
function removeWhere(section: LockdepSection, task: TaskPtr, offset: 1 | 2, value: number): number {
  const { heap } = section;
  const at = mergedAt(section, task);
  const last = heap[at] - 1;
  let i = last;
  while (i >= 0 && heap[at + offset + 2 * i] !== value) i--;
  if (i < 0) return 0;
  const lock = heap[at + 1 + 2 * i];
  heap.copyWithin(at + 1 + 2 * i, at + 1 + 2 * last, at + 3 + 2 * last);
  heap[at] = last;
  return lock;
}
