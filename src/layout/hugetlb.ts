/**
 * The pool of huge pages: counters and locks among the global words, places for the contents of huge pages in a section of
 * their own. Guards: all of it under hugetlb_lock.
 */

import { fetchAdd, fetchAnd, fetchOr, load, store } from '../arena/access.ts';
import { CACHE, CACHES, cacheAt } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { UsageError } from '../base/usageError.ts';
import type { Access } from '../base/sim.ts';
import { GLOBAL, HUGETLB_FAULT_MUTEXES, globalAt } from './globals.ts';
import type { AddressSpacePtr, MutexPtr, SpinLockPtr } from './ids.ts';
import { MUTEX_WORDS } from './lockWords.ts';

/** Migration needs huge pages that are not of the pool: so many places more than the pool has pages. */
const SPARE_PLACES = 4;
const MAX_PLACES = 28;

/** Places for contents that a pool of `hugePages` needs. @throws UsageError when there are too many */
export function hugePlaces(hugePages: number): number {
  if (hugePages === 0) return 0;
  if (hugePages + SPARE_PLACES > MAX_PLACES) {
    throw new UsageError(`hugePages must be at most ${MAX_PLACES - SPARE_PLACES}, not ${hugePages}`);
  }
  return hugePages + SPARE_PLACES;
}

/** Pages of the pool, free or not. Constant. */
export function hugetlbPoolSize(heap: Heap): number {
  return Math.max(0, heap[cacheAt(CACHES.hugeContents) + CACHE.count] - SPARE_PLACES);
}

export function hugetlbLock(heap: Heap): SpinLockPtr {
  return globalAt(heap, GLOBAL.hugetlbLock) as SpinLockPtr;
}

/** A mutex of the fault mutex table, by its number. */
export function hugetlbFaultMutexAt(heap: Heap, number: number): MutexPtr {
  return (globalAt(heap, GLOBAL.hugetlbFaultMutexes) + number * MUTEX_WORDS) as MutexPtr;
}

/** hugetlb_fault_mutex_hash(): the mutex that orders faults on page `index` of an object. */
export function hugetlbFaultMutex(heap: Heap, mapping: AddressSpacePtr, index: number): MutexPtr {
  const hash = Math.imul(mapping + index, 0x9e37_79b1) >>> 8;
  return hugetlbFaultMutexAt(heap, hash % HUGETLB_FAULT_MUTEXES);
}

/** Fills the pool. Boot only. */
export function bootHugetlbPool(heap: Heap): Access<void> {
  heap[globalAt(heap, GLOBAL.hugetlbFree)] = hugetlbPoolSize(heap);
  heap[globalAt(heap, GLOBAL.hugetlbPlaces)] = 2 ** heap[cacheAt(CACHES.hugeContents) + CACHE.count] - 1;
}

/** Free pages of the pool. */
export function hugetlbFree(heap: Heap): Access<number> {
  return load(heap, globalAt(heap, GLOBAL.hugetlbFree));
}
export function setHugetlbFree(heap: Heap, pages: number): Access<void> {
  store(heap, globalAt(heap, GLOBAL.hugetlbFree), pages);
}
/** Reserved pages of the pool. */
export function hugetlbReserved(heap: Heap): Access<number> {
  return load(heap, globalAt(heap, GLOBAL.hugetlbReserved));
}
export function setHugetlbReserved(heap: Heap, pages: number): Access<void> {
  store(heap, globalAt(heap, GLOBAL.hugetlbReserved), pages);
}

/** Notes promises that nobody will give back. */
export function atomicAddHugetlbStranded(heap: Heap, pages: number): Access<void> {
  fetchAdd(heap, globalAt(heap, GLOBAL.hugetlbStranded), pages);
}

/** Takes a place for contents; 0 when all are in use. */
export function takeHugePlace(heap: Heap): Access<number> {
  const at = globalAt(heap, GLOBAL.hugetlbPlaces);
  const free = heap[at];
  if (free === 0) return 0;
  const number = 31 - Math.clz32(free & -free);
  fetchAnd(heap, at, ~(1 << number));
  const cache = cacheAt(CACHES.hugeContents);
  return heap[cache + CACHE.base] + number * heap[cache + CACHE.stride];
}

/** Gives a place back. */
export function giveHugePlace(heap: Heap, contents: number): Access<void> {
  const cache = cacheAt(CACHES.hugeContents);
  const number = (contents - heap[cache + CACHE.base]) / heap[cache + CACHE.stride];
  fetchOr(heap, globalAt(heap, GLOBAL.hugetlbPlaces), 1 << number);
}
