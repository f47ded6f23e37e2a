/**
 * The first words of every arena: what it is, how large its sections are and where they start. Written once at boot
 * by createMachine; after that constant, but for the three control words at the end, so the getters are plain
 * functions and cost no scheduling point.
 */

import { UsageError } from '../base/usageError.ts';
import type { Heap } from './heap.ts';

const MAGIC = 0x6d6d_7374; // 'mmst'
const LAYOUT_VERSION = 1;

/** Word indexes of the header. Word 0 stays zero: it is what a null pointer points to. */
export const HEADER = {
  magic: 1,
  version: 2,
  words: 3,
  cpus: 4,
  pageWords: 5,
  tlbEntries: 6,
  magazine: 7,
  taskBase: 8,
  tlbBase: 9,
  magazineBase: 10,
  waitTableBase: 11,
  waitTableBuckets: 12,
  lockdepBase: 13,
  lockdepWords: 14,
  userBase: 15,
  userWords: 16,
  globalBase: 17,
  zeroPfn: 18,
  taskStride: 19,
  tlbStride: 20,
  /** Non-zero: every simulated CPU unwinds at its next wait (MachineAborted). */
  abort: 24,
  /** Non-zero: workloads stop issuing operations; what runs is finished. */
  stop: 25,
  caches: 32,
} as const;

/** Words of one cache descriptor; the descriptors stand behind each other from HEADER.caches. */
export const CACHE = {
  base: 0,
  stride: 1,
  objectWords: 2,
  count: 3,
  lock: 4,
  freeHead: 5,
  flags: 6,
  words: 8,
} as const;

/** Every kind of object the simulated kernel allocates. The numbers index the cache descriptors. */
export const CACHES = {
  frame: 0,
  pageTable: 1,
  mm: 2,
  vma: 3,
  anonVma: 4,
  anonVmaChain: 5,
  vmaNode16: 6,
  vmaNode64: 7,
  vmaNode256: 8,
  vmaNode1024: 9,
  addressSpace: 10,
  xaNode: 11,
  hugeContents: 12,
  ksmMmSlot: 13,
  ksmRmapItem: 14,
  ksmStableNode: 15,
} as const;

export type CacheName = keyof typeof CACHES;
export type CacheId = (typeof CACHES)[CacheName];
export const CACHE_NAMES = Object.keys(CACHES) as CacheName[];
export const HEADER_WORDS = HEADER.caches + CACHE_NAMES.length * CACHE.words;

/** Marks a heap as an arena of this layout. */
export function stampHeader(heap: Heap): void {
  heap[HEADER.magic] = MAGIC;
  heap[HEADER.version] = LAYOUT_VERSION;
  heap[HEADER.words] = heap.length;
}

/** True for memory that createArena made. */
export function isArena(heap: Heap): boolean {
  return heap[HEADER.magic] === MAGIC;
}

/** Refuses memory that is not an arena of this version. @throws UsageError */
export function checkHeader(heap: Heap): void {
  if (!isArena(heap)) throw new UsageError('not an mmstorm arena');
  if (heap[HEADER.version] !== LAYOUT_VERSION) {
    throw new UsageError(`arena layout ${heap[HEADER.version]}, this build reads ${LAYOUT_VERSION}`);
  }
  if (heap[HEADER.words] !== heap.length) throw new UsageError('the arena is truncated');
}

/** Word index of a cache's descriptor. */
export function cacheAt(cache: CacheId): number {
  return HEADER.caches + cache * CACHE.words;
}

/** Words of one object of a cache, without its prefix. */
export function cacheObjectWords(heap: Heap, cache: CacheId): number {
  return heap[cacheAt(cache) + CACHE.objectWords];
}

/** Number of simulated CPUs; each runs one task. */
export function nrCpus(heap: Heap): number {
  return heap[HEADER.cpus];
}

/** Words of contents that each frame carries. */
export function pageWords(heap: Heap): number {
  return heap[HEADER.pageWords];
}

/** First word of the section that belongs to whoever created the machine (shadow models, statistics). */
export function userBase(heap: Heap): number {
  return heap[HEADER.userBase];
}

/** True once somebody asked every CPU to unwind. */
export function abortRequested(heap: Heap): boolean {
  return Atomics.load(heap, HEADER.abort) !== 0;
}

/** Asks every CPU to unwind at its next wait and wakes nobody: waits are sliced. */
export function requestAbort(heap: Heap): void {
  Atomics.store(heap, HEADER.abort, 1);
}

/** True once workloads shall stop issuing operations. */
export function stopRequested(heap: Heap): boolean {
  return Atomics.load(heap, HEADER.stop) !== 0;
}

/** Asks workloads to finish. */
export function requestStop(heap: Heap): void {
  Atomics.store(heap, HEADER.stop, 1);
}
