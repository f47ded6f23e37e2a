/**
 * Interval trees of the anon_vmas and of the objects: keys equal the VMA's current range (25), in-order sorted by start with
 * ties in order of insertion, augmented maximum right (26), parents right. The trees' locks must be free of writers.
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { iMmapTree } from '../layout/addressSpace.ts';
import { ANON_VMA_LIST_LAST, AVC, anonVmaTree, treeNodeAvc } from '../layout/anonVma.ts';
import { TREE_NODE, TREE_ROOT } from '../layout/treeNode.ts';
import { VMA, treeNodeVma } from '../layout/vma.ts';
import { describeVma } from './describe.ts';
import { isObject, liveObjects } from './view.ts';
import type { AnonVmaPtr, TreeNodePtr, TreeRootPtr, VmaPtr } from '../layout/ids.ts';

const MAX_DEPTH = 64;

/** A tree to be checked: what its nodes are, and what is wrong with one beside its keys. */
interface CheckedTree {
  readonly name: string;
  readonly root: TreeRootPtr;
  readonly isNode: (node: TreeNodePtr) => boolean;
  readonly vmaOf: (node: TreeNodePtr) => VmaPtr;
  /** Null when the node belongs to this tree. */
  readonly stranger: (node: TreeNodePtr) => string | null;
}

/** In-order nodes of a tree, or null when the structure is broken. `isNode` says whether an address can be a node. */
export function treeNodes(heap: Heap, tree: TreeRootPtr, isNode: (node: TreeNodePtr) => boolean): TreeNodePtr[] | null {
  const nodes: TreeNodePtr[] = [];
  const visit = (at: number, parent: number, depth: number): boolean => {
    if (at === 0) return true;
    const node = at as TreeNodePtr;
    if (depth > MAX_DEPTH || !isNode(node)) return false;
    if (heap[node + TREE_NODE.parent] !== parent) return false;
    if (!visit(heap[node + TREE_NODE.left], node, depth + 1)) return false;
    nodes.push(node);
    return visit(heap[node + TREE_NODE.right], node, depth + 1);
  };
  return visit(heap[tree + TREE_ROOT.root], 0, 0) ? nodes : null;
}

/** Checks the tree of every allocated anon_vma and of every object. */
export function checkIntervalTrees(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const anonVma of slabObjects(heap, CACHES.anonVma)) {
    if (slabIsAllocated(heap, anonVma)) checkTree(heap, treeOfAnonVma(heap, anonVma as AnonVmaPtr), violations);
  }
  for (const object of liveObjects(heap)) {
    const tree: CheckedTree = {
      name: 'i_mmap tree',
      root: iMmapTree(object),
      isNode: (node) => isObject(heap, CACHES.vma, treeNodeVma(node)),
      vmaOf: treeNodeVma,
      stranger: (node) => (heap[treeNodeVma(node) + VMA.file] === object ? null : 'a node maps another object'),
    };
    checkTree(heap, tree, violations);
  }
  return violations;
}

function treeOfAnonVma(heap: Heap, anonVma: AnonVmaPtr): CheckedTree {
  return {
    name: 'anon_vma interval tree',
    root: anonVmaTree(anonVma),
    isNode: (node) => isObject(heap, CACHES.anonVmaChain, treeNodeAvc(node)),
    vmaOf: (node) => heap[treeNodeAvc(node) + AVC.vma] as VmaPtr,
    stranger: (node) =>
      heap[treeNodeAvc(node) + AVC.anonVma] === anonVma ? null : 'a node belongs to another anon_vma',
  };
}

function checkTree(heap: Heap, tree: CheckedTree, violations: Violation[]): void {
  const wrong = (what: string, evidence: string[] = []): void => {
    violations.push({
      kind: 'vma-tree',
      title: `${tree.name}: ${what}`,
      signature: `interval tree: ${what}`,
      evidence,
    });
  };
  const nodes = treeNodes(heap, tree.root, tree.isNode);
  if (nodes === null) {
    wrong('links are broken');
    return;
  }
  for (const [i, node] of nodes.entries()) {
    const stranger = tree.stranger(node);
    if (stranger !== null) wrong(stranger);
    if (!keysAreRight(heap, node, tree.vmaOf(node))) {
      wrong('a cached key differs from its VMA', [
        `key [${heap[node + TREE_NODE.first]}, ${heap[node + TREE_NODE.last]}], ${describeVma(heap, tree.vmaOf(node))}`,
      ]);
    }
    if (heap[node + TREE_NODE.subtreeLast] !== subtreeLast(heap, node)) wrong('an augmented maximum is wrong');
    const next = nodes[i + 1];
    if (next !== undefined && !inOrder(heap, node, next)) wrong('nodes are out of order');
  }
}

/** Under old rules an anon_vma keeps a list: its nodes have no keys. */
function keysAreRight(heap: Heap, node: TreeNodePtr, vma: VmaPtr): boolean {
  if (heap[node + TREE_NODE.last] === ANON_VMA_LIST_LAST) return true;
  const first = heap[vma + VMA.pgoff];
  const last = first + (heap[vma + VMA.end] - heap[vma + VMA.start]) - 1;
  return heap[node + TREE_NODE.first] === first && heap[node + TREE_NODE.last] === last;
}

function subtreeLast(heap: Heap, node: TreeNodePtr): number {
  let last = heap[node + TREE_NODE.last];
  for (const child of [heap[node + TREE_NODE.left], heap[node + TREE_NODE.right]]) {
    if (child !== 0) last = Math.max(last, heap[child + TREE_NODE.subtreeLast]);
  }
  return last;
}

function inOrder(heap: Heap, left: TreeNodePtr, right: TreeNodePtr): boolean {
  const a = heap[left + TREE_NODE.first];
  const b = heap[right + TREE_NODE.first];
  return a < b || (a === b && heap[left + TREE_NODE.stamp] < heap[right + TREE_NODE.stamp]);
}
