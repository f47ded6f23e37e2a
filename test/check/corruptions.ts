/** Every way in which the forged world is broken by hand, and what must be said about it. */

import { CACHES, HEADER } from '../../src/arena/header.ts';
import { slabAlloc, slabFree } from '../../src/arena/slab.ts';
import type { FindingKind } from '../../src/base/finding.ts';
import { ANON_VMA, AVC } from '../../src/layout/anonVma.ts';
import type { Pfn } from '../../src/layout/ids.ts';
import { RWSEM, SPIN } from '../../src/layout/lockWords.ts';
import { MM } from '../../src/layout/mm.ts';
import { PAGE, PG_anonExclusive, PG_locked, pageAt } from '../../src/layout/page.ts';
import { TABLE } from '../../src/layout/pageTable.ts';
import { PTE_TYPE_MIGRATION_WRITE, PTE_WRITE, makeNonPresentPte, makePte } from '../../src/layout/pte.ts';
import { TASK, allTaskIds, taskAt } from '../../src/layout/task.ts';
import { TLB_ENTRY, tlbSlot } from '../../src/layout/tlb.ts';
import { VMA, VM_MERGEABLE } from '../../src/layout/vma.ts';
import { VMA_NODE, VMA_NODE_ENTRY_WORDS } from '../../src/layout/vmaNode.ts';
import type { ForgedWorld } from './forge.ts';

/** One way to break the forged world and what must be said about it. */
export interface Corruption {
  readonly what: string;
  readonly corrupt: (world: ForgedWorld) => void;
  /** Signatures, in the order of the checks. */
  readonly signatures: readonly string[];
  readonly kind: FindingKind;
}

const page = ({ heap, pfn }: ForgedWorld): number => pageAt(heap, pfn);

export const CORRUPTIONS: readonly Corruption[] = [
  {
    what: 'a migration entry is left',
    corrupt: (w) => {
      w.heap[w.pte] = makeNonPresentPte(PTE_TYPE_MIGRATION_WRITE, w.pfn, 0);
      w.heap[page(w) + PAGE.mapcount] = 0;
    },
    kind: 'dangling-migration-entry',
    signatures: ['migration entry without a locked source folio', 'frame leaked'],
  },
  {
    what: 'mapcount too high',
    corrupt: (w) => {
      w.heap[page(w) + PAGE.mapcount] = 2;
      w.heap[page(w) + PAGE.flags] &= ~PG_anonExclusive;
      w.heap[w.pte] = makePte(w.pfn, 0);
    },
    kind: 'count-mismatch',
    signatures: ['mapcount differs from entries'],
  },
  {
    what: 'a reference is lost',
    corrupt: (w) => (w.heap[page(w) + PAGE.refcount] = 0),
    kind: 'count-mismatch',
    signatures: ['refcount differs from holders'],
  },
  {
    what: 'a pin that nobody accounts for',
    corrupt: (w) => (w.heap[page(w) + PAGE.refcount] += 1024),
    kind: 'count-mismatch',
    signatures: ['refcount differs from holders'],
  },
  {
    what: 'MM_ANONPAGES is off',
    corrupt: (w) => (w.heap[w.mm + MM.anonPages] = 5),
    kind: 'count-mismatch',
    signatures: ['MM_ANONPAGES differs from the page tables'],
  },
  {
    what: 'the zero page took part in accounting',
    corrupt: (w) => (w.heap[pageAt(w.heap, w.heap[HEADER.zeroPfn] as Pfn) + PAGE.mapcount] = 1),
    kind: 'count-mismatch',
    signatures: ['zero page counts changed'],
  },
  {
    what: 'a frame that nobody uses',
    corrupt: (w) => {
      const leaked = slabAlloc(w.heap, 0, CACHES.frame);
      w.heap.fill(0, leaked, leaked + 7);
    },
    kind: 'leak',
    signatures: ['frame leaked'],
  },
  {
    what: 'a mapped frame was freed',
    corrupt: (w) => slabFree(w.heap, 0, CACHES.frame, page(w)),
    kind: 'use-after-free',
    signatures: ['free frame is mapped'],
  },
  {
    what: 'writable without PG_anon_exclusive',
    corrupt: (w) => (w.heap[page(w) + PAGE.flags] &= ~PG_anonExclusive),
    kind: 'exclusive',
    signatures: ['writable entry of a page that is not exclusive'],
  },
  {
    what: 'exclusive, but mapped twice',
    corrupt: (w) => {
      w.heap[w.pte + 1] = makePte(w.pfn, 0);
      w.heap[page(w) + PAGE.mapcount] = 2;
      w.heap[page(w) + PAGE.refcount] = 2;
      w.heap[w.mm + MM.anonPages] = 2;
    },
    kind: 'exclusive',
    signatures: [
      'exclusive page mapped more than once',
      'rmap walk misses an entry: its index leads to another address (VMA [N, N) pgoff N faulted)',
    ],
  },
  {
    what: 'the page numbers itself for another address',
    corrupt: (w) => (w.heap[page(w) + PAGE.index] = 11),
    kind: 'rmap-miss',
    signatures: ['rmap walk misses an entry: its index leads to another address (VMA [N, N) pgoff N faulted)'],
  },
  {
    what: "the page's anon_vma is another one",
    corrupt: (w) => {
      const other = slabAlloc(w.heap, 0, CACHES.anonVma);
      w.heap.copyWithin(other, w.anonVma, w.anonVma + 24);
      w.heap[other + ANON_VMA.root] = other;
      w.heap[other + ANON_VMA.parent] = other;
      w.heap[other + ANON_VMA.rbRoot] = 0;
      w.heap[other + ANON_VMA.numActiveVmas] = 0;
      w.heap[page(w) + PAGE.mapping] = (other << 2) | 1;
    },
    kind: 'rmap-miss',
    signatures: ["rmap walk misses an entry: the VMA has no edge to the page's anon_vma"],
  },
  {
    what: "the page's anon_vma was freed",
    corrupt: (w) => {
      const other = slabAlloc(w.heap, 0, CACHES.anonVma);
      slabFree(w.heap, 0, CACHES.anonVma, other);
      w.heap[page(w) + PAGE.mapping] = (other << 2) | 1;
    },
    kind: 'rmap-miss',
    signatures: ["rmap walk misses an entry: the page's anon_vma is freed"],
  },
  {
    what: 'a key of the interval tree is stale',
    corrupt: (w) => {
      w.heap[w.avc + AVC.last] = 9;
      w.heap[w.avc + AVC.subtreeLast] = 9;
    },
    kind: 'vma-tree',
    signatures: ['interval tree: a cached key differs from its VMA'],
  },
  {
    what: 'an augmented maximum is wrong',
    corrupt: (w) => (w.heap[w.avc + AVC.subtreeLast] = 99),
    kind: 'vma-tree',
    signatures: ['interval tree: an augmented maximum is wrong'],
  },
  {
    what: 'num_active_vmas is off',
    corrupt: (w) => (w.heap[w.anonVma + ANON_VMA.numActiveVmas] = 3),
    kind: 'count-mismatch',
    signatures: ['anon_vma num_active_vmas differs from a recount'],
  },
  {
    what: 'the root was freed before a descendant',
    corrupt: (w) => {
      const root = forgeAnonVma(w);
      slabFree(w.heap, 0, CACHES.anonVma, root);
      w.heap[w.anonVma + ANON_VMA.root] = root;
    },
    kind: 'use-after-free',
    signatures: ['root anon_vma freed before a descendant'],
  },
  {
    what: 'num_children is off',
    corrupt: (w) => (w.heap[w.anonVma + ANON_VMA.numChildren] = 0),
    kind: 'count-mismatch',
    signatures: ['anon_vma num_children differs from a recount'],
  },
  {
    what: 'the tree and the VMA disagree on the range',
    corrupt: (w) => (w.heap[w.heap[w.mm + MM.vmaTree] + VMA_NODE.entries + 1] = 13),
    kind: 'vma-tree',
    signatures: [
      'vma tree: a range differs from its VMA',
      'total_vm differs from the VMAs',
      'data_vm differs from the VMAs',
    ],
  },
  {
    what: 'map_count is off',
    corrupt: (w) => (w.heap[w.mm + MM.mapCount] = 2),
    kind: 'vma-tree',
    signatures: ['vma tree: map_count differs from the tree'],
  },
  {
    what: 'a VMA in the tree was freed',
    corrupt: (w) => slabFree(w.heap, 0, CACHES.vma, w.vma),
    kind: 'use-after-free',
    signatures: ['vma tree: a range leads to a freed VMA'],
  },
  {
    what: 'an entry where no VMA is',
    corrupt: (w) => {
      w.heap[w.pteTable + TABLE.entries + 100] = makePte(w.heap[HEADER.zeroPfn] as Pfn, 0);
    },
    kind: 'page-table',
    signatures: ['entry without a VMA'],
  },
  {
    what: 'a page table that nobody reaches',
    corrupt: (w) => {
      const leaked = slabAlloc(w.heap, 0, CACHES.pageTable);
      w.heap.fill(0, leaked, leaked + 520);
    },
    kind: 'leak',
    signatures: ['page table leaked'],
  },
  {
    what: 'the pgtables counter is off',
    corrupt: (w) => (w.heap[w.mm + MM.pgtables] = 9),
    kind: 'page-table',
    signatures: ['pgtables counter'],
  },
  {
    what: 'mmap_lock is still read-held',
    corrupt: (w) => (w.heap[w.mm + MM.mmapLock + RWSEM.count] = 256),
    kind: 'lock-balance',
    signatures: ['mmap_lock left held'],
  },
  {
    what: 'a page-table lock is still held',
    corrupt: (w) => (w.heap[w.pteTable + TABLE.lock + SPIN.state] = 1),
    kind: 'lock-balance',
    signatures: ['a page-table lock left held'],
  },
  {
    what: 'a folio is still locked',
    corrupt: (w) => (w.heap[page(w) + PAGE.flags] |= PG_locked),
    kind: 'lock-balance',
    signatures: ['a folio lock left held'],
  },
  {
    what: 'a task is still inside RCU',
    corrupt: (w) => (w.heap[taskAt(w.heap, allTaskIds(w.heap)[0]) + TASK.rcuNesting] = 1),
    kind: 'lock-balance',
    signatures: ['an RCU read side left held'],
  },
  {
    what: 'the links of an interval tree are broken',
    corrupt: (w) => (w.heap[w.avc + AVC.rbParent] = w.avc),
    kind: 'vma-tree',
    signatures: [
      'interval tree: links are broken',
      "rmap walk misses an entry: the edge is not in the anon_vma's interval tree",
    ],
  },
  {
    what: 'an edge is not in the tree',
    corrupt: (w) => (w.heap[w.anonVma + ANON_VMA.rbRoot] = 0),
    kind: 'rmap-miss',
    signatures: ["rmap walk misses an entry: the edge is not in the anon_vma's interval tree"],
  },
  {
    what: 'two nodes out of order',
    corrupt: (w) => {
      const other = secondAvc(w);
      w.heap[w.avc + AVC.rbLeft] = other;
      w.heap[other + AVC.rbParent] = w.avc;
    },
    kind: 'vma-tree',
    signatures: ['interval tree: nodes are out of order'],
  },
  {
    what: 'a node of another anon_vma',
    corrupt: (w) => (w.heap[w.avc + AVC.anonVma] = w.anonVma + 27),
    kind: 'vma-tree',
    signatures: [
      'interval tree: a node belongs to another anon_vma',
      'anon_vma chain: no edge to its own anon_vma',
      'anon_vma chain: the chain leads to a freed anon_vma',
      "rmap walk misses an entry: the VMA has no edge to the page's anon_vma",
    ],
  },
  {
    what: 'the chain lacks an ancestor',
    corrupt: (w) => {
      w.heap[w.anonVma + ANON_VMA.parent] = forgeAnonVma(w);
      w.heap[w.anonVma + ANON_VMA.numChildren] = 0;
    },
    kind: 'rmap-miss',
    signatures: ['anon_vma chain: the chain lacks an ancestor'],
  },
  {
    what: 'equal anon_vma, unequal chains',
    corrupt: (w) => {
      secondVma(w);
      const edge = slabAlloc(w.heap, 0, CACHES.anonVmaChain);
      w.heap.fill(0, edge, edge + 12);
      w.heap[edge + AVC.anonVma] = forgeAnonVma(w);
      w.heap[edge + AVC.vma] = w.vma;
      w.heap[w.avc + AVC.sameVmaNext] = edge;
      w.heap[w.heap[edge + AVC.anonVma] + ANON_VMA.root] = w.anonVma;
    },
    kind: 'rmap-miss',
    signatures: ['equal anon_vma, unequal chains'],
  },
  {
    what: 'a chain that spans two roots',
    corrupt: (w) => {
      const edge = slabAlloc(w.heap, 0, CACHES.anonVmaChain);
      w.heap.fill(0, edge, edge + 12);
      w.heap[edge + AVC.anonVma] = forgeAnonVma(w);
      w.heap[w.avc + AVC.sameVmaNext] = edge;
    },
    kind: 'rmap-miss',
    signatures: ['anon_vma chain: the chain spans two roots'],
  },
  {
    what: 'an anon_vma without a chain',
    corrupt: (w) => (w.heap[w.vma + VMA.avcFirst] = 0),
    kind: 'vma-tree',
    signatures: [
      'vma tree: anon_vma and chain disagree',
      'anon_vma chain: no edge to its own anon_vma',
      "rmap walk misses an entry: the VMA has no edge to the page's anon_vma",
    ],
  },
  {
    what: 'a VMA of another mm',
    corrupt: (w) => (w.heap[w.vma + VMA.mm] = Number(w.mm) + 1),
    kind: 'vma-tree',
    signatures: ['vma tree: a VMA belongs to another mm'],
  },
  {
    what: 'ranges that overlap',
    corrupt: (w) => {
      const vma = secondVma(w);
      const entry = w.heap[w.mm + MM.vmaTree] + VMA_NODE.entries + VMA_NODE_ENTRY_WORDS;
      w.heap[entry] = 10;
      w.heap[vma + VMA.start] = 10;
      w.heap[vma + VMA.pgoff] = 10;
      w.heap[w.heap[vma + VMA.avcFirst] + AVC.pgoff] = 10;
      w.heap[w.mm + MM.totalVm] += 2;
      w.heap[w.mm + MM.dataVm] += 2;
    },
    kind: 'vma-tree',
    signatures: ['vma tree: ranges overlap or are empty'],
  },
  {
    what: 'a table that is linked twice',
    corrupt: (w) => {
      const pmd = w.heap.indexOf(w.pteTable, w.heap[w.mm + MM.pgd]);
      w.heap[pmd + 1] = w.pteTable;
      w.heap[w.pte] = 0;
      w.heap[w.mm + MM.anonPages] = 0;
      slabFree(w.heap, 0, CACHES.frame, page(w));
    },
    kind: 'page-table',
    signatures: ['page table linked twice'],
  },
  {
    what: 'a table at a wrong level',
    corrupt: (w) => (w.heap[w.pteTable + TABLE.level] = 2),
    kind: 'page-table',
    signatures: ['table level'],
  },
  {
    what: 'a KSM page that is exclusive',
    corrupt: (w) => {
      w.heap[page(w) + PAGE.mapping] = 3;
      w.heap[w.vma + VMA.flags] |= VM_MERGEABLE;
      w.heap[w.pte] = makePte(w.pfn, 0);
    },
    kind: 'exclusive',
    signatures: ['KSM page is exclusive'],
  },
  {
    what: 'a TLB allows more than the table',
    corrupt: (w) => {
      w.heap[page(w) + PAGE.flags] &= ~PG_anonExclusive;
      w.heap[w.pte] = makePte(w.pfn, 0);
      cache(w, makePte(w.pfn, PTE_WRITE));
    },
    kind: 'stale-tlb',
    signatures: ['TLB entry allows writing, the table does not'],
  },
  {
    what: 'a TLB translates what is no longer mapped',
    corrupt: (w) => {
      cache(w, makePte((w.pfn + 1) as Pfn, 0));
    },
    kind: 'stale-tlb',
    signatures: ['TLB entry without a table entry'],
  },
];

/** A second edge of the same VMA range, not linked anywhere. */
function secondAvc(w: ForgedWorld): number {
  const avc = slabAlloc(w.heap, 0, CACHES.anonVmaChain);
  w.heap.copyWithin(avc, w.avc, w.avc + 12);
  w.heap[avc + AVC.stamp] = 2;
  w.heap[avc + AVC.rbLeft] = 0;
  return avc;
}

/** A root anon_vma that no VMA uses. */
function forgeAnonVma(w: ForgedWorld): number {
  const anonVma = slabAlloc(w.heap, 0, CACHES.anonVma);
  w.heap.fill(0, anonVma, anonVma + 24);
  w.heap[anonVma + ANON_VMA.root] = anonVma;
  w.heap[anonVma + ANON_VMA.parent] = anonVma;
  return anonVma;
}

/** A second VMA [12, 16) of the same process with the same anon_vma. */
export function secondVma(w: ForgedWorld): number {
  const { heap } = w;
  const vma = slabAlloc(heap, 0, CACHES.vma);
  heap.copyWithin(vma, w.vma, w.vma + 12);
  heap[vma + VMA.start] = 12;
  heap[vma + VMA.end] = 16;
  heap[vma + VMA.pgoff] = 12;
  const avc = secondAvc(w);
  heap[avc + AVC.vma] = vma;
  heap[avc + AVC.pgoff] = 12;
  heap[avc + AVC.last] = 15;
  heap[avc + AVC.subtreeLast] = 15;
  heap[avc + AVC.rbParent] = w.avc;
  heap[w.avc + AVC.rbRight] = avc;
  heap[w.avc + AVC.subtreeLast] = 15;
  heap[vma + VMA.avcFirst] = avc;
  heap[w.anonVma + ANON_VMA.numActiveVmas] = 2;
  heap[w.mm + MM.totalVm] += 4;
  heap[w.mm + MM.dataVm] += 4;
  const node = heap[w.mm + MM.vmaTree];
  heap[node + VMA_NODE.count] = 2;
  const entry = node + VMA_NODE.entries + VMA_NODE_ENTRY_WORDS;
  heap[entry] = 12;
  heap[entry + 1] = 16;
  heap[entry + 2] = vma;
  heap[w.mm + MM.mapCount] = 2;
  return vma;
}

/** Loads a translation of the page into CPU 1's TLB. */
function cache({ heap, mm, vpn }: ForgedWorld, pte: number): void {
  const slot = tlbSlot(heap, 1, vpn);
  heap[slot + TLB_ENTRY.asid] = heap[mm + MM.asid];
  heap[slot + TLB_ENTRY.vpn] = vpn;
  heap[slot + TLB_ENTRY.pte] = pte;
}
