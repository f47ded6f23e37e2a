/**
 * A node of an interval tree, embedded in what it stands for: an anon_vma_chain (in an anon_vma's tree) or a VMA (in the tree of
 * the object it maps). The node leaves its first four words to its owner. The tree's root is two words of its owner.
 *
 * Guards: the lock of the tree, for write to change anything.
 */

import { load, store } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import type { TreeNodePtr, TreeRootPtr } from './ids.ts';

/** Word offsets from the node's address. Keys are [first, last], cached from the VMA; 7 is free. */
export const TREE_NODE = { parent: 4, left: 5, right: 6, first: 8, last: 9, subtreeLast: 10, stamp: 11 } as const;
export const TREE_NODE_END = 12;

/** `insertions` counts them, for the stamp that breaks ties. */
export const TREE_ROOT = { root: 0, insertions: 1 } as const;

export function treeRootNode(heap: Heap, tree: TreeRootPtr): Access<TreeNodePtr> {
  return load(heap, tree + TREE_ROOT.root) as TreeNodePtr;
}
export function setTreeRootNode(heap: Heap, tree: TreeRootPtr, node: TreeNodePtr): Access<void> {
  store(heap, tree + TREE_ROOT.root, node);
}
/** Next insertion stamp of this tree; its lock is held for write. */
export function nextTreeStamp(heap: Heap, tree: TreeRootPtr): Access<number> {
  return ++heap[tree + TREE_ROOT.insertions];
}
/** A word of the node: one of the offsets of TREE_NODE. */
export function treeNodeWord(heap: Heap, node: TreeNodePtr, offset: number): Access<number> {
  return load(heap, node + offset);
}
export function setTreeNodeWord(heap: Heap, node: TreeNodePtr, offset: number, value: number): Access<void> {
  store(heap, node + offset, value);
}
