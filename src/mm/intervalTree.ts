/**
 * The interval tree of an anon_vma: its AVCs ordered by the page offsets of their VMAs, searchable for overlap.
 *
 * Lock order here: none; the caller holds the root lock, for write to change the tree.
 *
 * Invariants
 *   ITREE-1  In-order traversal is by first page offset, ties in order of insertion (by stamp). Forked children and moved
 *            VMAs rely on it: they are visited after what they were copied from.
 *   ITREE-2  subtreeLast of a node is the largest `last` in its subtree.
 *   ITREE-3  The keys of a node are those of its VMA whenever nobody holds the root lock for write.
 *
 * Each operation is one step for the scheduler. What a walker may meet between two operations is the subject here; a tree
 * torn in the middle of a rotation would only show, less clearly, that a lock is missing.
 *
 * Kernel: mm/interval_tree.c on a red-black tree. Ours is a treap, balanced by a hash of the insertion stamp: the order
 * of its nodes is the same, its shape is nobody's business.
 */

import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import type { Access } from '../base/sim.ts';
import {
  AVC,
  anonVmaRbRoot,
  avcNodeWord,
  nextAnonVmaStamp,
  setAnonVmaRbRoot,
  setAvcNodeWord,
} from '../layout/anonVma.ts';
import { NO_AVC, type AnonVmaPtr, type AvcPtr } from '../layout/ids.ts';

/**
 * anon_vma_interval_tree_insert(): links `avc` with the keys [first, last], behind all nodes of equal `first`.
 *
 * @locked root lock for write
 */
export function intervalTreeInsert(
  heap: Heap,
  anonVma: AnonVmaPtr,
  avc: AvcPtr,
  first: number,
  last: number,
): Access<void> {
  setAvcNodeWord(heap, avc, AVC.pgoff, first);
  setAvcNodeWord(heap, avc, AVC.last, last);
  setAvcNodeWord(heap, avc, AVC.subtreeLast, last);
  setAvcNodeWord(heap, avc, AVC.stamp, nextAnonVmaStamp(heap, anonVma));
  setAvcNodeWord(heap, avc, AVC.rbLeft, NO_AVC);
  setAvcNodeWord(heap, avc, AVC.rbRight, NO_AVC);
  let parent: AvcPtr = NO_AVC;
  let side: number = AVC.rbLeft;
  let at = anonVmaRbRoot(heap, anonVma);
  while (at !== NO_AVC) {
    parent = at;
    if (avcNodeWord(heap, at, AVC.subtreeLast) < last) setAvcNodeWord(heap, at, AVC.subtreeLast, last);
    side = first < avcNodeWord(heap, at, AVC.pgoff) ? AVC.rbLeft : AVC.rbRight;
    at = nodeAt(heap, at, side);
  }
  setAvcNodeWord(heap, avc, AVC.rbParent, parent);
  if (parent === NO_AVC) setAnonVmaRbRoot(heap, anonVma, avc);
  else setAvcNodeWord(heap, parent, side, avc);
  while (outranksParent(heap, avc)) rotateUp(heap, anonVma, avc);
}

/**
 * anon_vma_interval_tree_remove(): takes `avc` out of the tree.
 *
 * @locked root lock for write
 */
export function intervalTreeRemove(heap: Heap, anonVma: AnonVmaPtr, avc: AvcPtr): Access<void> {
  for (;;) {
    const left = nodeAt(heap, avc, AVC.rbLeft);
    const right = nodeAt(heap, avc, AVC.rbRight);
    if (left === NO_AVC && right === NO_AVC) break;
    const leftGoesUp = right === NO_AVC || (left !== NO_AVC && rank(heap, left) > rank(heap, right));
    rotateUp(heap, anonVma, leftGoesUp ? left : right);
  }
  const parent = nodeAt(heap, avc, AVC.rbParent);
  replaceChild(heap, anonVma, parent, avc, NO_AVC);
  for (let at = parent; at !== NO_AVC; at = nodeAt(heap, at, AVC.rbParent)) updateSubtreeLast(heap, at);
}

/**
 * anon_vma_interval_tree_iter_first(): first node in order that overlaps [first, last].
 *
 * @locked root lock
 * @returns 0 when there is none
 */
export function intervalTreeIterFirst(heap: Heap, anonVma: AnonVmaPtr, first: number, last: number): Access<AvcPtr> {
  const root = anonVmaRbRoot(heap, anonVma);
  return reaches(heap, root, first) ? subtreeSearch(heap, root, first, last) : NO_AVC;
}

/**
 * anon_vma_interval_tree_iter_next(): the node behind `avc` that overlaps [first, last].
 *
 * @locked root lock, held since `avc` was found
 * @returns 0 when there is none
 */
export function intervalTreeIterNext(heap: Heap, avc: AvcPtr, first: number, last: number): Access<AvcPtr> {
  let at = avc;
  let right = nodeAt(heap, at, AVC.rbRight);
  for (;;) {
    if (reaches(heap, right, first)) return subtreeSearch(heap, right, first, last);
    let below: AvcPtr;
    do {
      below = at;
      at = nodeAt(heap, at, AVC.rbParent);
      if (at === NO_AVC) return NO_AVC;
      right = nodeAt(heap, at, AVC.rbRight);
    } while (below === right);
    if (avcNodeWord(heap, at, AVC.pgoff) > last) return NO_AVC;
    if (avcNodeWord(heap, at, AVC.last) >= first) return at;
  }
}

/** First overlap in order below `root`, whose subtree reaches `first`. */
function subtreeSearch(heap: Heap, root: AvcPtr, first: number, last: number): Access<AvcPtr> {
  let at = root;
  for (;;) {
    const left = nodeAt(heap, at, AVC.rbLeft);
    if (reaches(heap, left, first)) {
      at = left;
      continue;
    }
    if (avcNodeWord(heap, at, AVC.pgoff) > last) return NO_AVC;
    if (avcNodeWord(heap, at, AVC.last) >= first) return at;
    at = nodeAt(heap, at, AVC.rbRight);
    if (!reaches(heap, at, first)) return NO_AVC;
  }
}

/** True if the subtree exists and something in it ends at `first` or behind. */
function reaches(heap: Heap, node: AvcPtr, first: number): Access<boolean> {
  return node !== NO_AVC && avcNodeWord(heap, node, AVC.subtreeLast) >= first;
}

function nodeAt(heap: Heap, avc: AvcPtr, link: number): Access<AvcPtr> {
  return avcNodeWord(heap, avc, link) as AvcPtr;
}

/** Heap order of the treap: pseudo-random, yet the same in every run. */
function rank(heap: Heap, avc: AvcPtr): Access<number> {
  const mixed = Math.imul(avcNodeWord(heap, avc, AVC.stamp), 0x9e37_79b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0x85eb_ca6b) >>> 0;
}

function outranksParent(heap: Heap, avc: AvcPtr): Access<boolean> {
  const parent = nodeAt(heap, avc, AVC.rbParent);
  return parent !== NO_AVC && rank(heap, avc) > rank(heap, parent);
}

/** Swaps a node with its parent; the order of all nodes stays. */
function rotateUp(heap: Heap, anonVma: AnonVmaPtr, avc: AvcPtr): Access<void> {
  const parent = nodeAt(heap, avc, AVC.rbParent);
  const isLeft = nodeAt(heap, parent, AVC.rbLeft) === avc;
  const inner = isLeft ? AVC.rbRight : AVC.rbLeft;
  const child = nodeAt(heap, avc, inner);
  replaceChild(heap, anonVma, nodeAt(heap, parent, AVC.rbParent), parent, avc);
  setAvcNodeWord(heap, avc, AVC.rbParent, nodeAt(heap, parent, AVC.rbParent));
  setAvcNodeWord(heap, parent, isLeft ? AVC.rbLeft : AVC.rbRight, child);
  if (child !== NO_AVC) setAvcNodeWord(heap, child, AVC.rbParent, parent);
  setAvcNodeWord(heap, avc, inner, parent);
  setAvcNodeWord(heap, parent, AVC.rbParent, avc);
  updateSubtreeLast(heap, parent);
  updateSubtreeLast(heap, avc);
}

/** Makes `next` the child (or the root) that `child` was. */
function replaceChild(heap: Heap, anonVma: AnonVmaPtr, parent: AvcPtr, child: AvcPtr, next: AvcPtr): Access<void> {
  if (parent === NO_AVC) {
    assert(anonVmaRbRoot(heap, anonVma) === child, 'interval tree: the node is not in this tree');
    setAnonVmaRbRoot(heap, anonVma, next);
  } else if (nodeAt(heap, parent, AVC.rbLeft) === child) {
    setAvcNodeWord(heap, parent, AVC.rbLeft, next);
  } else {
    setAvcNodeWord(heap, parent, AVC.rbRight, next);
  }
}

function updateSubtreeLast(heap: Heap, avc: AvcPtr): Access<void> {
  const left = nodeAt(heap, avc, AVC.rbLeft);
  const right = nodeAt(heap, avc, AVC.rbRight);
  let last = avcNodeWord(heap, avc, AVC.last);
  if (left !== NO_AVC) last = Math.max(last, avcNodeWord(heap, left, AVC.subtreeLast));
  if (right !== NO_AVC) last = Math.max(last, avcNodeWord(heap, right, AVC.subtreeLast));
  setAvcNodeWord(heap, avc, AVC.subtreeLast, last);
}
