/** KSM's records as they lie in memory. Every walk is bounded; what is no object of its cache ends it. */

import { CACHES, type CacheId } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated } from '../arena/slab.ts';
import { GLOBAL, globalAt } from '../layout/globals.ts';
import type { KsmMmSlotPtr, RmapItemPtr, StableNodePtr } from '../layout/ids.ts';
import { KSM_MM_SLOT, KSM_TREE, RMAP_ITEM, STABLE_NODE, STABLE_NODE_CHAIN, ksmMmHead } from '../layout/ksm.ts';
import { isObject } from './view.ts';

const LIMIT = 1 << 20;

/** True when `ptr` is the address of an allocated object of the cache. */
export function isLive(heap: Heap, cache: CacheId, ptr: number): boolean {
  return isObject(heap, cache, ptr) && slabIsAllocated(heap, ptr);
}

/** Slots in the order of the list. On a machine that was never booted the list has no head. */
export function ksmSlots(heap: Heap): KsmMmSlotPtr[] {
  const head = ksmMmHead(heap);
  const slots: KsmMmSlotPtr[] = [];
  let slot = heap[head + KSM_MM_SLOT.next];
  while (slot !== head && isLive(heap, CACHES.ksmMmSlot, slot) && slots.length < LIMIT) {
    slots.push(slot as KsmMmSlotPtr);
    slot = heap[slot + KSM_MM_SLOT.next];
  }
  return slots;
}

/** rmap_items of an mm, by its slot. */
export function itemsOfSlot(heap: Heap, slot: KsmMmSlotPtr): RmapItemPtr[] {
  return chain(heap, CACHES.ksmRmapItem, heap[slot + KSM_MM_SLOT.rmapList], RMAP_ITEM.next) as RmapItemPtr[];
}

/** rmap_items in the list of a stable node. */
export function itemsOfNode(heap: Heap, node: StableNodePtr): RmapItemPtr[] {
  return chain(heap, CACHES.ksmRmapItem, heap[node + STABLE_NODE.first], RMAP_ITEM.hlistNext) as RmapItemPtr[];
}

/** Nodes in a chain. */
export function dupsOf(heap: Heap, node: StableNodePtr): StableNodePtr[] {
  return chain(heap, CACHES.ksmStableNode, heap[node + STABLE_NODE.first], STABLE_NODE.dupNext) as StableNodePtr[];
}

/** True for a chain of nodes. */
export function nodeIsChain(heap: Heap, node: StableNodePtr): boolean {
  return heap[node + STABLE_NODE.length] === STABLE_NODE_CHAIN;
}

function chain(heap: Heap, cache: CacheId, first: number, link: number): number[] {
  const objects: number[] = [];
  for (let at = first; at !== 0 && isLive(heap, cache, at) && objects.length < LIMIT; at = heap[at + link]) {
    objects.push(at);
  }
  return objects;
}

/** Nodes of the stable tree or items of the unstable one in order, or null when the links are broken. */
export function ksmTreeNodes(heap: Heap, rootField: number, cache: CacheId): number[] | null {
  const nodes: number[] = [];
  const path: number[] = [];
  let above = 0;
  let at = heap[globalAt(heap, rootField)];
  while (at !== 0 || path.length > 0) {
    if (at === 0) {
      above = path.pop()!;
      nodes.push(above);
      at = heap[above + KSM_TREE.right];
      continue;
    }
    if (!isLive(heap, cache, at) || heap[at + KSM_TREE.parent] !== above || nodes.length + path.length > LIMIT) {
      return null;
    }
    path.push(at);
    above = at;
    at = heap[at + KSM_TREE.left];
  }
  return nodes;
}

/** True in the middle of a pass: the unstable tree is in use. */
export function scanIsUnderWay(heap: Heap): boolean {
  return heap[globalAt(heap, GLOBAL.ksmScanSlot)] !== ksmMmHead(heap);
}
