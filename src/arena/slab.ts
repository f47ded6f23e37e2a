/**
 * Object caches: fixed-size objects, each behind a prefix of three words.
 *
 *   ptr-3 rcu     next object in a CPU's list of deferred frees
 *   ptr-2 link    next free object, or ALLOCATED
 *   ptr-1 gen     generation: even while free, odd while allocated; never reset
 *
 * The generation tells use-after-free exactly: a pointer remembered with its generation is dead once that changed.
 * Freed objects are poisoned, except in caches that are type-safe by RCU (SLAB_TYPESAFE_BY_RCU): there the memory stays
 * an object of the same type and may be reused at once. Reuse is LIFO, the adversarial order.
 *
 * An allocation is one step for the scheduler: the allocator is not what the laboratory studies. On threads a raw lock
 * word per cache guards the shared free list, and a per-CPU magazine keeps CPUs off each other's cache lines; machines
 * built for exploration have no magazines, so that a freed object is the next one anybody gets.
 */

import type { Access } from '../base/sim.ts';
import { assert, fail } from '../base/assert.ts';
import { CACHE, CACHES, HEADER, cacheAt, type CacheId } from './header.ts';
import type { Heap } from './heap.ts';

export const SLAB_PREFIX = 3;
const GEN = -1;
const LINK = -2;
const RCU = -3;
const ALLOCATED = -1;

/** What every word of a freed object reads: the kernel's POISON_FREE byte, four times. */
export const POISON = 0x6b6b_6b6b;

/** Cache flags. */
export const SLAB_TYPESAFE_BY_RCU = 1;

const CACHE_COUNT = Object.keys(CACHES).length;
const MAGAZINE_WORDS = 2;
/** Words of one CPU's magazines: whole cache lines. */
const CPU_MAGAZINE_WORDS = Math.ceil((CACHE_COUNT * MAGAZINE_WORDS) / 16) * 16;
const LOCK_ROUNDS = 64;
const LOCK_SLICE_MS = 1;

/** Words that the per-CPU magazines of `cpus` CPUs take. */
export function magazineSectionWords(cpus: number): number {
  return cpus * CPU_MAGAZINE_WORDS;
}

/** Puts every object of a cache on its free list, lowest address first out. Boot only. */
export function initCache(heap: Heap, cache: CacheId): void {
  const at = cacheAt(cache);
  const first = heap[at + CACHE.base];
  const stride = heap[at + CACHE.stride];
  const count = heap[at + CACHE.count];
  const poison = (heap[at + CACHE.flags] & SLAB_TYPESAFE_BY_RCU) === 0;
  let next = 0;
  for (let i = count - 1; i >= 0; i--) {
    const ptr = first + i * stride;
    heap[ptr + LINK] = next;
    if (poison) heap.fill(POISON, ptr, ptr + heap[at + CACHE.objectWords]);
    next = ptr;
  }
  heap[at + CACHE.freeHead] = next;
}

/**
 * Takes an object. Its contents are what the last owner left (type-safe caches) or poison: callers initialise.
 * @returns the object's word index, or 0 when the cache is exhausted
 */
export function slabAlloc(heap: Heap, cpu: number, cache: CacheId): Access<number> {
  const batch = heap[HEADER.magazine];
  const ptr = batch === 0 ? takeShared(heap, cache) : takeFromMagazine(heap, cpu, cache, batch);
  if (ptr === 0) return 0;
  assert(heap[ptr + LINK] !== ALLOCATED, 'slab: allocated object on the free list');
  heap[ptr + LINK] = ALLOCATED;
  heap[ptr + GEN]++;
  return ptr;
}

/** Gives an object back and poisons it unless the cache is type-safe by RCU. */
export function slabFree(heap: Heap, cpu: number, cache: CacheId, ptr: number): Access<void> {
  assert(heap[ptr + LINK] === ALLOCATED, 'slab: double free');
  const at = cacheAt(cache);
  if ((heap[at + CACHE.flags] & SLAB_TYPESAFE_BY_RCU) === 0) heap.fill(POISON, ptr, ptr + heap[at + CACHE.objectWords]);
  heap[ptr + GEN]++;
  const batch = heap[HEADER.magazine];
  if (batch === 0) giveShared(heap, cache, ptr);
  else giveToMagazine(heap, cpu, cache, batch, ptr);
}

/** Generation of an object; changes at every allocation and at every free. */
export function slabGeneration(heap: Heap, ptr: number): number {
  return Atomics.load(heap, ptr + GEN);
}

/** True while the object is allocated. */
export function slabIsAllocated(heap: Heap, ptr: number): boolean {
  return Atomics.load(heap, ptr + LINK) === ALLOCATED;
}

/** Cache that an object was allocated from. */
export function slabCacheOf(heap: Heap, ptr: number): CacheId {
  for (let cache = 0; cache < CACHE_COUNT; cache++) {
    const at = cacheAt(cache as CacheId);
    const offset = ptr - heap[at + CACHE.base];
    if (offset >= 0 && offset < heap[at + CACHE.count] * heap[at + CACHE.stride]) return cache as CacheId;
  }
  return fail('slab: no object of any cache');
}

/** Next object of a list of deferred frees. */
export function slabRcuNext(heap: Heap, ptr: number): number {
  return heap[ptr + RCU];
}

/** Links an object that is still allocated into a CPU's list of deferred frees. */
export function setSlabRcuNext(heap: Heap, ptr: number, next: number): void {
  heap[ptr + RCU] = next;
}

/** Objects of a cache, allocated or not, in address order. */
export function* slabObjects(heap: Heap, cache: CacheId): Generator<number> {
  const at = cacheAt(cache);
  const stride = heap[at + CACHE.stride];
  const end = heap[at + CACHE.base] + heap[at + CACHE.count] * stride;
  for (let ptr = heap[at + CACHE.base]; ptr < end; ptr += stride) yield ptr;
}

/** Number of objects in use. A scan: exact at quiescence, a snapshot otherwise. */
export function slabAllocatedCount(heap: Heap, cache: CacheId): number {
  let count = 0;
  for (const ptr of slabObjects(heap, cache)) if (slabIsAllocated(heap, ptr)) count++;
  return count;
}

function magazineAt(heap: Heap, cpu: number, cache: CacheId): number {
  return heap[HEADER.magazineBase] + cpu * CPU_MAGAZINE_WORDS + cache * MAGAZINE_WORDS;
}

function takeFromMagazine(heap: Heap, cpu: number, cache: CacheId, batch: number): number {
  const magazine = magazineAt(heap, cpu, cache);
  if (heap[magazine] === 0) refill(heap, magazine, cache, batch);
  const ptr = heap[magazine];
  if (ptr === 0) return 0;
  heap[magazine] = heap[ptr + LINK];
  heap[magazine + 1]--;
  return ptr;
}

function giveToMagazine(heap: Heap, cpu: number, cache: CacheId, batch: number, ptr: number): void {
  const magazine = magazineAt(heap, cpu, cache);
  heap[ptr + LINK] = heap[magazine];
  heap[magazine] = ptr;
  heap[magazine + 1]++;
  if (heap[magazine + 1] > 2 * batch) spill(heap, magazine, cache, batch);
}

function refill(heap: Heap, magazine: number, cache: CacheId, batch: number): void {
  const at = cacheAt(cache);
  lockCache(heap, at);
  const first = heap[at + CACHE.freeHead];
  let last = first;
  let taken = first === 0 ? 0 : 1;
  while (taken > 0 && taken < batch && heap[last + LINK] !== 0) {
    last = heap[last + LINK];
    taken++;
  }
  if (taken > 0) {
    heap[at + CACHE.freeHead] = heap[last + LINK];
    heap[last + LINK] = 0;
    heap[magazine] = first;
    heap[magazine + 1] = taken;
  }
  unlockCache(heap, at);
}

function spill(heap: Heap, magazine: number, cache: CacheId, batch: number): void {
  const first = heap[magazine];
  let last = first;
  for (let i = 1; i < batch; i++) last = heap[last + LINK];
  heap[magazine] = heap[last + LINK];
  heap[magazine + 1] -= batch;
  const at = cacheAt(cache);
  lockCache(heap, at);
  heap[last + LINK] = heap[at + CACHE.freeHead];
  heap[at + CACHE.freeHead] = first;
  unlockCache(heap, at);
}

function takeShared(heap: Heap, cache: CacheId): number {
  const at = cacheAt(cache);
  lockCache(heap, at);
  const ptr = heap[at + CACHE.freeHead];
  if (ptr !== 0) heap[at + CACHE.freeHead] = heap[ptr + LINK];
  unlockCache(heap, at);
  return ptr;
}

function giveShared(heap: Heap, cache: CacheId, ptr: number): void {
  const at = cacheAt(cache);
  lockCache(heap, at);
  heap[ptr + LINK] = heap[at + CACHE.freeHead];
  heap[at + CACHE.freeHead] = ptr;
  unlockCache(heap, at);
}

/** A raw lock below the simulation: short sections, bounded spinning, then sleep in slices so that nothing can hang. */
function lockCache(heap: Heap, at: number): void {
  for (let round = 0; Atomics.compareExchange(heap, at + CACHE.lock, 0, 1) !== 0; round++) {
    if (round >= LOCK_ROUNDS) Atomics.wait(heap, at + CACHE.lock, 1, LOCK_SLICE_MS);
  }
}

function unlockCache(heap: Heap, at: number): void {
  Atomics.store(heap, at + CACHE.lock, 0);
}
