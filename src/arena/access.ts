/**
 * The intrinsics: every access of the simulated kernel to shared memory goes through one of these, directly or through
 * the accessors of src/layout. Plain and marked accesses are told apart because the kernel does so: plain ones are
 * legal only under the lock that guards the field, marked ones where a lockless reader or writer exists.
 *
 * JavaScript's Atomics are sequentially consistent, so `readOnce` and `loadAcquire` are the same instruction here; the
 * names say what the kernel asks for. For the same reason `smpMb` is nothing at all: whatever the kernel orders by it are
 * marked accesses, and those keep their order anyway. The explored build tells the difference, and can delay stores.
 */

import type { Access } from '../base/sim.ts';
import type { Heap } from './heap.ts';

/** Plain read of one word: the caller holds the lock that guards it. */
export function load(heap: Heap, at: number): Access<number> {
  return heap[at];
}

/** Plain write of one word: the caller holds the lock that guards it. */
export function store(heap: Heap, at: number, value: number): Access<void> {
  heap[at] = value;
}

/**
 * data_race(): a plain write that lockless readers may meet and that the kernel leaves plain; why that is harmless is said
 * where it is used. It races with nothing, whatever the other access is.
 */
export function racyStore(heap: Heap, at: number, value: number): Access<void> {
  heap[at] = value;
}

/** data_race(): a plain read without the lock, of a value that may be wrong at once; likewise. */
export function racyLoad(heap: Heap, at: number): Access<number> {
  return heap[at];
}

/** READ_ONCE(): a lockless read. */
export function readOnce(heap: Heap, at: number): Access<number> {
  return Atomics.load(heap, at);
}

/** WRITE_ONCE(): a write that lockless readers may see. */
export function writeOnce(heap: Heap, at: number, value: number): Access<void> {
  Atomics.store(heap, at, value);
}

/** smp_load_acquire(). */
export function loadAcquire(heap: Heap, at: number): Access<number> {
  return Atomics.load(heap, at);
}

/** smp_store_release(). */
export function storeRelease(heap: Heap, at: number, value: number): Access<void> {
  Atomics.store(heap, at, value);
}

/** cmpxchg(): stores `desired` if the word is `expected`; returns what the word was. */
export function cas(heap: Heap, at: number, expected: number, desired: number): Access<number> {
  return Atomics.compareExchange(heap, at, expected, desired);
}

/** xchg(): returns what the word was. */
export function xchg(heap: Heap, at: number, value: number): Access<number> {
  return Atomics.exchange(heap, at, value);
}

/** atomic_fetch_add(): returns what the word was. */
export function fetchAdd(heap: Heap, at: number, value: number): Access<number> {
  return Atomics.add(heap, at, value);
}

/** atomic_fetch_sub(): returns what the word was. */
export function fetchSub(heap: Heap, at: number, value: number): Access<number> {
  return Atomics.sub(heap, at, value);
}

/** atomic_fetch_or(): returns what the word was. */
export function fetchOr(heap: Heap, at: number, value: number): Access<number> {
  return Atomics.or(heap, at, value);
}

/** atomic_fetch_and(): returns what the word was. */
export function fetchAnd(heap: Heap, at: number, value: number): Access<number> {
  return Atomics.and(heap, at, value);
}

/** smp_mb(): what this CPU stored is seen by all before it loads anything that follows. */
export function smpMb(): Access<void> {
  // Atomics are ordered as they stand.
}
