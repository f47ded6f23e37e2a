/**
 * A VMA tree node: a sorted block of [start, end, vma] triples. The tree of an mm is one such block, replaced as a whole
 * (copy, publish, free after a grace period): the RCU-safe lookup and the "preallocate, then cannot fail" contract of
 * the maple tree without its depth. Sizes 16, 64, 256, 1024 are slab caches of their own.
 */

import { load, store } from '../arena/access.ts';
import { CACHES, type CacheId } from '../arena/header.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import { BEFORE_PUBLICATION, type Demand, type GuardTable } from './guard.ts';
import type { VmaNodePtr, VmaPtr, Vpn } from './ids.ts';

export const VMA_NODE = { count: 0, capacity: 1, entries: 2 } as const;
export const VMA_NODE_ENTRY_WORDS = 3;
export const VMA_NODE_TABLE = fieldTable('vma_node', VMA_NODE, 3);

/** A node is built, published and never changed again. */
const LOOKUP: Demand = [['RCU'], ['any mmap']];
export const VMA_NODE_GUARDS: GuardTable<typeof VMA_NODE> = {
  count: { read: LOOKUP, write: BEFORE_PUBLICATION },
  capacity: { read: LOOKUP, write: BEFORE_PUBLICATION },
  entries: { read: LOOKUP, write: BEFORE_PUBLICATION },
};

/** Capacities and the cache each is allocated from, smallest first. */
export const VMA_NODE_SIZES: readonly { readonly capacity: number; readonly cache: CacheId }[] = [
  { capacity: 16, cache: CACHES.vmaNode16 },
  { capacity: 64, cache: CACHES.vmaNode64 },
  { capacity: 256, cache: CACHES.vmaNode256 },
  { capacity: 1024, cache: CACHES.vmaNode1024 },
];

/** Words of a node with room for `capacity` ranges. */
export function vmaNodeWords(capacity: number): number {
  return VMA_NODE.entries + capacity * VMA_NODE_ENTRY_WORDS;
}

export function vmaNodeCount(heap: Heap, node: VmaNodePtr): Access<number> {
  return load(heap, node + VMA_NODE.count);
}
export function setVmaNodeCount(heap: Heap, node: VmaNodePtr, count: number): Access<void> {
  store(heap, node + VMA_NODE.count, count);
}
export function vmaNodeCapacity(heap: Heap, node: VmaNodePtr): Access<number> {
  return load(heap, node + VMA_NODE.capacity);
}
export function setVmaNodeCapacity(heap: Heap, node: VmaNodePtr, capacity: number): Access<void> {
  store(heap, node + VMA_NODE.capacity, capacity);
}
export function vmaNodeStart(heap: Heap, node: VmaNodePtr, i: number): Access<Vpn> {
  return load(heap, node + VMA_NODE.entries + i * VMA_NODE_ENTRY_WORDS) as Vpn;
}
export function vmaNodeEnd(heap: Heap, node: VmaNodePtr, i: number): Access<Vpn> {
  return load(heap, node + VMA_NODE.entries + i * VMA_NODE_ENTRY_WORDS + 1) as Vpn;
}
export function vmaNodeVma(heap: Heap, node: VmaNodePtr, i: number): Access<VmaPtr> {
  return load(heap, node + VMA_NODE.entries + i * VMA_NODE_ENTRY_WORDS + 2) as VmaPtr;
}
/** Writes one triple of a node that is not published yet. */
export function setVmaNodeEntry(
  heap: Heap,
  node: VmaNodePtr,
  i: number,
  start: Vpn,
  end: Vpn,
  vma: VmaPtr,
): Access<void> {
  const at = node + VMA_NODE.entries + i * VMA_NODE_ENTRY_WORDS;
  heap[at] = start;
  heap[at + 1] = end;
  heap[at + 2] = vma;
}
/** Copies `n` triples between nodes; the target is not published yet, so this is one step. */
export function copyVmaNodeEntries(
  heap: Heap,
  from: VmaNodePtr,
  fromIndex: number,
  to: VmaNodePtr,
  toIndex: number,
  n: number,
): Access<void> {
  const source = from + VMA_NODE.entries + fromIndex * VMA_NODE_ENTRY_WORDS;
  const target = to + VMA_NODE.entries + toIndex * VMA_NODE_ENTRY_WORDS;
  heap.copyWithin(target, source, source + n * VMA_NODE_ENTRY_WORDS);
}
