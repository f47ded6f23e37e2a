/**
 * The VMAs of an mm by address: one sorted block of ranges (src/layout/vmaNode.ts) that is replaced as a whole.
 *
 * A writer (mmap lock held for write) reserves a block first, which may fail, and stores into the tree later, which may
 * not: the contract of vma_iter_prealloc() and vma_iter_store(). The store copies the current block with the change
 * applied, publishes the copy with release and gives the old block back after a grace period. Readers hold the mmap lock or
 * are inside RCU; a published block never changes, so looking something up in it is one step.
 *
 * Invariants
 *   TREE-1  The ranges of a block are sorted and disjoint, none is empty.
 *   TREE-2  With no change under way, a range is [vm_start, vm_end) of its VMA. While a VMA is being adjusted the two may
 *           differ, which is why lookups trust the tree and lockVmaUnderRcu() checks the VMA again.
 *
 * Kernel: the maple tree mm->mm_mt behind struct vma_iterator. Not modelled: its depth, and the gaps it indexes.
 */

import type { CacheId } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { assert, fail } from '../base/assert.ts';
import { ENOMEM } from '../base/errno.ts';
import type { Access, Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { NO_NODE, NO_VMA, type MmPtr, type VmaNodePtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { mmVmaTree, setMmVmaTree } from '../layout/mm.ts';
import { vmaEnd, vmaStart } from '../layout/vma.ts';
import {
  VMA_NODE_SIZES,
  copyVmaNodeEntries,
  setVmaNodeCapacity,
  setVmaNodeCount,
  setVmaNodeEntry,
  vmaNodeCapacity,
  vmaNodeCount,
  vmaNodeEnd,
  vmaNodeStart,
  vmaNodeVma,
} from '../layout/vmaNode.ts';
import { callRcu, rcuBarrier } from '../locks/rcu.ts';

/** A store adds at most this many ranges: it may cut one range in two and put a new one between. */
const STORE_GROWTH = 2;

/** First VMA that ends above `vpn`, or 0 (find_vma). @locked mmap lock or RCU */
export function vmaFind(task: Task, mm: MmPtr, vpn: Vpn): Sim<VmaPtr> {
  const node = mmVmaTree(task.heap, mm);
  return node === NO_NODE ? NO_VMA : firstAbove(task.heap, node, vpn, Infinity);
}

/** First VMA that intersects [start, end), or 0 (find_vma_intersection). @locked mmap lock or RCU */
export function vmaFindRange(task: Task, mm: MmPtr, start: number, end: number): Sim<VmaPtr> {
  const node = mmVmaTree(task.heap, mm);
  return node === NO_NODE ? NO_VMA : firstAbove(task.heap, node, start, end);
}

/** The VMA that contains `vpn`, or 0 (vma_lookup). @locked mmap lock or RCU */
export function vmaLookup(task: Task, mm: MmPtr, vpn: Vpn): Sim<VmaPtr> {
  const node = mmVmaTree(task.heap, mm);
  return node === NO_NODE ? NO_VMA : firstAbove(task.heap, node, vpn, vpn + 1);
}

/** Last VMA that ends at or below `vpn`, or 0 (the prev of find_vma_prev). @locked mmap lock or RCU */
export function vmaFindBelow(task: Task, mm: MmPtr, vpn: Vpn): Sim<VmaPtr> {
  const node = mmVmaTree(task.heap, mm);
  return node === NO_NODE ? NO_VMA : lastBelow(task.heap, node, vpn);
}

/** The VMA behind `vma` in address order, or 0. @locked mmap lock */
export function vmaNext(task: Task, mm: MmPtr, vma: VmaPtr): Sim<VmaPtr> {
  return vmaFind(task, mm, vmaEnd(task.heap, vma));
}

/** The VMA before `vma` in address order, or 0. @locked mmap lock */
export function vmaPrev(task: Task, mm: MmPtr, vma: VmaPtr): Sim<VmaPtr> {
  return vmaFindBelow(task, mm, vmaStart(task.heap, vma));
}

/**
 * Highest free range of at least `nrPages` pages inside [low, high).
 * @returns its end, or -1 when there is none
 * @locked mmap lock
 */
export function vmaTreeGapBelow(task: Task, mm: MmPtr, low: Vpn, high: Vpn, nrPages: number): Sim<number> {
  const node = mmVmaTree(task.heap, mm);
  if (node === NO_NODE) return high - low >= nrPages ? high : -1;
  return highestGap(task.heap, node, low, high, nrPages);
}

/**
 * Reserves a block for one store (vma_iter_prealloc). Sleeps, so never under rmap locks.
 * @returns the block, or 0 when there is no memory or no block is large enough
 * @locked mmap lock(write), until the block is stored or cancelled: its size is that of the tree now
 */
export function vmaTreePrealloc(task: Task, mm: MmPtr): Sim<VmaNodePtr> {
  const node = mmVmaTree(task.heap, mm);
  const count = node === NO_NODE ? 0 : vmaNodeCount(task.heap, node);
  return allocNode(task, count + STORE_GROWTH);
}

/** Gives an unused reservation back (vma_iter_free). */
export function vmaTreeCancel(task: Task, node: VmaNodePtr): Sim<void> {
  kmemCacheFree(task, nodeCache(vmaNodeCapacity(task.heap, node)), node);
}

/**
 * Makes [start, end) belong to `vma`, or to nobody (0), whatever was there: ranges inside go, ranges at the edges are cut.
 * Cannot fail (vma_iter_store_overwrite, vma_iter_clear).
 *
 * @locked mmap lock(write)
 */
export function vmaTreeStore(task: Task, mm: MmPtr, node: VmaNodePtr, start: Vpn, end: Vpn, vma: VmaPtr): Sim<void> {
  assert(node !== NO_NODE, 'vma tree: store without a reserved block');
  assert(start < end, 'vma tree: store of an empty range');
  const old = mmVmaTree(task.heap, mm);
  fillNode(task.heap, node, old, start, end, vma);
  task.check?.guardedWrite(task, 'vmaTree', mm);
  setMmVmaTree(task.heap, mm, node);
  if (old !== NO_NODE) callRcu(task, nodeCache(vmaNodeCapacity(task.heap, old)), old);
}

/**
 * Gives `mm`, which nobody else can reach yet, an empty tree with room for all VMAs of `oldMm` (the copy of the maple
 * tree that dup_mmap makes first).
 *
 * @returns 0 or -ENOMEM
 * @locked mmap lock(write) of both
 */
export function vmaTreeReserveFor(task: Task, mm: MmPtr, oldMm: MmPtr): Sim<number> {
  const old = mmVmaTree(task.heap, oldMm);
  if (old === NO_NODE) return 0;
  const node = allocNode(task, vmaNodeCount(task.heap, old));
  if (node === NO_NODE) return -ENOMEM;
  task.check?.guardedWrite(task, 'vmaTree', mm);
  setMmVmaTree(task.heap, mm, node);
  return 0;
}

/**
 * Appends a VMA above all others, in place: only for the mm of a fork under way, which has no RCU readers. Cannot fail
 * after vmaTreeReserveFor (vma_iter_bulk_store).
 *
 * @locked mmap lock(write)
 */
export function vmaTreeAppend(task: Task, mm: MmPtr, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  const node = mmVmaTree(heap, mm);
  assert(node !== NO_NODE, 'vma tree: append without a reserved block');
  task.check?.guardedWrite(task, 'vmaTree', mm);
  appendEntry(heap, node, vma);
}

/** Gives the tree back; the mm has no VMAs and no users any more (__mt_destroy). @locked mmap lock(write) */
export function vmaTreeDestroy(task: Task, mm: MmPtr): Sim<void> {
  const node = mmVmaTree(task.heap, mm);
  if (node === NO_NODE) return;
  task.check?.guardedWrite(task, 'vmaTree', mm);
  setMmVmaTree(task.heap, mm, NO_NODE);
  callRcu(task, nodeCache(vmaNodeCapacity(task.heap, node)), node);
}

function allocNode(task: Task, entries: number): Sim<VmaNodePtr> {
  const size = VMA_NODE_SIZES.find(({ capacity }) => capacity >= entries);
  if (size === undefined) return NO_NODE;
  const { injectedFailures } = task;
  let node = kmemCacheAlloc(task, size.cache) as VmaNodePtr;
  if (node === NO_NODE && task.injectedFailures === injectedFailures) {
    // Every store leaves a block behind that waits for the end of a grace period: perhaps all of them do. Nobody inside
    // a read section waits for the mmap lock we hold, so waiting for him is safe.
    rcuBarrier(task);
    node = kmemCacheAlloc(task, size.cache) as VmaNodePtr;
  }
  if (node !== NO_NODE) initNode(task.heap, node, size.capacity);
  return node;
}

function initNode(heap: Heap, node: VmaNodePtr, capacity: number): Access<void> {
  setVmaNodeCapacity(heap, node, capacity);
  setVmaNodeCount(heap, node, 0);
}

function nodeCache(capacity: number): CacheId {
  const size = VMA_NODE_SIZES.find((candidate) => candidate.capacity === capacity);
  if (size === undefined) fail(`vma tree: a block of capacity ${capacity}`);
  return size.cache;
}

/** Number of ranges that end at or below `vpn`. */
function countBelow(heap: Heap, node: VmaNodePtr, vpn: number): Access<number> {
  let low = 0;
  let high = vmaNodeCount(heap, node);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (vmaNodeEnd(heap, node, middle) > vpn) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** First VMA that ends above `vpn`, provided that it starts below `limit`. */
function firstAbove(heap: Heap, node: VmaNodePtr, vpn: number, limit: number): Access<VmaPtr> {
  const i = countBelow(heap, node, vpn);
  if (i === vmaNodeCount(heap, node) || vmaNodeStart(heap, node, i) >= limit) return NO_VMA;
  return vmaNodeVma(heap, node, i);
}

function lastBelow(heap: Heap, node: VmaNodePtr, vpn: number): Access<VmaPtr> {
  const i = countBelow(heap, node, vpn);
  return i === 0 ? NO_VMA : vmaNodeVma(heap, node, i - 1);
}

function highestGap(heap: Heap, node: VmaNodePtr, low: number, high: number, nrPages: number): Access<number> {
  let end = high;
  for (let i = countBelow(heap, node, high - 1); i >= 0; i--) {
    // The gap between ranges i - 1 and i; at first, range i is the one that contains high - 1 or lies above it.
    if (i < vmaNodeCount(heap, node)) end = Math.min(end, vmaNodeStart(heap, node, i));
    const start = i === 0 ? low : Math.max(low, vmaNodeEnd(heap, node, i - 1));
    if (end - start >= nrPages) return end;
    if (start === low) break;
  }
  return -1;
}

/** Copies `old` (0: nothing) into `node` with [start, end) overwritten. */
function fillNode(heap: Heap, node: VmaNodePtr, old: VmaNodePtr, start: Vpn, end: Vpn, vma: VmaPtr): Access<void> {
  const oldCount = old === NO_NODE ? 0 : vmaNodeCount(heap, old);
  const first = old === NO_NODE ? 0 : countBelow(heap, old, start);
  let after = first;
  while (after < oldCount && vmaNodeStart(heap, old, after) < end) after++;
  let count = first;
  if (first > 0) copyVmaNodeEntries(heap, old, 0, node, 0, first);
  if (first < after && vmaNodeStart(heap, old, first) < start) {
    setVmaNodeEntry(heap, node, count++, vmaNodeStart(heap, old, first), start, vmaNodeVma(heap, old, first));
  }
  if (vma !== NO_VMA) setVmaNodeEntry(heap, node, count++, start, end, vma);
  if (first < after && vmaNodeEnd(heap, old, after - 1) > end) {
    setVmaNodeEntry(heap, node, count++, end, vmaNodeEnd(heap, old, after - 1), vmaNodeVma(heap, old, after - 1));
  }
  assert(count + oldCount - after <= vmaNodeCapacity(heap, node), 'vma tree: the reserved block is too small');
  if (after < oldCount) copyVmaNodeEntries(heap, old, after, node, count, oldCount - after);
  setVmaNodeCount(heap, node, count + oldCount - after);
}

function appendEntry(heap: Heap, node: VmaNodePtr, vma: VmaPtr): Access<void> {
  const count = vmaNodeCount(heap, node);
  const start = vmaStart(heap, vma);
  assert(count < vmaNodeCapacity(heap, node), 'vma tree: the reserved block is too small');
  assert(count === 0 || vmaNodeEnd(heap, node, count - 1) <= start, 'vma tree: append out of order');
  setVmaNodeEntry(heap, node, count, start, vmaEnd(heap, vma), vma);
  setVmaNodeCount(heap, node, count + 1);
}
