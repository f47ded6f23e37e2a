/** The interval tree against a list: order, ties, overlap queries, the augmented maximum, and a depth that stays small. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { slabAlloc } from '../../src/arena/slab.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { anonVmaRbRoot, anonVmaTree, avcTreeNode, initAvc, treeNodeAvc } from '../../src/layout/anonVma.ts';
import { TREE_NODE, treeNodeWord } from '../../src/layout/treeNode.ts';
import { NO_AVC, NO_VMA, type AnonVmaPtr, type AvcPtr } from '../../src/layout/ids.ts';
import {
  intervalTreeInsert,
  intervalTreeIterFirst,
  intervalTreeIterNext,
  intervalTreeRemove,
} from '../../src/mm/intervalTree.ts';

const NODES = 40;
const LAST = 1000;

interface Node {
  readonly avc: AvcPtr;
  readonly first: number;
  readonly last: number;
}

class Fixture {
  readonly heap: Heap;
  readonly anonVma: AnonVmaPtr;
  /** In the order the tree must have: by `first`, ties as they were inserted. */
  nodes: Node[] = [];

  constructor(nodes = NODES) {
    this.heap = createMachine({ ...SMALL_MACHINE, anonVmaChains: nodes });
    this.anonVma = slabAlloc(this.heap, 0, CACHES.anonVma) as AnonVmaPtr;
  }

  insert(first: number, last: number): void {
    const avc = slabAlloc(this.heap, 0, CACHES.anonVmaChain) as AvcPtr;
    initAvc(this.heap, avc, NO_VMA, this.anonVma);
    this.link({ avc, first, last });
  }

  link(node: Node): void {
    intervalTreeInsert(this.heap, anonVmaTree(this.anonVma), avcTreeNode(node.avc), node.first, node.last);
    const after = this.nodes.findIndex(({ first }) => first > node.first);
    this.nodes.splice(after < 0 ? this.nodes.length : after, 0, node);
  }

  /** Takes a node out and puts it back, as an update of its VMA does. */
  reinsert(index: number): void {
    const [node] = this.nodes.splice(index, 1);
    intervalTreeRemove(this.heap, anonVmaTree(this.anonVma), avcTreeNode(node.avc));
    this.link(node);
  }

  remove(index: number): void {
    const [node] = this.nodes.splice(index, 1);
    intervalTreeRemove(this.heap, anonVmaTree(this.anonVma), avcTreeNode(node.avc));
  }

  query(first: number, last: number): AvcPtr[] {
    const found: AvcPtr[] = [];
    let avc = treeNodeAvc(intervalTreeIterFirst(this.heap, anonVmaTree(this.anonVma), first, last));
    while (avc !== NO_AVC) {
      found.push(avc);
      avc = treeNodeAvc(intervalTreeIterNext(this.heap, avcTreeNode(avc), first, last));
    }
    return found;
  }

  expected(first: number, last: number): AvcPtr[] {
    return this.nodes.filter((node) => node.first <= last && first <= node.last).map(({ avc }) => avc);
  }

  /** Checks parents and maxima below a node; returns its depth. */
  audit(avc: AvcPtr = anonVmaRbRoot(this.heap, this.anonVma), parent: AvcPtr = NO_AVC): number {
    if (avc === NO_AVC) return 0;
    expect(treeNodeWord(this.heap, avcTreeNode(avc), TREE_NODE.parent)).toBe(parent);
    const left = treeNodeWord(this.heap, avcTreeNode(avc), TREE_NODE.left) as AvcPtr;
    const right = treeNodeWord(this.heap, avcTreeNode(avc), TREE_NODE.right) as AvcPtr;
    const depth = 1 + Math.max(this.audit(left, avc), this.audit(right, avc));
    const below = [left, right].filter((child) => child !== NO_AVC);
    const lasts = below.map((child) => treeNodeWord(this.heap, avcTreeNode(child), TREE_NODE.subtreeLast));
    const expected = Math.max(treeNodeWord(this.heap, avcTreeNode(avc), TREE_NODE.last), ...lasts);
    expect(treeNodeWord(this.heap, avcTreeNode(avc), TREE_NODE.subtreeLast)).toBe(expected);
    return depth;
  }
}

const range = fc.tuple(fc.nat(20), fc.nat(10)).map(([first, length]) => ({ first, last: first + length }));
const step = fc.oneof(
  { weight: 5, arbitrary: range.map((key) => ({ kind: 'insert' as const, ...key })) },
  { weight: 2, arbitrary: fc.nat().map((index) => ({ kind: 'remove' as const, index })) },
  { weight: 2, arbitrary: fc.nat().map((index) => ({ kind: 'reinsert' as const, index })) },
  { weight: 3, arbitrary: range.map((key) => ({ kind: 'query' as const, ...key })) },
);

it('answers as a sorted list does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: NODES }), (steps) => {
      const tree = new Fixture();
      for (const at of steps) {
        if (at.kind === 'insert') tree.insert(at.first, at.last);
        else if (at.kind === 'query') expect(tree.query(at.first, at.last)).toEqual(tree.expected(at.first, at.last));
        else if (tree.nodes.length > 0) tree[at.kind](at.index % tree.nodes.length);
        tree.audit();
        expect(tree.query(0, LAST)).toEqual(tree.nodes.map(({ avc }) => avc));
      }
    }),
    { numRuns: 150 },
  );
});

it('visits equal keys in the order of their insertion, a reinserted one last', () => {
  const tree = new Fixture();
  for (let i = 0; i < 5; i++) tree.insert(7, 9);
  const before = tree.query(8, 8);
  tree.reinsert(1);
  expect(tree.query(8, 8)).toEqual([before[0], before[2], before[3], before[4], before[1]]);
});

it('finds nothing in an empty tree and beyond its ends', () => {
  const tree = new Fixture();
  expect(tree.query(0, LAST)).toEqual([]);
  tree.insert(10, 12);
  expect(tree.query(0, 9)).toEqual([]);
  expect(tree.query(13, LAST)).toEqual([]);
  expect(tree.query(12, 13)).toHaveLength(1);
});

it('stays shallow when a thousand children are forked one after the other', () => {
  const tree = new Fixture(1000);
  for (let i = 0; i < 1000; i++) tree.insert(3, 9);
  expect(tree.audit()).toBeLessThan(40);
  while (tree.nodes.length > 0) tree.remove(0);
  expect(anonVmaRbRoot(tree.heap, tree.anonVma)).toBe(NO_AVC);
});
