/** KSM's records, forged by hand beside the anonymous world, and every way to break one. */
import { expect, test } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAlloc, slabFree } from '../../src/arena/slab.ts';
import type { FindingKind } from '../../src/base/finding.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import { ANON_VMA } from '../../src/layout/anonVma.ts';
import { GLOBAL, globalAt } from '../../src/layout/globals.ts';
import type { KsmMmSlotPtr, Pfn, RmapItemPtr, StableNodePtr, Vpn } from '../../src/layout/ids.ts';
import {
  KSM_MM_SLOT,
  KSM_TREE,
  RMAP_ITEM,
  STABLE_FLAG,
  STABLE_NODE,
  UNSTABLE_FLAG,
  initKsm,
  initKsmSlot,
  initRmapItem,
  initStableNode,
  ksmMmHead,
  linkKsmSlot,
  linkRmapItem,
} from '../../src/layout/ksm.ts';
import { MM, MMF_VM_MERGEABLE } from '../../src/layout/mm.ts';
import { PAGE, PAGE_STRUCT_WORDS, PG_lru, makeKsmMapping, pageAt, pfnAt } from '../../src/layout/page.ts';
import { entryAt } from '../../src/layout/pageTable.ts';
import { PTE_YOUNG, makePte } from '../../src/layout/pte.ts';
import { VMA, VM_MERGEABLE } from '../../src/layout/vma.ts';
import { forgeWorld, type ForgedWorld } from './forge.ts';

interface KsmWorld extends ForgedWorld {
  readonly slot: KsmMmSlotPtr;
  /** The page of the world is a KSM page of this node, mapped at its vpn; and another one, mapped behind it. */
  readonly node: StableNodePtr;
  readonly item: RmapItemPtr;
  readonly node2: StableNodePtr;
  readonly item2: RmapItemPtr;
  readonly pfn2: Pfn;
  /** Waits in the unstable tree, for the page behind both. */
  readonly waiting: RmapItemPtr;
}

/** The forged world, in the middle of a pass: two KSM pages, 1 and 2 in their first word, and an item that waits. */
function forgeKsmWorld(): KsmWorld {
  const world = forgeWorld();
  const { heap, mm, vma, pfn, vpn, pteTable } = world;
  heap[vma + VMA.flags] |= VM_MERGEABLE;
  heap[mm + MM.flags] |= MMF_VM_MERGEABLE;
  initKsm(heap);
  const slot = slabAlloc(heap, 0, CACHES.ksmMmSlot) as KsmMmSlotPtr;
  initKsmSlot(heap, slot, mm);
  linkKsmSlot(heap, slot, ksmMmHead(heap));
  heap[mm + MM.ksmSlot] = slot;
  heap[globalAt(heap, GLOBAL.ksmScanSlot)] = slot;
  const pfn2 = pfnAt(heap, slabAlloc(heap, 0, CACHES.frame));
  heap.copyWithin(pageAt(heap, pfn2), pageAt(heap, pfn), pageAt(heap, pfn) + PAGE_STRUCT_WORDS);
  heap.fill(0, pageAt(heap, pfn2) + PAGE_STRUCT_WORDS, pageAt(heap, pfn2) + PAGE_STRUCT_WORDS + 4);
  heap.fill(0, pageAt(heap, pfn) + PAGE_STRUCT_WORDS, pageAt(heap, pfn) + PAGE_STRUCT_WORDS + 4);
  heap[mm + MM.anonPages] = 2;
  const first = forgeMerged(world, pfn, vpn, 1);
  const second = forgeMerged(world, pfn2, (vpn + 1) as Vpn, 2);
  heap[entryAt(pteTable, vpn, 0)] = makePte(pfn, PTE_YOUNG);
  heap[entryAt(pteTable, (vpn + 1) as Vpn, 0)] = makePte(pfn2, PTE_YOUNG);
  heap[globalAt(heap, GLOBAL.ksmStableRoot)] = first.node;
  heap[first.node + KSM_TREE.right] = second.node;
  heap[second.node + KSM_TREE.parent] = first.node;
  const waiting = forgeItem(world, (vpn + 2) as Vpn);
  heap[waiting + RMAP_ITEM.state] = UNSTABLE_FLAG;
  heap[globalAt(heap, GLOBAL.ksmUnstableRoot)] = waiting;
  heap[slot + KSM_MM_SLOT.rmapList] = first.item;
  heap[first.item + RMAP_ITEM.next] = second.item;
  heap[second.item + RMAP_ITEM.next] = waiting;
  return { ...world, slot, ...first, node2: second.node, item2: second.item, pfn2, waiting };
}

function forgeItem({ heap, mm }: ForgedWorld, vpn: Vpn): RmapItemPtr {
  const item = slabAlloc(heap, 0, CACHES.ksmRmapItem) as RmapItemPtr;
  initRmapItem(heap, item, mm, vpn);
  return item;
}

function forgeMerged(
  world: ForgedWorld,
  pfn: Pfn,
  vpn: Vpn,
  value: number,
): { node: StableNodePtr; item: RmapItemPtr } {
  const { heap, anonVma } = world;
  const node = slabAlloc(heap, 0, CACHES.ksmStableNode) as StableNodePtr;
  initStableNode(heap, node, pfn, 1);
  const item = forgeItem(world, vpn);
  heap[item + RMAP_ITEM.state] = STABLE_FLAG;
  heap[item + RMAP_ITEM.head] = node;
  heap[item + RMAP_ITEM.anonVma] = anonVma;
  heap[anonVma + ANON_VMA.refcount]++;
  linkRmapItem(heap, node, item);
  heap[pageAt(heap, pfn) + PAGE.flags] = PG_lru;
  heap[pageAt(heap, pfn) + PAGE.mapping] = makeKsmMapping(node);
  heap[pageAt(heap, pfn) + PAGE_STRUCT_WORDS] = value;
  return { node, item };
}

function signatures(world: KsmWorld): string[] {
  return [...new Set(checkQuiescent(world.heap).map(({ signature }) => signature))];
}

test('the forged world is sound', () => {
  expect(signatures(forgeKsmWorld())).toEqual([]);
});

test('a page that was freed behind its node, and one without a node, are nothing wrong', () => {
  const world = forgeKsmWorld();
  const { heap, node, item, pfn } = world;
  heap[pageAt(heap, pfn) + PAGE.mapping] = makeKsmMapping(0 as StableNodePtr);
  expect([node, item].every((at) => at > 0)).toBe(true);
  expect(signatures(world)).toEqual([]);
});

test('a mapping that the scan has not seen is nothing wrong', () => {
  const world = forgeKsmWorld();
  world.heap[world.item + RMAP_ITEM.vpn] -= 1;
  expect(signatures(world)).toEqual([]);
});

interface Corruption {
  readonly what: string;
  readonly corrupt: (world: KsmWorld) => void;
  readonly kind: FindingKind;
  readonly signatures: readonly string[];
}

const CORRUPTIONS: readonly Corruption[] = [
  {
    what: 'a node has forgotten its page',
    corrupt: (w) => (w.heap[w.node + STABLE_NODE.kpfn] = w.pfn2),
    kind: 'rmap-miss',
    signatures: ['KSM: a stable node has another page'],
  },
  {
    what: 'a node is freed under its page',
    corrupt: (w) => {
      w.heap[w.node + KSM_TREE.right] = 0;
      slabFree(w.heap, 0, CACHES.ksmStableNode, w.node2);
    },
    kind: 'rmap-miss',
    signatures: [
      "rmap walk misses an entry: the page's stable node is freed",
      'KSM: an item is in no list of a stable node',
      'KSM: a KSM page has a stable node that is in no tree',
    ],
  },
  {
    what: 'the item leads to another anon_vma',
    corrupt: (w) => {
      const other = slabAlloc(w.heap, 0, CACHES.anonVma);
      w.heap.copyWithin(other, w.anonVma, w.anonVma + 24);
      w.heap[other + ANON_VMA.rbRoot] = 0;
      w.heap[other + ANON_VMA.numActiveVmas] = 0;
      w.heap[w.item + RMAP_ITEM.anonVma] = other;
    },
    kind: 'rmap-miss',
    signatures: ["rmap walk misses an entry: the VMA has no edge to the page's anon_vma"],
  },
  {
    what: 'the anon_vma of an item is freed',
    corrupt: (w) => {
      const gone = slabAlloc(w.heap, 0, CACHES.anonVma);
      slabFree(w.heap, 0, CACHES.anonVma, gone);
      w.heap[w.item + RMAP_ITEM.anonVma] = gone;
    },
    kind: 'rmap-miss',
    signatures: [
      "rmap walk misses an entry: the page's anon_vma is freed",
      'KSM: the anon_vma of a merged mapping is freed',
    ],
  },
  {
    what: 'the number of items is wrong',
    corrupt: (w) => w.heap[w.node + STABLE_NODE.length]++,
    kind: 'count-mismatch',
    signatures: ['KSM: the number of items of a stable node is wrong'],
  },
  {
    what: 'an item does not know its node',
    corrupt: (w) => (w.heap[w.item + RMAP_ITEM.head] = w.node2),
    kind: 'vma-tree',
    signatures: ['KSM: an item does not know its stable node'],
  },
  {
    what: 'a merged page was written',
    corrupt: (w) => (w.heap[pageAt(w.heap, w.pfn) + PAGE_STRUCT_WORDS] = 3),
    kind: 'vma-tree',
    signatures: ['KSM: the stable tree is out of order'],
  },
  {
    what: 'a node has a wrong parent',
    corrupt: (w) => (w.heap[w.node2 + KSM_TREE.parent] = 0),
    kind: 'vma-tree',
    signatures: ['KSM: the links of the stable tree are broken'],
  },
  {
    what: 'items out of order',
    corrupt: (w) => (w.heap[w.item2 + RMAP_ITEM.vpn] = w.heap[w.item + RMAP_ITEM.vpn]),
    kind: 'vma-tree',
    signatures: ['KSM: the items of an mm are out of order'],
  },
  {
    what: 'an item is lost',
    corrupt: (w) => (w.heap[w.item2 + RMAP_ITEM.next] = 0),
    kind: 'leak',
    signatures: [
      'KSM: objects of cache ksmRmapItem that nothing leads to',
      'KSM: the unstable tree holds other items than those that wait',
    ],
  },
  {
    what: 'an item that waits is not in the tree',
    corrupt: (w) => (w.heap[globalAt(w.heap, GLOBAL.ksmUnstableRoot)] = 0),
    kind: 'vma-tree',
    signatures: ['KSM: the unstable tree holds other items than those that wait'],
  },
  {
    what: 'an item that waits keeps an anon_vma',
    corrupt: (w) => (w.heap[w.waiting + RMAP_ITEM.anonVma] = w.anonVma),
    kind: 'leak',
    signatures: ['KSM: an item in no list has an anon_vma'],
  },
  {
    what: 'an mm does not know its slot',
    corrupt: (w) => (w.heap[w.mm + MM.ksmSlot] = 0),
    kind: 'vma-tree',
    signatures: ['KSM: an mm does not know its slot'],
  },
  {
    what: 'a slot is lost',
    corrupt: (w) => slabAlloc(w.heap, 0, CACHES.ksmMmSlot),
    kind: 'leak',
    signatures: ['KSM: objects of cache ksmMmSlot that nothing leads to'],
  },
];

test.each(CORRUPTIONS)('$what', ({ corrupt, kind, signatures: expected }) => {
  const world = forgeKsmWorld();
  corrupt(world);
  expect(signatures(world)).toEqual(expected);
  expect(checkQuiescent(world.heap)[0].kind).toBe(kind);
});
