/**
 * Words of each lock family, relative to the lock's address. All zero is an unlocked lock without a class, so that
 * fresh memory is safe; init sets the class. The algorithms live in src/locks; observers read these words.
 *
 * Owner words are hints for spinners, assertions and reports, never what excludes anybody: they are accessed without a
 * scheduling point. Class words are constant after init.
 */

import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { LockClassId, MutexPtr, RwSemPtr, SpinLockPtr, TaskId } from './ids.ts';

/** Three-state futex word: 0 free, 1 held, 2 held and somebody may sleep. `owner` is the holder's task id. */
export const SPIN = { state: 0, owner: 1, cls: 2 } as const;
export const SPIN_WORDS = 3;
export const SPIN_TABLE = fieldTable('spinlock', SPIN, SPIN_WORDS);

/**
 * count: bit 0 writer, bit 1 waiters, bit 2 handoff, readers from bit 8 (one reader = 256), as rwsem.c.
 * owner: task id of the writer, or of the last reader that came in, shifted left by 2; bit 0 reader-owned, bit 1 do not spin.
 * waitLock: raw futex word over the FIFO of waiting tasks (head, tail: TaskPtr; links are in the tasks).
 * spinner: 1 while a writer spins for the lock (one at a time).
 */
export const RWSEM = { count: 0, owner: 1, waitLock: 2, head: 3, tail: 4, cls: 5, spinner: 6 } as const;
export const RWSEM_WORDS = 8;
export const RWSEM_TABLE = fieldTable('rw_semaphore', RWSEM, RWSEM_WORDS);
export const RWSEM_WRITER = 1;
export const RWSEM_WAITERS = 2;
export const RWSEM_HANDOFF = 4;
export const RWSEM_READER_SHIFT = 8;
export const RWSEM_READER = 1 << RWSEM_READER_SHIFT;
/** Somebody holds it: the writer bit or any reader. */
export const RWSEM_HELD = ~(RWSEM_READER - 1) | RWSEM_WRITER;
export const RWSEM_OWNER_SHIFT = 2;
export const RWSEM_READER_OWNED = 1;
export const RWSEM_NO_SPIN = 2;

/** owner: task id shifted left by 3 with flag bits waiters (1), handoff (2), pickup (4), as mutex.c. */
export const MUTEX = { owner: 0, waitLock: 1, head: 2, tail: 3, cls: 4 } as const;
export const MUTEX_WORDS = 6;
export const MUTEX_TABLE = fieldTable('mutex', MUTEX, MUTEX_WORDS);
export const MUTEX_WAITERS = 1;
export const MUTEX_HANDOFF = 2;
export const MUTEX_PICKUP = 4;
export const MUTEX_FLAGS = 7;
export const MUTEX_OWNER_SHIFT = 3;

export function spinLockClass(heap: Heap, lock: SpinLockPtr): LockClassId {
  return heap[lock + SPIN.cls] as LockClassId;
}
/** Task that holds the lock, 0 when free. Exact for the holder itself, a hint for everybody else. */
export function spinLockOwner(heap: Heap, lock: SpinLockPtr): TaskId {
  return heap[lock + SPIN.owner] as TaskId;
}
/** The lock is held by the caller. */
export function setSpinLockOwner(heap: Heap, lock: SpinLockPtr, owner: number): void {
  heap[lock + SPIN.owner] = owner;
}

export function rwSemClass(heap: Heap, sem: RwSemPtr): LockClassId {
  return heap[sem + RWSEM.cls] as LockClassId;
}
/** The count word, for assertions and reports. */
export function peekRwSemCount(heap: Heap, sem: RwSemPtr): number {
  return Atomics.load(heap, sem + RWSEM.count);
}
/** The owner word with its flag bits. */
export function rwSemOwnerWord(heap: Heap, sem: RwSemPtr): number {
  return Atomics.load(heap, sem + RWSEM.owner);
}
/** Task that holds it for write, 0 when nobody does. Exact for the holder itself, a hint for everybody else. */
export function rwSemWriter(heap: Heap, sem: RwSemPtr): TaskId {
  const owner = heap[sem + RWSEM.owner];
  return ((owner & RWSEM_READER_OWNED) === 0 ? owner >> RWSEM_OWNER_SHIFT : 0) as TaskId;
}
/** The caller has just got the lock for write, or (owner 0) is about to drop it. */
export function setRwSemOwner(heap: Heap, sem: RwSemPtr, owner: number): void {
  heap[sem + RWSEM.owner] = owner << RWSEM_OWNER_SHIFT;
}
/** A reader came in. It stays the owner after it left; whether spinning pays is remembered until the readers drain. */
export function setRwSemReaderOwner(heap: Heap, sem: RwSemPtr, reader: TaskId): void {
  const noSpin = heap[sem + RWSEM.owner] & RWSEM_NO_SPIN;
  heap[sem + RWSEM.owner] = (reader << RWSEM_OWNER_SHIFT) | RWSEM_READER_OWNED | noSpin;
}
/** Sets or clears "do not spin" on a reader-owned lock; does nothing once a writer owns it. */
export function setRwSemNoSpin(heap: Heap, sem: RwSemPtr, noSpin: boolean): void {
  const owner = Atomics.load(heap, sem + RWSEM.owner);
  if ((owner & RWSEM_READER_OWNED) === 0) return;
  const marked = noSpin ? owner | RWSEM_NO_SPIN : owner & ~RWSEM_NO_SPIN;
  Atomics.compareExchange(heap, sem + RWSEM.owner, owner, marked);
}

export function mutexClass(heap: Heap, mutex: MutexPtr): LockClassId {
  return heap[mutex + MUTEX.cls] as LockClassId;
}
/** Task that holds the mutex, 0 when free. */
export function peekMutexOwner(heap: Heap, mutex: MutexPtr): TaskId {
  return (Atomics.load(heap, mutex + MUTEX.owner) >> MUTEX_OWNER_SHIFT) as TaskId;
}
