/**
 * Interval trees of the anon_vmas: keys equal the VMA's current range (25), in-order sorted by start with ties in order of
 * insertion, augmented maximum right (26), parents right. Root locks must be free of writers.
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { ANON_VMA, ANON_VMA_LIST_LAST, AVC } from '../layout/anonVma.ts';
import { VMA } from '../layout/vma.ts';
import { describeVma } from './describe.ts';
import { isObject } from './view.ts';
import type { VmaPtr } from '../layout/ids.ts';

const MAX_DEPTH = 64;

/** In-order nodes of an anon_vma's tree, or null when the structure is broken. */
function treeNodes(heap: Heap, anonVma: number): number[] | null {
  const nodes: number[] = [];
  const visit = (node: number, parent: number, depth: number): boolean => {
    if (node === 0) return true;
    if (depth > MAX_DEPTH || !isObject(heap, CACHES.anonVmaChain, node)) return false;
    if (heap[node + AVC.rbParent] !== parent) return false;
    if (!visit(heap[node + AVC.rbLeft], node, depth + 1)) return false;
    nodes.push(node);
    return visit(heap[node + AVC.rbRight], node, depth + 1);
  };
  return visit(heap[anonVma + ANON_VMA.rbRoot], 0, 0) ? nodes : null;
}

/** Checks every allocated anon_vma's tree. */
export function checkIntervalTrees(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const anonVma of slabObjects(heap, CACHES.anonVma)) {
    if (slabIsAllocated(heap, anonVma)) checkTree(heap, anonVma, violations);
  }
  return violations;
}

function checkTree(heap: Heap, anonVma: number, violations: Violation[]): void {
  const wrong = (what: string, evidence: string[] = []): void => {
    violations.push({
      kind: 'vma-tree',
      title: `anon_vma interval tree: ${what}`,
      signature: `interval tree: ${what}`,
      evidence,
    });
  };
  const nodes = treeNodes(heap, anonVma);
  if (nodes === null) {
    wrong('links are broken');
    return;
  }
  for (const [i, node] of nodes.entries()) {
    const vma = heap[node + AVC.vma] as VmaPtr;
    const start = heap[vma + VMA.pgoff];
    const last = start + (heap[vma + VMA.end] - heap[vma + VMA.start]) - 1;
    if (heap[node + AVC.anonVma] !== anonVma) wrong('a node belongs to another anon_vma');
    const hasKey = heap[node + AVC.last] !== ANON_VMA_LIST_LAST; // under old rules an anon_vma keeps a list
    if (hasKey && (heap[node + AVC.pgoff] !== start || heap[node + AVC.last] !== last)) {
      wrong('a cached key differs from its VMA', [
        `key [${heap[node + AVC.pgoff]}, ${heap[node + AVC.last]}], ${describeVma(heap, vma)}`,
      ]);
    }
    if (heap[node + AVC.subtreeLast] !== subtreeLast(heap, node)) wrong('an augmented maximum is wrong');
    const next = nodes[i + 1];
    if (next !== undefined && !inOrder(heap, node, next)) wrong('nodes are out of order');
  }
}

function subtreeLast(heap: Heap, node: number): number {
  let last = heap[node + AVC.last];
  for (const child of [heap[node + AVC.rbLeft], heap[node + AVC.rbRight]]) {
    if (child !== 0) last = Math.max(last, heap[child + AVC.subtreeLast]);
  }
  return last;
}

function inOrder(heap: Heap, left: number, right: number): boolean {
  const a = heap[left + AVC.pgoff];
  const b = heap[right + AVC.pgoff];
  return a < b || (a === b && heap[left + AVC.stamp] < heap[right + AVC.stamp]);
}
