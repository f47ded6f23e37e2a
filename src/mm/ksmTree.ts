/**
 * The trees of KSM, ordered by the contents of pages. Who searches compares and descends himself, for each comparison needs a page;
 * here are the changes of the structure, one step each: only the holder of ksm_thread_mutex looks at them.
 *
 * Kernel: rb_link_node(), rb_erase(), rb_replace_node(). Not modelled: the balance of a red-black tree.
 */

import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import { KSM_TREE, ksmTreeLink, setKsmTreeLink, setKsmTreeRoot } from '../layout/ksm.ts';

const { left, right, parent } = KSM_TREE;

/** Where a search ended: the new node becomes the child of `under` on `side`, or the root (under 0). */
export interface TreePlace {
  under: number;
  side: number;
}

/** A place at the root. */
export function rootPlace(): TreePlace {
  return { under: 0, side: left };
}

/** The child on the side that a comparison says (below zero: left); `place` moves down. */
export function descend(heap: Heap, node: number, order: number, place: TreePlace): Access<number> {
  place.under = node;
  place.side = order < 0 ? left : right;
  return ksmTreeLink(heap, node, place.side);
}

/** rb_link_node(). */
export function treeLink(heap: Heap, root: number, node: number, { under, side }: TreePlace): Access<void> {
  setKsmTreeLink(heap, node, left, 0);
  setKsmTreeLink(heap, node, right, 0);
  setKsmTreeLink(heap, node, parent, under);
  if (under === 0) setKsmTreeRoot(heap, root, node);
  else setKsmTreeLink(heap, under, side, node);
}

/** rb_erase(). */
export function treeErase(heap: Heap, root: number, node: number): Access<void> {
  const low = ksmTreeLink(heap, node, left);
  const high = ksmTreeLink(heap, node, right);
  if (low === 0 || high === 0) {
    putInPlace(heap, root, node, low === 0 ? high : low);
    return;
  }
  // The next one in order has no lower child: it leaves its place and takes this one's.
  let next = high;
  for (let at = high; at !== 0; at = ksmTreeLink(heap, at, left)) next = at;
  putInPlace(heap, root, next, ksmTreeLink(heap, next, right));
  treeReplace(heap, root, node, next);
}

/** rb_replace_node(): `next`, which is nowhere, gets the place of `node`. */
export function treeReplace(heap: Heap, root: number, node: number, next: number): Access<void> {
  putInPlace(heap, root, node, next);
  for (const side of [left, right]) {
    const child = ksmTreeLink(heap, node, side);
    setKsmTreeLink(heap, next, side, child);
    if (child !== 0) setKsmTreeLink(heap, child, parent, next);
  }
}

/** What led to `node` leads to `next` (0: to nothing). */
function putInPlace(heap: Heap, root: number, node: number, next: number): Access<void> {
  const above = ksmTreeLink(heap, node, parent);
  if (next !== 0) setKsmTreeLink(heap, next, parent, above);
  if (above === 0) setKsmTreeRoot(heap, root, next);
  else setKsmTreeLink(heap, above, ksmTreeLink(heap, above, left) === node ? left : right, next);
}
