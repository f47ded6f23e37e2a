/**
 * What /proc would show of the simulated processes: their VMAs and present pages, read from the arena through the
 * layouts alone, so that no mistake of the simulated kernel can hide behind the functions that made it. Quiescent machine
 * only. An observation is one step for the scheduler.
 *
 * Kernel: /proc/PID/maps, smaps, pagemap, /proc/kpagecount.
 */

import type { Heap } from '../arena/heap.ts';
import { slabGeneration } from '../arena/slab.ts';
import type { Access } from '../base/sim.ts';
import {
  NO_ADDRESS_SPACE,
  NO_TABLE,
  type MmPtr,
  type PageTablePtr,
  type PteVal,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { mmPgd, mmVmaTree } from '../layout/mm.ts';
import {
  PG_anonExclusive,
  mappingIsAnon,
  mappingIsKsm,
  pageAt,
  pageContent,
  readOncePageFlags,
  readOncePageMapcount,
  readOncePageMapping,
  zeroPfn,
} from '../layout/page.ts';
import {
  ENTRIES_PER_TABLE,
  LEVEL_PGD,
  LEVEL_PMD,
  LEVEL_PTE,
  LEVEL_PUD,
  entryAt,
  readOncePte,
  readOnceTableEntry,
} from '../layout/pageTable.ts';
import { pteIsHuge, pteIsNone, pteIsPresent, ptePfn } from '../layout/pte.ts';
import {
  VM_ACCOUNT,
  VM_DONTCOPY,
  VM_EXEC,
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MERGEABLE,
  VM_NORESERVE,
  VM_RAND_READ,
  VM_READ,
  VM_SEALED,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
  vmaEnd,
  vmaFile,
  vmaFlags,
  vmaPgoff,
  vmaStart,
} from '../layout/vma.ts';
import { vmaNodeCount, vmaNodeVma } from '../layout/vmaNode.ts';
import { FLAG_NAMES, WINDOW_PAGES, type VmaState } from './traceFormat.ts';

/** A present page. `frame` tells one use of a page frame from another; null for the zero page. */
export interface ObservedPage {
  readonly page: number;
  readonly frame: string | null;
  readonly mapcount: number;
  readonly letters: string;
  readonly stamp: number;
}

/** A VMA; `object` tells one use of an object from another, null for private anonymous memory. */
export interface ObservedVma extends Omit<VmaState, 'object'> {
  readonly object: string | null;
}

export interface ObservedProcess {
  readonly vmas: readonly ObservedVma[];
  readonly pages: readonly ObservedPage[];
  /** Pages whose entry is neither present nor empty: at rest there must be none. */
  readonly leftovers: readonly number[];
}

const FLAG_BITS: Readonly<Record<(typeof FLAG_NAMES)[number], number>> = {
  lo: VM_LOCKED,
  lf: VM_LOCKONFAULT,
  mg: VM_MERGEABLE,
  dc: VM_DONTCOPY,
  wf: VM_WIPEONFORK,
  sl: VM_SEALED,
  ac: VM_ACCOUNT,
  nr: VM_NORESERVE,
  ht: VM_HUGETLB,
  sr: VM_SEQ_READ,
  rr: VM_RAND_READ,
};

/** Everything observable of one address space. */
export function observeProcess(heap: Heap, mm: MmPtr): Access<ObservedProcess> {
  const pages: ObservedPage[] = [];
  const leftovers: number[] = [];
  for (let block = 0; block < WINDOW_PAGES; block += ENTRIES_PER_TABLE) {
    const table = findPteTable(heap, mm, block as Vpn);
    const pte = table as number as PteVal;
    // The PMD entry maps a huge page in place of a table.
    if (pteIsHuge(pte)) observeEntry(heap, block, pte, pages, leftovers);
    else if (table !== NO_TABLE) observeTable(heap, table, block, pages, leftovers);
  }
  return { vmas: observeVmas(heap, mm), pages, leftovers };
}

function observeVmas(heap: Heap, mm: MmPtr): Access<ObservedVma[]> {
  const node = mmVmaTree(heap, mm);
  const vmas: ObservedVma[] = [];
  const count = node === 0 ? 0 : vmaNodeCount(heap, node);
  for (let i = 0; i < count; i++) vmas.push(observeVma(heap, vmaNodeVma(heap, node, i)));
  return vmas;
}

function observeVma(heap: Heap, vma: VmaPtr): Access<ObservedVma> {
  const flags = vmaFlags(heap, vma);
  const file = vmaFile(heap, vma);
  const letter = (bit: number, name: string): string => ((flags & bit) !== 0 ? name : '-');
  const shared = (flags & VM_SHARED) !== 0 ? 's' : 'p';
  return {
    start: vmaStart(heap, vma),
    end: vmaEnd(heap, vma),
    perms: `${letter(VM_READ, 'r')}${letter(VM_WRITE, 'w')}${letter(VM_EXEC, 'x')}${shared}`,
    flags: FLAG_NAMES.filter((name) => (flags & FLAG_BITS[name]) !== 0).join(' '),
    object: file === NO_ADDRESS_SPACE ? null : `${file}.${slabGeneration(heap, file)}`,
    offset: file === NO_ADDRESS_SPACE ? null : vmaPgoff(heap, vma),
  };
}

function findPteTable(heap: Heap, mm: MmPtr, vpn: Vpn): Access<PageTablePtr> {
  let table = mmPgd(heap, mm);
  for (const level of [LEVEL_PGD, LEVEL_PUD, LEVEL_PMD]) {
    if (table === NO_TABLE) return NO_TABLE;
    table = readOnceTableEntry(heap, entryAt(table, vpn, level));
  }
  return table;
}

function observeTable(
  heap: Heap,
  table: PageTablePtr,
  block: number,
  pages: ObservedPage[],
  leftovers: number[],
): Access<void> {
  for (let page = block; page < block + ENTRIES_PER_TABLE; page++) {
    const pte = readOncePte(heap, entryAt(table, page as Vpn, LEVEL_PTE));
    if (!pteIsNone(pte)) observeEntry(heap, page, pte, pages, leftovers);
  }
}

function observeEntry(heap: Heap, page: number, pte: PteVal, pages: ObservedPage[], leftovers: number[]): Access<void> {
  if (pteIsPresent(pte)) pages.push(observePage(heap, page, pte));
  else leftovers.push(page);
}

function observePage(heap: Heap, page: number, pte: PteVal): Access<ObservedPage> {
  const pfn = ptePfn(pte);
  if (pfn === zeroPfn(heap)) return { page, frame: null, mapcount: 0, letters: '', stamp: 0 };
  const mapcount = readOncePageMapcount(heap, pfn);
  const mapping = readOncePageMapping(heap, pfn);
  const isKsm = mappingIsKsm(mapping);
  const isExclusive = (readOncePageFlags(heap, pfn) & PG_anonExclusive) !== 0;
  return {
    page,
    // A frame that becomes a KSM page counts as a new one.
    frame: `${pfn}.${slabGeneration(heap, pageAt(heap, pfn))}${isKsm ? 'k' : ''}`,
    mapcount,
    letters: `${mapcount === 1 ? 'x' : ''}${isExclusive ? 'e' : ''}${isKsm ? 'k' : ''}${mappingIsAnon(mapping) ? '' : 's'}${pteIsHuge(pte) ? 'h' : ''}`,
    stamp: pageContent(heap, pfn, 0),
  };
}
