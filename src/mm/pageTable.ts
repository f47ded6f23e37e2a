/**
 * Page tables: finding, allocating and freeing them.
 *
 * Lock order here: mm->page_table_lock, ptlock(pmd): each alone, around the store that links a new table.
 *
 * Invariants
 *   TABLE-1  A table is linked only under the lock of its parent's level (pmd: the PMD table's own; above:
 *            page_table_lock), and only into an empty entry: of two that allocate at once one frees its table again.
 *   TABLE-2  Tables are unlinked without any lock, which is right only because their VMAs were zapped, cannot be faulted
 *            on and are unlinked from the rmap; they are freed after a TLB flush and a grace period.
 *
 * Kernel: mm/memory.c (__pte_alloc, __pmd_alloc, __pud_alloc, free_pgd_range). Not modelled: p4d, huge entries,
 * freeing of empty PTE tables on MADV_DONTNEED.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, type MmPtr, type PageTablePtr, type SpinLockPtr, type Vpn } from '../layout/ids.ts';
import { CLASS_PMD_LOCK, CLASS_PTE_LOCK } from '../layout/lockClass.ts';
import { atomicAddMmPgtables, mmPageTableLock, mmPgd, setMmPgd } from '../layout/mm.ts';
import {
  LEVEL_PGD,
  LEVEL_PMD,
  LEVEL_PTE,
  LEVEL_PUD,
  entryAt,
  initTable,
  pagesPerEntry,
  readOnceTableEntry,
  tableLock,
  writeOnceTableEntry,
} from '../layout/pageTable.ts';
import { spinLock, spinLockInit, spinUnlock } from '../locks/spinLock.ts';
import { tlbRemoveTable, type MmuGather } from './mmuGather.ts';

/** First page beyond the address space that entries can describe. */
const ADDRESS_SPACE_END = 2 ** 31;

/**
 * Walks down to the table of `level` that covers `vpn`, without locks. Who holds mmapLock, the VMA or the rmap lock knows that tables
 * above the PTE level stay; others must be inside RCU.
 * @returns the table or 0
 */
export function findTable(task: Task, mm: MmPtr, vpn: Vpn, level: number): Sim<PageTablePtr> {
  const { heap } = task;
  let table = mmPgd(heap, mm);
  for (let at = LEVEL_PGD; at > level && table !== NO_TABLE; at--) {
    table = readOnceTableEntry(heap, entryAt(table, vpn, at));
  }
  // A huge page has no table below.
  return table < NO_TABLE ? NO_TABLE : table;
}

/** First page from `vpn` on that has a PTE table, `end` when there is none before it: how walkers skip holes. */
export function nextPteTable(task: Task, mm: MmPtr, vpn: Vpn, end: Vpn): Sim<Vpn> {
  const { heap } = task;
  const pgd = mmPgd(heap, mm);
  let at = vpn;
  while (at < end) {
    let table = pgd;
    let level = LEVEL_PGD;
    while (level > LEVEL_PTE) {
      table = readOnceTableEntry(heap, entryAt(table, at, level));
      if (table <= NO_TABLE) break;
      level--;
    }
    if (level === LEVEL_PTE) return at;
    at = nextBoundary(at, level);
  }
  return end;
}

/** pmd_addr_end() and kin: end of the range that the entry of `level` covering `vpn` maps. */
export function nextBoundary(vpn: Vpn, level: number): Vpn {
  const span = pagesPerEntry(level);
  return ((Math.floor(vpn / span) + 1) * span) as Vpn;
}

/** pte_alloc(): the PTE table of `vpn`, allocating what is missing above it; 0 = no memory. May sleep. */
export function pteAlloc(task: Task, mm: MmPtr, vpn: Vpn): Sim<PageTablePtr> {
  return tableAlloc(task, mm, vpn, LEVEL_PTE);
}

/** pmd_alloc(): as pteAlloc, for the PMD table. */
export function pmdAlloc(task: Task, mm: MmPtr, vpn: Vpn): Sim<PageTablePtr> {
  return tableAlloc(task, mm, vpn, LEVEL_PMD);
}

/** pud_alloc(): as pteAlloc, for the PUD table. */
export function pudAlloc(task: Task, mm: MmPtr, vpn: Vpn): Sim<PageTablePtr> {
  return tableAlloc(task, mm, vpn, LEVEL_PUD);
}

/** pgd_alloc(): gives a new mm its top table. Returns 0 or -ENOMEM. */
export function pgdAlloc(task: Task, mm: MmPtr): Sim<number> {
  const pgd = kmemCacheAlloc(task, CACHES.pageTable) as PageTablePtr;
  if (pgd === NO_TABLE) return -ENOMEM;
  initTable(task.heap, pgd, LEVEL_PGD, mm, 0 as Vpn);
  setMmPgd(task.heap, mm, pgd);
  atomicAddMmPgtables(task.heap, mm, 1);
  return 0;
}

/** pgd_free(): the mm has no user left; all other tables are gone. */
export function pgdFree(task: Task, mm: MmPtr): Sim<void> {
  const pgd = mmPgd(task.heap, mm);
  const left = atomicAddMmPgtables(task.heap, mm, -1);
  assert(left === 0, 'an address space ends before its page tables');
  setMmPgd(task.heap, mm, NO_TABLE);
  if (task.check !== null) task.check.tableFreed(task, pgd);
  kmemCacheFree(task, CACHES.pageTable, pgd);
}

/**
 * free_pgd_range(): unlinks into the gather every table that maps only pages of [floor, ceiling) and some of [start, end). `ceiling`
 * 0 means the end of the address space.
 * @locked mmapLock (read is enough once the VMAs are detached); VMAs of the range zapped and unlinked from the rmap
 */
export function freePgtables(
  task: Task,
  tlb: MmuGather,
  mm: MmPtr,
  start: Vpn,
  end: Vpn,
  floor: Vpn,
  ceiling: Vpn,
): Sim<void> {
  const top = (ceiling === 0 ? ADDRESS_SPACE_END : ceiling) as Vpn;
  freeTablesBelow(task, tlb, mm, mmPgd(task.heap, mm), LEVEL_PGD, start, end, floor, top);
}

/** free_pud_range(), free_pmd_range(), free_pte_range(): children of `table`, which is of `level`. */
function freeTablesBelow(
  task: Task,
  tlb: MmuGather,
  mm: MmPtr,
  table: PageTablePtr,
  level: number,
  start: Vpn,
  end: Vpn,
  floor: Vpn,
  ceiling: Vpn,
): Sim<void> {
  const { heap } = task;
  const span = pagesPerEntry(level);
  let next: Vpn;
  for (let at = start; at < end; at = next) {
    next = nextBoundary(at, level);
    const entry = entryAt(table, at, level);
    const child = readOnceTableEntry(heap, entry);
    if (child === NO_TABLE) continue;
    assert(child > NO_TABLE, 'a table is freed under a huge page');
    if (level > LEVEL_PMD) {
      freeTablesBelow(task, tlb, mm, child, level - 1, at, next < end ? next : end, floor, ceiling);
    }
    // A neighbour outside [floor, ceiling) may still use the table.
    if (next - span < floor || next > ceiling) continue;
    writeOnceTableEntry(heap, entry, NO_TABLE);
    tlbRemoveTable(tlb, child, at);
    atomicAddMmPgtables(heap, mm, -1);
  }
}

/** Walks down to the table of `level` for `vpn` and makes the missing ones; 0 = no memory. */
function tableAlloc(task: Task, mm: MmPtr, vpn: Vpn, level: number): Sim<PageTablePtr> {
  const { heap } = task;
  let table = mmPgd(heap, mm);
  for (let at = LEVEL_PGD; at > level; at--) {
    const entry = entryAt(table, vpn, at);
    const child = readOnceTableEntry(heap, entry);
    assert(child >= NO_TABLE, 'a table where a huge page is mapped');
    table = child === NO_TABLE ? linkNewTable(task, mm, table, at, vpn) : child;
    if (table === NO_TABLE) return NO_TABLE;
  }
  return table;
}

/** __pte_alloc(), __pmd_alloc(), __pud_alloc(): fills the entry for `vpn` of `parent`, which is of `level`. */
function linkNewTable(task: Task, mm: MmPtr, parent: PageTablePtr, level: number, vpn: Vpn): Sim<PageTablePtr> {
  const { heap } = task;
  const table = kmemCacheAlloc(task, CACHES.pageTable) as PageTablePtr;
  if (table === NO_TABLE) return NO_TABLE;
  const span = pagesPerEntry(level);
  initTable(heap, table, level - 1, mm, (Math.floor(vpn / span) * span) as Vpn);
  if (level === LEVEL_PMD) spinLockInit(heap, tableLock(table), CLASS_PTE_LOCK);
  if (level === LEVEL_PUD) spinLockInit(heap, tableLock(table), CLASS_PMD_LOCK);
  const lock = entryLock(mm, parent, level);
  const entry = entryAt(parent, vpn, level);
  spinLock(task, lock);
  const winner = readOnceTableEntry(heap, entry);
  if (winner === NO_TABLE) {
    atomicAddMmPgtables(heap, mm, 1);
    task.check?.guardedWrite(task, 'tableEntry', parent);
    writeOnceTableEntry(heap, entry, table);
  }
  spinUnlock(task, lock);
  if (winner === NO_TABLE) return table;
  kmemCacheFree(task, CACHES.pageTable, table);
  return winner;
}

/** Lock that guards the entries of `table`. */
function entryLock(mm: MmPtr, table: PageTablePtr, level: number): SpinLockPtr {
  return level === LEVEL_PMD ? tableLock(table) : mmPageTableLock(mm);
}
