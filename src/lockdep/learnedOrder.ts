/** What lockdep has learned, as data: the classes in use, the order between them, and how that compares with the documents. */

import type { Heap } from '../arena/heap.ts';
import { LOCK_CLASSES, type LockClass } from '../layout/lockClass.ts';
import {
  EDGE_EN,
  EDGE_ER,
  EDGE_SN,
  EDGE_SR,
  USED_READ,
  USED_WRITE,
  edgeBetween,
  edgeKinds,
  nodeClass,
  nodeUsage,
} from './classGraph.ts';
import { edgeLine, nodeName } from './describe.ts';
import { SECTION, attachSection, type LockdepSection } from './section.ts';

/** A class with its subclass, as it was taken. */
export interface LearnedClass {
  readonly name: string;
  readonly cls: LockClass;
  readonly taken: readonly ('write' | 'read')[];
  /** Classes that are taken inside it, directly or not, and those it is taken inside of. */
  readonly inside: number;
  readonly outside: number;
}

/** How an order compares with the documented hierarchy: as there, between classes of one rank, or against it. */
export type Agreement = 'documented' | 'same rank' | 'against';

/** `to` was taken while `from` was held. */
export interface LearnedOrder {
  readonly from: string;
  readonly to: string;
  /** Held Exclusive or Shared, taken as Recursive reader or Not: the kernel's letters. */
  readonly kinds: readonly string[];
  readonly agreement: Agreement;
  /** Where `to` was first taken so. */
  readonly trace: readonly string[];
}

export interface Learned {
  readonly classes: readonly LearnedClass[];
  readonly order: readonly LearnedOrder[];
  readonly chains: number;
  readonly searches: number;
  readonly longestSearch: number;
  readonly isOff: boolean;
}

const KIND_NAMES: readonly (readonly [number, string])[] = [
  [EDGE_EN, 'EN'],
  [EDGE_ER, 'ER'],
  [EDGE_SN, 'SN'],
  [EDGE_SR, 'SR'],
];

/** Everything learned so far in an arena with lockdep on, outermost class first. Best at quiescence. */
export function learnedOrder(heap: Heap): Learned {
  const section = attachSection(heap);
  const nodes = Array.from({ length: counter(section, SECTION.nodeCount) }, (_, i) => i + 1);
  const rank = (node: number): number => classOf(section, node).rank;
  nodes.sort((a, b) => rank(a) - rank(b) || a - b);
  const edges = nodes.flatMap((from) =>
    nodes.filter((to) => edgeBetween(section, from, to) !== 0).map((to) => [from, to] as const),
  );
  return {
    classes: nodes.map((node) => learnedClass(section, node, nodes)),
    order: edges.map(([from, to]) => learnedEdge(section, from, to)),
    chains: counter(section, SECTION.chainCount),
    searches: counter(section, SECTION.searches),
    longestSearch: counter(section, SECTION.longestSearch),
    isOff: counter(section, SECTION.off) !== 0,
  };
}

function counter({ heap, base }: LockdepSection, offset: number): number {
  return heap[base + offset];
}

function classOf(section: LockdepSection, node: number): LockClass {
  return LOCK_CLASSES[nodeClass(section, node)];
}

function learnedClass(section: LockdepSection, node: number, nodes: readonly number[]): LearnedClass {
  const usage = nodeUsage(section, node);
  return {
    name: nodeName({ section, classes: LOCK_CLASSES }, node),
    cls: classOf(section, node),
    taken: [
      ...((usage & USED_WRITE) !== 0 ? (['write'] as const) : []),
      ...((usage & USED_READ) !== 0 ? (['read'] as const) : []),
    ],
    inside: closure(node, nodes, (from, to) => edgeBetween(section, from, to) !== 0),
    outside: closure(node, nodes, (from, to) => edgeBetween(section, to, from) !== 0),
  };
}

/** Nodes that can be reached from `start`, itself left out. */
function closure(start: number, nodes: readonly number[], leads: (from: number, to: number) => boolean): number {
  const reached = [start];
  for (const from of reached) reached.push(...nodes.filter((to) => leads(from, to) && !reached.includes(to)));
  return reached.length - 1;
}

function learnedEdge(section: LockdepSection, from: number, to: number): LearnedOrder {
  const edge = edgeBetween(section, from, to);
  const { from: fromName, to: toName, trace } = edgeLine({ section, classes: LOCK_CLASSES }, edge);
  const kinds = KIND_NAMES.filter(([kind]) => (edgeKinds(section, edge) & kind) !== 0).map(([, name]) => name);
  const distance = classOf(section, to).rank - classOf(section, from).rank;
  const agreement = distance > 0 ? 'documented' : distance === 0 ? 'same rank' : 'against';
  return { from: fromName, to: toName, kinds, agreement, trace };
}
