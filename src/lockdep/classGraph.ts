/**
 * What has been learned about order: nodes are classes with their subclass, an edge P -> N says that some task waited for N
 * while it held P. The graph never contains a strong cycle: an edge that would close one is reported and left out.
 *
 * Kinds of an edge (bits): how P was held, exclusive or shared, and whether N was taken as recursive reader or not. A reader
 * of either kind never blocks a recursive one, so a path is strong unless an edge that ends in R is followed by one that
 * starts with S; a strong cycle is a possible deadlock.
 *
 * The search runs over pairs of node and "came only over R", and visits a node again in its stronger state. The kernel
 * (check_noncircular() in kernel/locking/lockdep.c) visits each class once and misses cycles.
 */

import type { ReadMode } from '../cpu/hooks.ts';
import type { LockClassId } from '../layout/ids.ts';
import { EDGE, NODE, SECTION, SUBCLASSES, type LockdepSection } from './section.ts';

/** Kinds: first held Exclusive or Shared, second taken as Recursive reader or Not. */
export const EDGE_ER = 1;
export const EDGE_EN = 2;
export const EDGE_SR = 4;
export const EDGE_SN = 8;
const FROM_EXCLUSIVE = EDGE_ER | EDGE_EN;
const TO_NOT_RECURSIVE = EDGE_EN | EDGE_SN;

/** Usage bits of a node. */
export const USED_WRITE = 1;
export const USED_READ = 2;

export function edgeKind(heldRead: ReadMode, nextRead: ReadMode): number {
  if (heldRead === 0) return nextRead === 2 ? EDGE_ER : EDGE_EN;
  return nextRead === 2 ? EDGE_SR : EDGE_SN;
}

/** Node of a class and subclass, 0 when it was never taken. */
export function nodeOf({ heap, nodeTable }: LockdepSection, cls: LockClassId, subclass: number): number {
  return heap[nodeTable + cls * SUBCLASSES + subclass];
}

/** Makes a node. Returns 0 when there is no room. @locked the section */
export function addNode(
  { heap, base, nodes, nodeTable, size }: LockdepSection,
  cls: LockClassId,
  subclass: number,
): number {
  const node = heap[base + SECTION.nodeCount] + 1;
  if (node > size.nodes) return 0;
  const key = cls * SUBCLASSES + subclass;
  heap[nodes + node * NODE.words + NODE.key] = key;
  heap[base + SECTION.nodeCount] = node;
  Atomics.store(heap, nodeTable + key, node);
  return node;
}

export function nodeClass({ heap, nodes }: LockdepSection, node: number): LockClassId {
  return Math.floor(heap[nodes + node * NODE.words + NODE.key] / SUBCLASSES) as LockClassId;
}

export function nodeSubclass({ heap, nodes }: LockdepSection, node: number): number {
  return heap[nodes + node * NODE.words + NODE.key] % SUBCLASSES;
}

export function nodeUsage({ heap, nodes }: LockdepSection, node: number): number {
  return heap[nodes + node * NODE.words + NODE.usage];
}

/** Notes that the node was taken for write or read, and where first. @locked the section */
export function noteUsage({ heap, nodes }: LockdepSection, node: number, read: ReadMode, trace: number): void {
  const at = nodes + node * NODE.words;
  const bit = read === 0 ? USED_WRITE : USED_READ;
  if ((heap[at + NODE.usage] & bit) !== 0) return;
  heap[at + NODE.usage] |= bit;
  heap[at + (read === 0 ? NODE.writePlace : NODE.readPlace)] = trace;
}

/** Number of the edge between two nodes, 0 when there is none. */
export function edgeBetween({ heap, matrix, size }: LockdepSection, from: number, to: number): number {
  return heap[matrix + from * (size.nodes + 1) + to];
}

export function edgeKinds({ heap, edges }: LockdepSection, edge: number): number {
  return heap[edges + edge * EDGE.words + EDGE.kinds];
}

/** Word of an edge: one of EDGE. */
export function edgeWord({ heap, edges }: LockdepSection, edge: number, offset: number): number {
  return heap[edges + edge * EDGE.words + offset];
}

/** What is remembered of the acquire that first showed an edge. */
export interface EdgeOrigin {
  readonly trace: number;
  readonly heldPlace: number;
  readonly task: number;
}

/** Adds the edge, or the kind to an edge that exists. False when there is no room. @locked the section */
export function addEdge(section: LockdepSection, from: number, to: number, kind: number, origin: EdgeOrigin): boolean {
  const { heap, base, matrix, edges, size } = section;
  const known = edgeBetween(section, from, to);
  if (known !== 0) {
    heap[edges + known * EDGE.words + EDGE.kinds] |= kind;
    return true;
  }
  const edge = heap[base + SECTION.edgeCount] + 1;
  if (edge > size.edges) return false;
  const at = edges + edge * EDGE.words;
  heap[at + EDGE.from] = from;
  heap[at + EDGE.to] = to;
  heap[at + EDGE.kinds] = kind;
  heap[at + EDGE.trace] = origin.trace;
  heap[at + EDGE.heldPlace] = origin.heldPlace;
  heap[at + EDGE.task] = origin.task;
  heap[base + SECTION.edgeCount] = edge;
  Atomics.store(heap, matrix + from * (size.nodes + 1) + to, edge);
  return true;
}

/**
 * Shortest strong path from `next` back to `held` that the edge held -> next of `kind` would close to a strong cycle.
 * Returns its edges in order, or null. @locked the section
 */
export function findClosingPath(section: LockdepSection, held: number, next: number, kind: number): number[] | null {
  const { heap, base } = section;
  const nodeCount = heap[base + SECTION.nodeCount];
  const states = 2 * (nodeCount + 1);
  const via = new Int32Array(states);
  const cameFrom = new Int32Array(states).fill(-1);
  const start = stateOf(next, (kind & TO_NOT_RECURSIVE) === 0);
  const queue = [start];
  cameFrom[start] = start;
  let found = -1;
  for (let head = 0; head < queue.length && found < 0; head++) {
    const state = queue[head];
    const onlyRecursive = (state & 1) === 1;
    for (let node = 1; node <= nodeCount && found < 0; node++) {
      const edge = edgeBetween(section, state >> 1, node);
      if (edge === 0) continue;
      const usable = edgeKinds(section, edge) & (onlyRecursive ? FROM_EXCLUSIVE : ~0);
      if (usable === 0) continue;
      const reached = stateOf(node, (usable & TO_NOT_RECURSIVE) === 0);
      // Whoever was here in the stronger state has gone everywhere that the weaker one can go.
      if (cameFrom[reached] >= 0 || cameFrom[stateOf(node, false)] >= 0) continue;
      cameFrom[reached] = state;
      via[reached] = edge;
      queue.push(reached);
      const fits = (reached & 1) === 0 || (kind & FROM_EXCLUSIVE) !== 0;
      if (node === held && fits) found = reached;
    }
  }
  heap[base + SECTION.searches]++;
  heap[base + SECTION.longestSearch] = Math.max(heap[base + SECTION.longestSearch], queue.length);
  if (found < 0) return null;
  const path: number[] = [];
  for (let state = found; state !== start; state = cameFrom[state]) path.push(via[state]);
  return path.reverse();
}

function stateOf(node: number, onlyRecursive: boolean): number {
  return node * 2 + (onlyRecursive ? 1 : 0);
}
