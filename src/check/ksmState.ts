/**
 * KSM: a KSM page and its stable node point to each other (51), and the records agree with each other: lists,
 * trees, counts, references, nothing left over (52).
 */

import { CACHES, pageWords, type CacheName } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { ANON_VMA } from '../layout/anonVma.ts';
import { GLOBAL, globalAt } from '../layout/globals.ts';
import type { Pfn, RmapItemPtr, StableNodePtr } from '../layout/ids.ts';
import { KSM_MM_SLOT, RMAP_ITEM, STABLE_FLAG, STABLE_NODE, UNSTABLE_FLAG } from '../layout/ksm.ts';
import { MM, MMF_VM_MERGEABLE } from '../layout/mm.ts';
import { PAGE, PAGE_STRUCT_WORDS, makeKsmMapping, mappingStableNode, nrFrames, pageAt } from '../layout/page.ts';
import { describePage } from './describe.ts';
import {
  dupsOf,
  isLive,
  itemsOfNode,
  itemsOfSlot,
  ksmSlots,
  ksmTreeNodes,
  nodeIsChain,
  scanIsUnderWay,
} from './ksmView.ts';

type Wrong = (kind: Violation['kind'], what: string, evidence?: string[]) => void;

/** Checks KSM's records against each other and against the pages. */
export function checkKsm(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const wrong: Wrong = (kind, what, evidence = []) => {
    violations.push({ kind, title: `KSM: ${what}`, signature: `KSM: ${what}`, evidence });
  };
  const nodes = checkStableTree(heap, wrong);
  if (nodes === null) return violations;
  const items = checkSlots(heap, wrong);
  const listed = new Set<RmapItemPtr>();
  for (const node of nodes) checkNode(heap, node, items, listed, wrong);
  checkItems(heap, items, listed, wrong);
  checkPages(heap, new Set(nodes), wrong);
  return violations;
}

/** Order and links of the stable tree. @returns all nodes with a page; null if the links are broken */
function checkStableTree(heap: Heap, wrong: Wrong): StableNodePtr[] | null {
  const tree = ksmTreeNodes(heap, GLOBAL.ksmStableRoot, CACHES.ksmStableNode) as StableNodePtr[] | null;
  if (tree === null) {
    wrong('vma-tree', 'the links of the stable tree are broken');
    return null;
  }
  const nodes: StableNodePtr[] = [];
  let before: Pfn[] = [];
  for (const top of tree) {
    const dups = nodeIsChain(heap, top) ? dupsOf(heap, top) : [top];
    for (const dup of dups) {
      const chain = dup === top ? 0 : top;
      if (heap[dup + STABLE_NODE.chain] !== chain) wrong('vma-tree', 'a stable node does not know where it is');
    }
    nodes.push(...dups);
    const pages = dups.filter((dup) => hasPage(heap, dup)).map((dup) => heap[dup + STABLE_NODE.kpfn] as Pfn);
    if (pages.some((pfn) => compare(heap, pages[0], pfn) !== 0)) wrong('vma-tree', 'pages of a chain differ');
    if (before.length > 0 && pages.length > 0 && compare(heap, before[0], pages[0]) >= 0) {
      wrong('vma-tree', 'the stable tree is out of order', [describePage(heap, pages[0])]);
    }
    if (pages.length > 0) before = pages;
  }
  countLeft(heap, 'ksmStableNode', nodes.length + tree.filter((top) => nodeIsChain(heap, top)).length, wrong);
  return nodes;
}

/** The page of a node may have been freed since: then it does not point to the node. */
function hasPage(heap: Heap, node: StableNodePtr): boolean {
  const pfn = heap[node + STABLE_NODE.kpfn];
  if (pfn < 1 || pfn > nrFrames(heap)) return false;
  return heap[pageAt(heap, pfn as Pfn) + PAGE.mapping] === makeKsmMapping(node);
}

function compare(heap: Heap, a: Pfn, b: Pfn): number {
  const words = pageWords(heap);
  const [first, second] = [pageAt(heap, a) + PAGE_STRUCT_WORDS, pageAt(heap, b) + PAGE_STRUCT_WORDS];
  for (let word = 0; word < words; word++) {
    if (heap[first + word] !== heap[second + word]) return heap[first + word] - heap[second + word];
  }
  return 0;
}

/** The list of address spaces. @returns all their items */
function checkSlots(heap: Heap, wrong: Wrong): Set<RmapItemPtr> {
  const items = new Set<RmapItemPtr>();
  const slots = ksmSlots(heap);
  for (const slot of slots) {
    const mm = heap[slot + KSM_MM_SLOT.mm];
    if (!isLive(heap, CACHES.mm, mm)) {
      wrong('use-after-free', 'the mm of a slot is freed');
      continue;
    }
    const isKnown = heap[mm + MM.ksmSlot] === slot && (heap[mm + MM.flags] & MMF_VM_MERGEABLE) !== 0;
    if (!isKnown) wrong('vma-tree', 'an mm does not know its slot');
    let last = -1;
    for (const item of itemsOfSlot(heap, slot)) {
      if (heap[item + RMAP_ITEM.mm] !== mm) wrong('vma-tree', 'an item is in the list of another mm');
      if (heap[item + RMAP_ITEM.vpn] <= last) wrong('vma-tree', 'the items of an mm are out of order');
      last = heap[item + RMAP_ITEM.vpn];
      items.add(item);
    }
  }
  countLeft(heap, 'ksmMmSlot', slots.length, wrong);
  countLeft(heap, 'ksmRmapItem', items.size, wrong);
  return items;
}

function countLeft(heap: Heap, cache: CacheName, known: number, wrong: Wrong): void {
  let allocated = 0;
  for (const object of slabObjects(heap, CACHES[cache])) if (slabIsAllocated(heap, object)) allocated++;
  if (allocated !== known) wrong('leak', `objects of cache ${cache} that nothing leads to`, [`${allocated - known}`]);
}

/** The list of a node: its length, and what walks rely on. Its items are added to `listed`. */
function checkNode(
  heap: Heap,
  node: StableNodePtr,
  known: ReadonlySet<RmapItemPtr>,
  listed: Set<RmapItemPtr>,
  wrong: Wrong,
): void {
  const items = itemsOfNode(heap, node);
  if (heap[node + STABLE_NODE.length] !== items.length) {
    wrong('count-mismatch', 'the number of items of a stable node is wrong');
  }
  for (const item of items) {
    listed.add(item);
    if (!known.has(item)) wrong('use-after-free', 'a stable node lists an item that no mm has');
    const isHere = heap[item + RMAP_ITEM.state] === STABLE_FLAG && heap[item + RMAP_ITEM.head] === node;
    if (!isHere) wrong('vma-tree', 'an item does not know its stable node');
    const anonVma = heap[item + RMAP_ITEM.anonVma];
    if (!isLive(heap, CACHES.anonVma, anonVma) || heap[anonVma + ANON_VMA.refcount] < 1) {
      wrong('use-after-free', 'the anon_vma of a merged mapping is freed');
    }
  }
}

/** Each item is where it says it is. */
function checkItems(heap: Heap, items: ReadonlySet<RmapItemPtr>, listed: ReadonlySet<RmapItemPtr>, wrong: Wrong): void {
  const pass = heap[globalAt(heap, GLOBAL.ksmSeqnr)];
  const waiting = new Set<number>();
  for (const item of items) {
    const state = heap[item + RMAP_ITEM.state];
    if (state === STABLE_FLAG) {
      if (!listed.has(item)) wrong('vma-tree', 'an item is in no list of a stable node');
    } else if (heap[item + RMAP_ITEM.anonVma] !== 0) {
      wrong('leak', 'an item in no list has an anon_vma');
    }
    if (state === UNSTABLE_FLAG && heap[item + RMAP_ITEM.seqnr] === pass) waiting.add(item);
  }
  // Between two passes the tree is what was left of the last one.
  if (!scanIsUnderWay(heap)) return;
  const tree = ksmTreeNodes(heap, GLOBAL.ksmUnstableRoot, CACHES.ksmRmapItem);
  if (tree === null) wrong('vma-tree', 'the links of the unstable tree are broken');
  else if (tree.length !== waiting.size || tree.some((item) => !waiting.has(item))) {
    wrong('vma-tree', 'the unstable tree holds other items than those that wait');
  }
}

/** Invariant 51. A KSM page without node is left when memory was short; nothing leads from it to its mappings. */
function checkPages(heap: Heap, nodes: ReadonlySet<StableNodePtr>, wrong: Wrong): void {
  for (let pfn = 1 as Pfn; pfn <= nrFrames(heap); pfn++) {
    const page = pageAt(heap, pfn);
    const node = mappingStableNode(heap[page + PAGE.mapping]);
    if (node === 0 || !slabIsAllocated(heap, page)) continue;
    const evidence = [describePage(heap, pfn)];
    if (!nodes.has(node)) wrong('use-after-free', 'a KSM page has a stable node that is in no tree', evidence);
    else if (heap[node + STABLE_NODE.kpfn] !== pfn) wrong('rmap-miss', 'a stable node has another page', evidence);
  }
}
