/**
 * Interval trees of the rmap, ordered by the page offsets of VMAs and searchable for overlap: an anon_vma's tree of AVCs, an
 * object's tree of the VMAs that map it (i_mmap).
 *
 * Lock order here: none; the caller holds the tree's lock (root anon_vma, i_mmap_rwsem), for write to change the tree.
 *
 * Invariants
 *   ITREE-1  In-order traversal is by first page offset, ties in order of insertion (by stamp). Forked children and moved
 *            VMAs rely on it: they are visited after what they were copied from.
 *   ITREE-2  subtreeLast of a node is the largest `last` in its subtree.
 *   ITREE-3  The keys of a node are those of its VMA whenever nobody holds the tree's lock for write.
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
  TREE_NODE,
  nextTreeStamp,
  setTreeNodeWord,
  setTreeRootNode,
  treeNodeWord,
  treeRootNode,
} from '../layout/treeNode.ts';
import { NO_TREE_NODE, type TreeNodePtr, type TreeRootPtr } from '../layout/ids.ts';

/**
 * interval_tree_insert(): links `node` with the keys [first, last], behind all nodes of equal `first`.
 *
 * @locked the tree's lock for write
 */
export function intervalTreeInsert(
  heap: Heap,
  tree: TreeRootPtr,
  node: TreeNodePtr,
  first: number,
  last: number,
): Access<void> {
  setTreeNodeWord(heap, node, TREE_NODE.first, first);
  setTreeNodeWord(heap, node, TREE_NODE.last, last);
  setTreeNodeWord(heap, node, TREE_NODE.subtreeLast, last);
  setTreeNodeWord(heap, node, TREE_NODE.stamp, nextTreeStamp(heap, tree));
  setTreeNodeWord(heap, node, TREE_NODE.left, NO_TREE_NODE);
  setTreeNodeWord(heap, node, TREE_NODE.right, NO_TREE_NODE);
  let parent: TreeNodePtr = NO_TREE_NODE;
  let side: number = TREE_NODE.left;
  let at = treeRootNode(heap, tree);
  while (at !== NO_TREE_NODE) {
    parent = at;
    if (treeNodeWord(heap, at, TREE_NODE.subtreeLast) < last) setTreeNodeWord(heap, at, TREE_NODE.subtreeLast, last);
    side = first < treeNodeWord(heap, at, TREE_NODE.first) ? TREE_NODE.left : TREE_NODE.right;
    at = nodeAt(heap, at, side);
  }
  setTreeNodeWord(heap, node, TREE_NODE.parent, parent);
  if (parent === NO_TREE_NODE) setTreeRootNode(heap, tree, node);
  else setTreeNodeWord(heap, parent, side, node);
  while (outranksParent(heap, node)) rotateUp(heap, tree, node);
}

/**
 * interval_tree_remove(): takes `node` out of the tree.
 *
 * @locked the tree's lock for write
 */
export function intervalTreeRemove(heap: Heap, tree: TreeRootPtr, node: TreeNodePtr): Access<void> {
  for (;;) {
    const left = nodeAt(heap, node, TREE_NODE.left);
    const right = nodeAt(heap, node, TREE_NODE.right);
    if (left === NO_TREE_NODE && right === NO_TREE_NODE) break;
    const leftGoesUp = right === NO_TREE_NODE || (left !== NO_TREE_NODE && rank(heap, left) > rank(heap, right));
    rotateUp(heap, tree, leftGoesUp ? left : right);
  }
  const parent = nodeAt(heap, node, TREE_NODE.parent);
  replaceChild(heap, tree, parent, node, NO_TREE_NODE);
  for (let at = parent; at !== NO_TREE_NODE; at = nodeAt(heap, at, TREE_NODE.parent)) updateSubtreeLast(heap, at);
}

/**
 * interval_tree_iter_first(): first node in order that overlaps [first, last].
 *
 * @locked the tree's lock
 * @returns 0 when there is none
 */
export function intervalTreeIterFirst(heap: Heap, tree: TreeRootPtr, first: number, last: number): Access<TreeNodePtr> {
  const root = treeRootNode(heap, tree);
  return reaches(heap, root, first) ? subtreeSearch(heap, root, first, last) : NO_TREE_NODE;
}

/**
 * interval_tree_iter_next(): the node behind `node` that overlaps [first, last].
 *
 * @locked the tree's lock, held since `node` was found
 * @returns 0 when there is none
 */
export function intervalTreeIterNext(heap: Heap, node: TreeNodePtr, first: number, last: number): Access<TreeNodePtr> {
  let at = node;
  let right = nodeAt(heap, at, TREE_NODE.right);
  for (;;) {
    if (reaches(heap, right, first)) return subtreeSearch(heap, right, first, last);
    let below: TreeNodePtr;
    do {
      below = at;
      at = nodeAt(heap, at, TREE_NODE.parent);
      if (at === NO_TREE_NODE) return NO_TREE_NODE;
      right = nodeAt(heap, at, TREE_NODE.right);
    } while (below === right);
    if (treeNodeWord(heap, at, TREE_NODE.first) > last) return NO_TREE_NODE;
    if (treeNodeWord(heap, at, TREE_NODE.last) >= first) return at;
  }
}

/** First overlap in order below `root`, whose subtree reaches `first`. */
function subtreeSearch(heap: Heap, root: TreeNodePtr, first: number, last: number): Access<TreeNodePtr> {
  let at = root;
  for (;;) {
    const left = nodeAt(heap, at, TREE_NODE.left);
    if (reaches(heap, left, first)) {
      at = left;
      continue;
    }
    if (treeNodeWord(heap, at, TREE_NODE.first) > last) return NO_TREE_NODE;
    if (treeNodeWord(heap, at, TREE_NODE.last) >= first) return at;
    at = nodeAt(heap, at, TREE_NODE.right);
    if (!reaches(heap, at, first)) return NO_TREE_NODE;
  }
}

/** True if the subtree exists and something in it ends at `first` or behind. */
function reaches(heap: Heap, node: TreeNodePtr, first: number): Access<boolean> {
  return node !== NO_TREE_NODE && treeNodeWord(heap, node, TREE_NODE.subtreeLast) >= first;
}

function nodeAt(heap: Heap, node: TreeNodePtr, link: number): Access<TreeNodePtr> {
  return treeNodeWord(heap, node, link) as TreeNodePtr;
}

/** Heap order of the treap: pseudo-random, yet the same in every run. */
function rank(heap: Heap, node: TreeNodePtr): Access<number> {
  const mixed = Math.imul(treeNodeWord(heap, node, TREE_NODE.stamp), 0x9e37_79b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0x85eb_ca6b) >>> 0;
}

function outranksParent(heap: Heap, node: TreeNodePtr): Access<boolean> {
  const parent = nodeAt(heap, node, TREE_NODE.parent);
  return parent !== NO_TREE_NODE && rank(heap, node) > rank(heap, parent);
}

/** Swaps a node with its parent; the order of all nodes stays. */
function rotateUp(heap: Heap, tree: TreeRootPtr, node: TreeNodePtr): Access<void> {
  const parent = nodeAt(heap, node, TREE_NODE.parent);
  const isLeft = nodeAt(heap, parent, TREE_NODE.left) === node;
  const inner = isLeft ? TREE_NODE.right : TREE_NODE.left;
  const child = nodeAt(heap, node, inner);
  replaceChild(heap, tree, nodeAt(heap, parent, TREE_NODE.parent), parent, node);
  setTreeNodeWord(heap, node, TREE_NODE.parent, nodeAt(heap, parent, TREE_NODE.parent));
  setTreeNodeWord(heap, parent, isLeft ? TREE_NODE.left : TREE_NODE.right, child);
  if (child !== NO_TREE_NODE) setTreeNodeWord(heap, child, TREE_NODE.parent, parent);
  setTreeNodeWord(heap, node, inner, parent);
  setTreeNodeWord(heap, parent, TREE_NODE.parent, node);
  updateSubtreeLast(heap, parent);
  updateSubtreeLast(heap, node);
}

/** Makes `next` the child (or the root) that `child` was. */
function replaceChild(
  heap: Heap,
  tree: TreeRootPtr,
  parent: TreeNodePtr,
  child: TreeNodePtr,
  next: TreeNodePtr,
): Access<void> {
  if (parent === NO_TREE_NODE) {
    assert(treeRootNode(heap, tree) === child, 'interval tree: the node is not in this tree');
    setTreeRootNode(heap, tree, next);
  } else if (nodeAt(heap, parent, TREE_NODE.left) === child) {
    setTreeNodeWord(heap, parent, TREE_NODE.left, next);
  } else {
    setTreeNodeWord(heap, parent, TREE_NODE.right, next);
  }
}

function updateSubtreeLast(heap: Heap, node: TreeNodePtr): Access<void> {
  const left = nodeAt(heap, node, TREE_NODE.left);
  const right = nodeAt(heap, node, TREE_NODE.right);
  let last = treeNodeWord(heap, node, TREE_NODE.last);
  if (left !== NO_TREE_NODE) last = Math.max(last, treeNodeWord(heap, left, TREE_NODE.subtreeLast));
  if (right !== NO_TREE_NODE) last = Math.max(last, treeNodeWord(heap, right, TREE_NODE.subtreeLast));
  setTreeNodeWord(heap, node, TREE_NODE.subtreeLast, last);
}
