/**
 * Mapping and locking page tables. A mapped PTE table means: inside RCU, so the table may be unlinked but not reused.
 *
 * Lock order here: ptlock(pmd) > ptlock(pte); two of a class only with mmapLock held for write, the second nested.
 *
 * Invariants
 *   PTL-1  After pteOffsetMapLock the pmd entry was seen to hold this table with its ptl held: a table that was moved
 *          away or freed between the look and the lock is never used.
 *
 * Kernel: mm/pgtable-generic.c (pte_offset_map_lock, pte_offset_map_rw_nolock). Not modelled: huge pmds.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, type MmPtr, type PageTablePtr, type Vpn } from '../layout/ids.ts';
import { LEVEL_PMD, entryAt, readOnceTableEntry, tableLock } from '../layout/pageTable.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { findTable } from './pageTable.ts';

/**
 * pte_offset_map(): the PTE table of `vpn` without its lock; entries may change under the caller's eyes.
 * @returns the table (then pteUnmap), or 0 if there is none
 */
export function pteOffsetMap(task: Task, mm: MmPtr, vpn: Vpn): Sim<PageTablePtr> {
  rcuReadLock(task);
  const pmd = findTable(task, mm, vpn, LEVEL_PMD);
  const table = pmd === NO_TABLE ? NO_TABLE : readOnceTableEntry(task.heap, entryAt(pmd, vpn, LEVEL_PMD));
  if (table > NO_TABLE) return table;
  rcuReadUnlock(task);
  return NO_TABLE;
}

/** pte_unmap(): ends pteOffsetMap. */
export function pteUnmap(task: Task): Sim<void> {
  rcuReadUnlock(task);
}

/**
 * pte_offset_map_lock(): maps and locks the PTE table of `vpn`.
 * @returns the table (then pteUnmapUnlock), or 0 if there is none or a huge page in its place
 */
export function pteOffsetMapLock(task: Task, mm: MmPtr, vpn: Vpn): Sim<PageTablePtr> {
  const { heap } = task;
  for (;;) {
    rcuReadLock(task);
    const pmd = findTable(task, mm, vpn, LEVEL_PMD);
    const table = pmd === NO_TABLE ? NO_TABLE : readOnceTableEntry(heap, entryAt(pmd, vpn, LEVEL_PMD));
    if (table <= NO_TABLE) {
      rcuReadUnlock(task);
      return NO_TABLE;
    }
    spinLock(task, tableLock(table));
    if (readOnceTableEntry(heap, entryAt(pmd, vpn, LEVEL_PMD)) === table) return table;
    // Moved to another address while we waited: whoever moved it held this lock or needs none (an empty table).
    pteUnmapUnlock(task, table);
  }
}

/** pte_unmap_unlock(). */
export function pteUnmapUnlock(task: Task, table: PageTablePtr): Sim<void> {
  spinUnlock(task, tableLock(table));
  rcuReadUnlock(task);
}

/** pmd_lock(): locks a PMD table, which guards its entries. */
export function pmdLock(task: Task, table: PageTablePtr): Sim<void> {
  spinLock(task, tableLock(table));
}
