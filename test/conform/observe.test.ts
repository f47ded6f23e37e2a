import { beforeEach, describe, expect, it } from 'vitest';
import { CACHES, HEADER } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { slabAlloc, slabFree } from '../../src/arena/slab.ts';
import { observeProcess } from '../../src/conform/observe.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import type { MmPtr, PageTablePtr, Pfn, VmaNodePtr, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { clearMm, setMmPgd, setMmVmaTree } from '../../src/layout/mm.ts';
import {
  MAPPING_ANON,
  PG_anonExclusive,
  pageAt,
  pfnAt,
  setPageContent,
  setPageFlags,
  setPageMapcount,
  writeOncePageMapping,
} from '../../src/layout/page.ts';
import { LEVEL_PGD, entryAt, initTable, writeOncePte, writeOnceTableEntry } from '../../src/layout/pageTable.ts';
import { PTE_TYPE_MIGRATION_READ, makeNonPresentPte, makePte } from '../../src/layout/pte.ts';
import {
  VM_ACCOUNT,
  VM_NORESERVE,
  VM_READ,
  VM_WRITE,
  setVmaEnd,
  setVmaFlags,
  setVmaStart,
} from '../../src/layout/vma.ts';
import { setVmaNodeCount, setVmaNodeEntry } from '../../src/layout/vmaNode.ts';

/** An address space made by hand: one VMA of pages 510 .. 519, so that it spans two page tables. */
let heap: Heap;
let mm: MmPtr;

function addVma(start: number, end: number, flags: number): void {
  const vma = slabAlloc(heap, 0, CACHES.vma) as VmaPtr;
  const node = slabAlloc(heap, 0, CACHES.vmaNode16) as VmaNodePtr;
  setVmaStart(heap, vma, start as Vpn);
  setVmaEnd(heap, vma, end as Vpn);
  setVmaFlags(heap, vma, flags);
  setVmaNodeCount(heap, node, 1);
  setVmaNodeEntry(heap, node, 0, start as Vpn, end as Vpn, vma);
  setMmVmaTree(heap, mm, node);
}

function newTable(level: number): PageTablePtr {
  const table = slabAlloc(heap, 0, CACHES.pageTable) as PageTablePtr;
  initTable(heap, table, level, mm, 0 as Vpn);
  return table;
}

function newPage(stamp: number, flags: number): Pfn {
  const pfn = pfnAt(heap, slabAlloc(heap, 0, CACHES.frame));
  setPageFlags(heap, pfn, flags);
  setPageMapcount(heap, pfn, 1);
  writeOncePageMapping(heap, pfn, MAPPING_ANON);
  setPageContent(heap, pfn, 0, stamp);
  return pfn;
}

beforeEach(() => {
  heap = createMachine(SMALL_MACHINE);
  heap[HEADER.zeroPfn] = pfnAt(heap, slabAlloc(heap, 0, CACHES.frame));
  mm = slabAlloc(heap, 0, CACHES.mm) as MmPtr;
  clearMm(heap, mm, 1);
});

describe('observeProcess', () => {
  it('an address space without page tables and VMAs is empty', () => {
    expect(observeProcess(heap, mm)).toEqual({ vmas: [], pages: [], leftovers: [] });
  });

  it('VMAs with permissions and mnemonics in the order of the format', () => {
    addVma(510, 520, VM_READ | VM_WRITE | VM_NORESERVE | VM_ACCOUNT);
    const vma = { start: 510, end: 520, perms: 'rw-p', flags: 'ac nr', object: null, offset: null };
    expect(observeProcess(heap, mm).vmas).toEqual([vma]);
  });

  it('present pages of each table, the zero page, and what should not be there', () => {
    let table = newTable(LEVEL_PGD);
    setMmPgd(heap, mm, table);
    for (let level = LEVEL_PGD; level > 1; level--) {
      const next = newTable(level - 1);
      writeOnceTableEntry(heap, entryAt(table, 0 as Vpn, level), next);
      table = next;
    }
    const [low, high] = [newTable(0), newTable(0)];
    writeOnceTableEntry(heap, entryAt(table, 0 as Vpn, 1), low);
    writeOnceTableEntry(heap, entryAt(table, 512 as Vpn, 1), high);
    const pfn = newPage(64, PG_anonExclusive);
    const zero = heap[HEADER.zeroPfn] as Pfn;
    writeOncePte(heap, entryAt(low, 511 as Vpn, 0), makePte(pfn, 0));
    writeOncePte(heap, entryAt(high, 512 as Vpn, 0), makePte(zero, 0));
    writeOncePte(heap, entryAt(high, 514 as Vpn, 0), makeNonPresentPte(PTE_TYPE_MIGRATION_READ, pfn, 0));
    const { pages, leftovers } = observeProcess(heap, mm);
    expect(pages).toEqual([
      { page: 511, frame: expect.any(String) as string, mapcount: 1, letters: 'xe', stamp: 64 },
      { page: 512, frame: null, mapcount: 0, letters: '', stamp: 0 },
    ]);
    expect(leftovers).toEqual([514]);

    // The same frame number in its next use is another frame.
    slabFree(heap, 0, CACHES.frame, pageAt(heap, pfn));
    expect(newPage(65, 0)).toBe(pfn);
    expect(observeProcess(heap, mm).pages[0].frame).not.toBe(pages[0].frame);
  });
});
