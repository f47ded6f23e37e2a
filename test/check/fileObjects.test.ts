/** Objects of shared mappings, forged by hand beside the anonymous world, and every way to break one. */
import { expect, test } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAlloc, slabFree } from '../../src/arena/slab.ts';
import type { FindingKind } from '../../src/base/finding.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import { ADDRESS_SPACE, initAddressSpace } from '../../src/layout/addressSpace.ts';
import type { AddressSpacePtr, Pfn, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { RWSEM } from '../../src/layout/lockWords.ts';
import { MM } from '../../src/layout/mm.ts';
import { PAGE, PG_lru, makeFileMapping, pageAt, pfnAt } from '../../src/layout/page.ts';
import { entryAt } from '../../src/layout/pageTable.ts';
import { PTE_WRITE, PTE_YOUNG, makePte } from '../../src/layout/pte.ts';
import { VMA, VMA_WORDS, VM_SHARED, vmaTreeNode } from '../../src/layout/vma.ts';
import { VMA_NODE, VMA_NODE_ENTRY_WORDS } from '../../src/layout/vmaNode.ts';
import { forgeWorld, type ForgedWorld } from './forge.ts';

interface ObjectWorld extends ForgedWorld {
  readonly object: AddressSpacePtr;
  readonly shared: VmaPtr;
  readonly xaNode: number;
  /** Page of the object at offset 6, mapped at vpn 17; its entry. */
  readonly cached: Pfn;
  readonly entry: number;
}

const START = 16;
const PGOFF = 5;

/** The forged world and a shared VMA [16, 20) at offset 5 of an object of 12 pages, with one page. */
function forgeObjectWorld(): ObjectWorld {
  const world = forgeWorld();
  const { heap, mm } = world;
  const object = slabAlloc(heap, 0, CACHES.addressSpace) as AddressSpacePtr;
  initAddressSpace(heap, object, 12);
  const shared = forgeSharedVma(world, object);
  const xaNode = slabAlloc(heap, 0, CACHES.xaNode);
  heap.fill(0, xaNode, xaNode + 64);
  heap[object + ADDRESS_SPACE.pages] = xaNode;
  heap[object + ADDRESS_SPACE.cached] = 1;
  const page = slabAlloc(heap, 0, CACHES.frame);
  const cached = pfnAt(heap, page);
  heap.fill(0, page, page + Object.keys(PAGE).length);
  heap[page + PAGE.flags] = PG_lru;
  heap[page + PAGE.refcount] = 2;
  heap[page + PAGE.mapcount] = 1;
  heap[page + PAGE.mapping] = makeFileMapping(object);
  heap[page + PAGE.index] = PGOFF + 1;
  heap[xaNode + PGOFF + 1] = cached;
  const entry = entryAt(world.pteTable, (START + 1) as Vpn, 0);
  heap[entry] = makePte(cached, PTE_WRITE | PTE_YOUNG);
  heap[mm + MM.shmemPages] = 1;
  return { ...world, object, shared, xaNode, cached, entry };
}

function forgeSharedVma({ heap, mm }: ForgedWorld, object: AddressSpacePtr): VmaPtr {
  const vma = slabAlloc(heap, 0, CACHES.vma) as VmaPtr;
  heap.fill(0, vma, vma + VMA_WORDS);
  heap[mm + MM.totalVm] += 4;
  heap[vma + VMA.mm] = mm;
  heap[vma + VMA.start] = START;
  heap[vma + VMA.end] = START + 4;
  heap[vma + VMA.pgoff] = PGOFF;
  heap[vma + VMA.flags] = VM_SHARED;
  heap[vma + VMA.file] = object;
  heap[vma + VMA.keyFirst] = PGOFF;
  heap[vma + VMA.keyLast] = PGOFF + 3;
  heap[vma + VMA.subtreeLast] = PGOFF + 3;
  heap[vma + VMA.stamp] = 1;
  heap[object + ADDRESS_SPACE.iMmap] = vmaTreeNode(vma);
  const node = heap[mm + MM.vmaTree];
  const entry = node + VMA_NODE.entries + VMA_NODE_ENTRY_WORDS;
  heap[node + VMA_NODE.count] = 2;
  heap[entry] = START;
  heap[entry + 1] = START + 4;
  heap[entry + 2] = vma;
  heap[mm + MM.mapCount] = 2;
  return vma;
}

const BREAKS: readonly {
  what: string;
  corrupt: (w: ObjectWorld) => void;
  kind: FindingKind;
  signatures: readonly string[];
}[] = [
  {
    what: 'a reference too many',
    corrupt: (w) => w.heap[w.object + ADDRESS_SPACE.refcount]++,
    kind: 'count-mismatch',
    signatures: ['object: references differ from the VMAs that map it'],
  },
  {
    what: 'a VMA that is not in the tree',
    corrupt: (w) => (w.heap[w.object + ADDRESS_SPACE.iMmap] = 0),
    kind: 'rmap-miss',
    signatures: [
      'object: a VMA that maps it is not in its tree',
      "rmap walk misses an entry: the VMA is not in the object's tree",
    ],
  },
  {
    what: 'a key that is not the range of its VMA',
    corrupt: (w) => (w.heap[w.shared + VMA.keyFirst] = 4),
    kind: 'vma-tree',
    signatures: ['interval tree: a cached key differs from its VMA'],
  },
  {
    what: 'an augmented maximum',
    corrupt: (w) => (w.heap[w.shared + VMA.subtreeLast] = 99),
    kind: 'vma-tree',
    signatures: ['interval tree: an augmented maximum is wrong'],
  },
  {
    what: 'a shared mapping without an object',
    corrupt: (w) => {
      w.heap[w.shared + VMA.file] = 0;
      w.heap[w.object + ADDRESS_SPACE.iMmap] = 0;
      w.heap[w.object + ADDRESS_SPACE.refcount] = 0;
    },
    kind: 'vma-tree',
    signatures: [
      'vma tree: a shared mapping without an object',
      'rmap walk misses an entry: the VMA maps another object',
    ],
  },
  {
    what: 'an object that is freed under its VMA',
    corrupt: (w) => {
      w.heap[w.entry] = 0;
      w.heap[w.mm + MM.shmemPages] = 0;
      slabFree(w.heap, 0, CACHES.frame, pageAt(w.heap, w.cached));
      slabFree(w.heap, 0, CACHES.xaNode, w.xaNode);
      slabFree(w.heap, 0, CACHES.addressSpace, w.object);
    },
    kind: 'use-after-free',
    signatures: ['object: a VMA maps an object that is freed'],
  },
  {
    what: 'a page that says another offset',
    corrupt: (w) => w.heap[pageAt(w.heap, w.cached) + PAGE.index]++,
    kind: 'count-mismatch',
    signatures: [
      'object: its index holds a foreign page',
      'rmap walk misses an entry: its index leads to another address (VMA [N, N) pgoff N unfaulted)',
    ],
  },
  {
    what: 'a page that left the index',
    corrupt: (w) => {
      w.heap[w.xaNode + PGOFF + 1] = 0;
      w.heap[w.object + ADDRESS_SPACE.cached] = 0;
    },
    kind: 'count-mismatch',
    signatures: ['refcount differs from holders'],
  },
  {
    what: 'a wrong number of pages',
    corrupt: (w) => (w.heap[w.object + ADDRESS_SPACE.cached] = 2),
    kind: 'count-mismatch',
    signatures: ['object: its number of pages is wrong'],
  },
  {
    what: 'a node that no object has',
    corrupt: (w) => slabAlloc(w.heap, 0, CACHES.xaNode),
    kind: 'leak',
    signatures: ['object: a node of a page index is allocated but in no object'],
  },
  {
    what: 'MM_SHMEMPAGES',
    corrupt: (w) => w.heap[w.mm + MM.shmemPages]--,
    kind: 'count-mismatch',
    signatures: ['MM_SHMEMPAGES differs from the page tables'],
  },
  {
    what: 'i_mmap_rwsem that is held',
    corrupt: (w) => (w.heap[w.object + ADDRESS_SPACE.iMmapRwsem + RWSEM.count] = 1),
    kind: 'lock-balance',
    signatures: ['i_mmap_rwsem left held'],
  },
];

test('a consistent object: nothing to say', () => {
  expect(checkQuiescent(forgeObjectWorld().heap)).toEqual([]);
});

test.each(BREAKS)('$what', ({ corrupt, kind, signatures }) => {
  const world = forgeObjectWorld();
  corrupt(world);
  const violations = checkQuiescent(world.heap);
  expect(violations.map(({ signature }) => signature)).toEqual(signatures);
  expect(violations[0].kind).toBe(kind);
});
