import { describe, expect, test } from 'vitest';
import { attachArena, createArena, restoreArena, snapshotArena } from '../../src/arena/arena.ts';
import { CACHES, CACHE_NAMES, HEADER, type CacheName } from '../../src/arena/header.ts';
import { attachHeap } from '../../src/arena/heap.ts';
import type { MachinePlan } from '../../src/arena/plan.ts';
import {
  POISON,
  SLAB_TYPESAFE_BY_RCU,
  slabAlloc,
  slabAllocatedCount,
  slabFree,
  slabGeneration,
  slabIsAllocated,
  slabObjects,
} from '../../src/arena/slab.ts';
import { SMALL_MACHINE, STRESS_MACHINE, createMachine } from '../../src/cpu/machine.ts';

const OBJECTS = Object.fromEntries(
  CACHE_NAMES.map((name) => [name, { count: 4, words: 6, flags: name === 'anonVma' ? SLAB_TYPESAFE_BY_RCU : 0 }]),
) as MachinePlan['objects'];

const PLAN: MachinePlan = {
  cpus: 2,
  objects: OBJECTS,
  pageWords: 4,
  tlbEntries: 8,
  magazine: 0,
  taskWords: 10,
  tlbWords: 12,
  globalWords: 4,
  waitBucketWords: 4,
  waitBuckets: 2,
  lockdepWords: 0,
  alignWords: 1,
  userWords: 5,
};

describe('plan', () => {
  test.each([
    ['no CPU', { cpus: 0 }, /cpus must be a whole number from 1 to 32, not 0/],
    ['half a CPU', { cpus: 1.5 }, /cpus must be a whole number/],
    ['a TLB that is no power of two', { tlbEntries: 12 }, /power of two/],
    ['a single frame', { objects: { ...OBJECTS, frame: { count: 1, words: 6, flags: 0 } } }, /frames must be/],
    ['more than an arena can hold', { userWords: 2 ** 30 }, /does not fit: it needs \d+ MiB/],
  ])('refuses %s', (_what, change, message) => {
    expect(() => createArena({ ...PLAN, ...change })).toThrow(message);
  });

  test.each([1, 16])('objects do not overlap, alignment %d', (alignWords) => {
    const heap = createArena({ ...PLAN, alignWords });
    const starts = CACHE_NAMES.flatMap((name) => [...slabObjects(heap, CACHES[name])]).sort((a, b) => a - b);
    for (let i = 1; i < starts.length; i++) expect(starts[i] - starts[i - 1]).toBeGreaterThanOrEqual(6 + 3);
    expect(starts.at(-1)! + 6).toBeLessThanOrEqual(heap.length);
  });
});

describe('sharing', () => {
  test('another view sees the same words', () => {
    const heap = createArena(PLAN);
    heap[HEADER.zeroPfn] = 7;
    expect(attachArena(heap.buffer)[HEADER.zeroPfn]).toBe(7);
  });

  test('foreign and truncated memory is refused', () => {
    expect(() => attachArena(new SharedArrayBuffer(4096))).toThrow(/not an mmstorm arena/);
    expect(() => attachHeap(new SharedArrayBuffer(6))).toThrow(/whole words/);
    const heap = createArena(PLAN);
    heap[HEADER.version] = 99;
    expect(() => attachArena(heap.buffer)).toThrow(/arena layout 99/);
  });

  test('a snapshot brings everything back', () => {
    const heap = createArena(PLAN);
    const snapshot = snapshotArena(heap);
    slabAlloc(heap, 0, CACHES.vma);
    restoreArena(heap, snapshot);
    expect(slabAllocatedCount(heap, CACHES.vma)).toBe(0);
    expect([...heap]).toEqual([...snapshot]);
  });
});

describe.each([0, 2])('slab with magazines of %d', (magazine) => {
  const create = (): ReturnType<typeof createArena> => createArena({ ...PLAN, magazine });

  test('hands out every object once, then says no', () => {
    const heap = create();
    const got = Array.from({ length: 5 }, () => slabAlloc(heap, 0, CACHES.vma));
    expect(new Set(got.slice(0, 4)).size).toBe(4);
    expect(got[4]).toBe(0);
    for (const ptr of got.slice(0, 4)) slabFree(heap, 0, CACHES.vma, ptr);
    expect(slabAllocatedCount(heap, CACHES.vma)).toBe(0);
  });

  test('the last one freed is the next one given: the adversarial order', () => {
    const heap = create();
    const a = slabAlloc(heap, 0, CACHES.vma);
    slabAlloc(heap, 0, CACHES.vma);
    slabFree(heap, 0, CACHES.vma, a);
    expect(slabAlloc(heap, 0, CACHES.vma)).toBe(a);
  });

  test('the generation is odd while allocated and never comes back', () => {
    const heap = create();
    const ptr = slabAlloc(heap, 0, CACHES.vma);
    const first = slabGeneration(heap, ptr);
    slabFree(heap, 0, CACHES.vma, ptr);
    const freed = slabGeneration(heap, ptr);
    slabAlloc(heap, 0, CACHES.vma);
    expect([first % 2, freed - first, slabGeneration(heap, ptr) - freed]).toEqual([1, 1, 1]);
  });

  test('a freed object is poisoned, unless its cache is type-safe by RCU', () => {
    const heap = create();
    for (const [cache, left] of [
      [CACHES.vma, POISON],
      [CACHES.anonVma, 42],
    ] as const) {
      const ptr = slabAlloc(heap, 0, cache);
      heap.fill(42, ptr, ptr + 6);
      slabFree(heap, 0, cache, ptr);
      expect([...heap.subarray(ptr, ptr + 6)]).toEqual(Array(6).fill(left));
      expect(slabIsAllocated(heap, ptr)).toBe(false);
    }
  });

  test('a double free is caught', () => {
    const heap = create();
    const ptr = slabAlloc(heap, 0, CACHES.vma);
    slabFree(heap, 0, CACHES.vma, ptr);
    expect(() => slabFree(heap, 0, CACHES.vma, ptr)).toThrow(/double free/);
  });

  test('what one CPU frees another one gets in the end', () => {
    const heap = createArena({ ...PLAN, magazine, objects: { ...OBJECTS, vma: { count: 12, words: 6, flags: 0 } } });
    const got = Array.from({ length: 12 }, () => slabAlloc(heap, 0, CACHES.vma));
    for (const ptr of got) slabFree(heap, 0, CACHES.vma, ptr);
    const others = Array.from({ length: 12 }, () => slabAlloc(heap, 1, CACHES.vma)).filter((ptr) => ptr !== 0);
    // CPU 0 keeps at most two magazines back.
    expect(others.length).toBeGreaterThanOrEqual(12 - 2 * magazine);
  });
});

test.each([
  ['small', SMALL_MACHINE],
  ['stress', STRESS_MACHINE],
])('the %s machine fits', (_name, size) => {
  const heap = createMachine(size);
  const counts = CACHE_NAMES.map((name: CacheName) => slabAllocatedCount(heap, CACHES[name]));
  expect(counts.every((count) => count === 0)).toBe(true);
});
