/**
 * A page-table page: its lock and bookkeeping, then 512 entries. Four levels: pgd (3), pud (2), pmd (1), pte (0).
 *
 * Guards: entries of level 0 under the table's own ptl; of level 1 under the pmd table's lock; above under
 * mm->page_table_lock. Entries have lockless readers (hardware walker, GUP-fast, the peek of page_vma_mapped_walk), so
 * they are always accessed marked. An upper entry is the PageTablePtr of the next table, 0 when there is none.
 */

import { cas, fetchAnd, loadAcquire, readOnce, store, storeRelease, writeOnce, xchg } from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import { BEFORE_PUBLICATION, type FieldGuard, type GuardTable } from './guard.ts';
import type { MmPtr, PageTablePtr, PtePtr, PteVal, SpinLockPtr, Vpn } from './ids.ts';
import { SPIN_WORDS } from './lockWords.ts';

export const ENTRIES_PER_TABLE = 512;
export const TABLE_BITS = 9;
export const LEVEL_PTE = 0;
export const LEVEL_PMD = 1;
export const LEVEL_PUD = 2;
export const LEVEL_PGD = 3;

/** mm and base (first vpn of the range it maps) are for observers and assertions; they move with PMD-level moves. */
export const TABLE = { lock: 0, level: SPIN_WORDS, mm: SPIN_WORDS + 1, base: SPIN_WORDS + 2, entries: 8 } as const;
export const PAGE_TABLE_WORDS = TABLE.entries + ENTRIES_PER_TABLE;
export const PAGE_TABLE_TABLE = fieldTable('page_table', TABLE, PAGE_TABLE_WORDS);

/**
 * Entries of a pte table change under its lock; hardware sets A and D by a compare-and-swap. Upper entries are installed under
 * the lock of their level and cleared by free_pgtables under any mmap lock: what they lead to is unreachable by then.
 */
export const PAGE_TABLE_GUARDS: GuardTable<typeof TABLE> = {
  level: { write: BEFORE_PUBLICATION },
  mm: { write: BEFORE_PUBLICATION },
  entries: { write: [['own lock']] },
};
export const UPPER_ENTRY_GUARD: FieldGuard = { write: [['own lock'], ['page_table_lock'], ['any mmap']] };

/** Pages that one entry of `level` covers: 1, 512, 2^18, 2^27. */
export function pagesPerEntry(level: number): number {
  return 2 ** (TABLE_BITS * level);
}

/** Index of the entry for `vpn` in a table of `level`. */
export function tableIndex(vpn: Vpn, level: number): number {
  return (vpn >>> (TABLE_BITS * level)) & (ENTRIES_PER_TABLE - 1);
}

/** Address of the entry for `vpn` in `table` (of `level`). */
export function entryAt(table: PageTablePtr, vpn: Vpn, level: number): PtePtr {
  return (table + TABLE.entries + tableIndex(vpn, level)) as PtePtr;
}

/** The table's lock (ptl of a pte table, pmd lock of a pmd table). */
export function tableLock(table: PageTablePtr): SpinLockPtr {
  return (table + TABLE.lock) as SpinLockPtr;
}

/** Initialises a fresh table: all entries none. One step: nobody can reach it yet. */
export function initTable(heap: Heap, table: PageTablePtr, level: number, mm: MmPtr, base: Vpn): Access<void> {
  heap.fill(0, table, table + PAGE_TABLE_WORDS);
  store(heap, table + TABLE.level, level);
  store(heap, table + TABLE.mm, mm);
  heap[table + TABLE.base] = base;
}

/** Records that a table moved to another range (PMD-level move). */
export function setTableBase(heap: Heap, table: PageTablePtr, base: Vpn): Access<void> {
  store(heap, table + TABLE.base, base);
}

/** Lockless or locked read of an entry. */
export function readOncePte(heap: Heap, pte: PtePtr): Access<PteVal> {
  return readOnce(heap, pte) as PteVal;
}

/** set_pte_at(): the ptl is held. */
export function writeOncePte(heap: Heap, pte: PtePtr, value: PteVal): Access<void> {
  writeOnce(heap, pte, value);
}

/** ptep_get_and_clear() and kin: hardware may set A and D until the swap. Returns the old entry. */
export function xchgPte(heap: Heap, pte: PtePtr, value: PteVal): Access<PteVal> {
  return xchg(heap, pte, value) as PteVal;
}

/** try_cmpxchg on an entry; returns what it was. */
export function cmpxchgPte(heap: Heap, pte: PtePtr, expected: PteVal, desired: PteVal): Access<PteVal> {
  return cas(heap, pte, expected, desired) as PteVal;
}

/** Clears flag bits in an entry (ptep_set_wrprotect, ptep_test_and_clear_young); returns the old entry. */
export function atomicClearPteFlags(heap: Heap, pte: PtePtr, flags: number): Access<PteVal> {
  return fetchAnd(heap, pte, ~flags) as PteVal;
}

/**
 * Entry of an upper level: the next table or 0. What was in the table when it was installed is seen: in the kernel by the address
 * dependency of a lockless walk.
 */
export function readOnceTableEntry(heap: Heap, entry: PtePtr): Access<PageTablePtr> {
  return loadAcquire(heap, entry) as PageTablePtr;
}

/** Installs or clears an upper entry (pmd_populate behind the smp_wmb() of pmd_install, pmd_clear): the level's lock is held. */
export function writeOnceTableEntry(heap: Heap, entry: PtePtr, table: PageTablePtr): Access<void> {
  storeRelease(heap, entry, table);
}
