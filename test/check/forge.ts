/**
 * A tiny world made by hand, word by word, without a line of the simulated kernel: one process, one VMA of four pages, one
 * anon_vma, tables down to one pte table, one page mapped at the VMA's second page. It is consistent; tests break it.
 *
 *   vpn   8 9 10 11        VMA [8, 12) pgoff 8
 *           P              P = an anonymous page, exclusive, writable, index 9
 */

import { CACHES, HEADER } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { slabAlloc } from '../../src/arena/slab.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { ledgerWords } from '../../src/check/ledger.ts';
import { ANON_VMA, AVC, initAvc } from '../../src/layout/anonVma.ts';
import type { AnonVmaPtr, AvcPtr, MmPtr, PageTablePtr, Pfn, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { MM, clearMm } from '../../src/layout/mm.ts';
import { PAGE, PG_anonExclusive, PG_lru, makeAnonMapping, pageAt, pfnAt } from '../../src/layout/page.ts';
import { LEVEL_PGD, TABLE, entryAt, initTable, tableIndex } from '../../src/layout/pageTable.ts';
import { PTE_DIRTY, PTE_WRITE, PTE_YOUNG, makePte } from '../../src/layout/pte.ts';
import { VMA, VMA_WORDS, VM_READ, VM_WRITE } from '../../src/layout/vma.ts';
import { setVmaNodeCapacity, setVmaNodeCount, setVmaNodeEntry } from '../../src/layout/vmaNode.ts';
import type { VmaNodePtr } from '../../src/layout/ids.ts';

export interface ForgedWorld {
  readonly heap: Heap;
  readonly mm: MmPtr;
  readonly vma: VmaPtr;
  readonly anonVma: AnonVmaPtr;
  readonly avc: AvcPtr;
  readonly pteTable: PageTablePtr;
  readonly pfn: Pfn;
  readonly vpn: Vpn;
  /** Word index of the page's entry. */
  readonly pte: number;
}

const START = 8 as Vpn;
const END = 12 as Vpn;
const VPN = 9 as Vpn;
const ASID = 7;

/** Builds the world. */
export function forgeWorld(): ForgedWorld {
  const heap = createMachine({ ...SMALL_MACHINE, userWords: ledgerWords(SMALL_MACHINE.frames) });
  heap[HEADER.zeroPfn] = forgeFrame(heap);
  heap[pageAt(heap, heap[HEADER.zeroPfn] as Pfn) + PAGE.refcount] = 1;
  const mm = slabAlloc(heap, 0, CACHES.mm) as MmPtr;
  clearMm(heap, mm, ASID);
  heap[mm + MM.process] = 1;
  heap[mm + MM.users] = 1;
  heap[mm + MM.totalVm] = END - START;
  heap[mm + MM.dataVm] = END - START;
  const { vma, anonVma, avc } = forgeVma(heap, mm);
  forgeTree(heap, mm, vma);
  const pteTable = forgeTables(heap, mm);
  const pfn = forgeAnonPage(heap, anonVma);
  const pte = entryAt(pteTable, VPN, 0);
  heap[pte] = makePte(pfn, PTE_WRITE | PTE_YOUNG | PTE_DIRTY);
  heap[mm + MM.anonPages] = 1;
  return { heap, mm, vma, anonVma, avc, pteTable, pfn, vpn: VPN, pte };
}

function forgeFrame(heap: Heap): Pfn {
  const page = slabAlloc(heap, 0, CACHES.frame);
  heap.fill(0, page, page + Object.keys(PAGE).length);
  return pfnAt(heap, page);
}

/** An anonymous page of `anonVma`, mapped once, at index VPN. */
function forgeAnonPage(heap: Heap, anonVma: AnonVmaPtr): Pfn {
  const pfn = forgeFrame(heap);
  const page = pageAt(heap, pfn);
  heap[page + PAGE.flags] = PG_anonExclusive | PG_lru;
  heap[page + PAGE.refcount] = 1;
  heap[page + PAGE.mapcount] = 1;
  heap[page + PAGE.mapping] = makeAnonMapping(anonVma);
  heap[page + PAGE.index] = VPN;
  return pfn;
}

function forgeVma(heap: Heap, mm: MmPtr): { vma: VmaPtr; anonVma: AnonVmaPtr; avc: AvcPtr } {
  const vma = slabAlloc(heap, 0, CACHES.vma) as VmaPtr;
  heap.fill(0, vma, vma + VMA_WORDS);
  heap[vma + VMA.mm] = mm;
  heap[vma + VMA.start] = START;
  heap[vma + VMA.end] = END;
  heap[vma + VMA.pgoff] = START;
  heap[vma + VMA.flags] = VM_READ | VM_WRITE;
  const anonVma = slabAlloc(heap, 0, CACHES.anonVma) as AnonVmaPtr;
  const avc = slabAlloc(heap, 0, CACHES.anonVmaChain) as AvcPtr;
  initAvc(heap, avc, vma, anonVma);
  heap[avc + AVC.pgoff] = START;
  heap[avc + AVC.last] = END - 1;
  heap[avc + AVC.subtreeLast] = END - 1;
  heap[avc + AVC.stamp] = 1;
  heap[vma + VMA.anonVma] = anonVma;
  heap[vma + VMA.avcFirst] = avc;
  heap[vma + VMA.avcLast] = avc;
  heap[anonVma + ANON_VMA.root] = anonVma;
  heap[anonVma + ANON_VMA.parent] = anonVma;
  heap[anonVma + ANON_VMA.refcount] = 1;
  heap[anonVma + ANON_VMA.numChildren] = 1;
  heap[anonVma + ANON_VMA.numActiveVmas] = 1;
  heap[anonVma + ANON_VMA.rbRoot] = avc;
  return { vma, anonVma, avc };
}

function forgeTree(heap: Heap, mm: MmPtr, vma: VmaPtr): void {
  const node = slabAlloc(heap, 0, CACHES.vmaNode16) as VmaNodePtr;
  setVmaNodeCapacity(heap, node, 16);
  setVmaNodeCount(heap, node, 1);
  setVmaNodeEntry(heap, node, 0, START, END, vma);
  heap[mm + MM.vmaTree] = node;
  heap[mm + MM.mapCount] = 1;
}

function forgeTables(heap: Heap, mm: MmPtr): PageTablePtr {
  let parent = 0;
  let table = 0;
  for (let level = LEVEL_PGD; level >= 0; level--) {
    table = slabAlloc(heap, 0, CACHES.pageTable);
    initTable(heap, table as PageTablePtr, level, mm, 0 as Vpn);
    if (parent === 0) heap[mm + MM.pgd] = table;
    else heap[parent + TABLE.entries + tableIndex(VPN, level + 1)] = table;
    parent = table;
  }
  heap[mm + MM.pgtables] = 4;
  return table as PageTablePtr;
}
