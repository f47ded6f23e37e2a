/**
 * Entries of huge pages: they stand in PMD tables, under the lock of these, and have the format of other entries with PTE_HUGE.
 *
 * Kernel: huge_pte_alloc(), hugetlb_walk(), huge_pte_lock(), huge_ptep_clear_flush() in mm/hugetlb.c and arch/x86. Not modelled:
 * sharing of PMD tables between processes.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, type MmPtr, type PageTablePtr, type PtePtr, type PteVal, type Vpn } from '../layout/ids.ts';
import { HUGE_PAGES } from '../layout/page.ts';
import { LEVEL_PMD, entryAt, tableLock } from '../layout/pageTable.ts';
import { pteIsAccessible } from '../layout/pte.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { findTable, pmdAlloc } from './pageTable.ts';
import { ptepGetAndClear } from './pteAccess.ts';
import { flushTlbRange } from './tlbFlush.ts';

/** Where the entry of a huge page stands. */
export interface HugeEntry {
  readonly mm: MmPtr;
  /** First page. */
  readonly vpn: Vpn;
  /** The PMD table, whose lock guards the entry; 0 when there is none. */
  readonly pmd: PageTablePtr;
  readonly pte: PtePtr;
}

/** First page of the huge page around `vpn`. */
export function hugeStart(vpn: Vpn): Vpn {
  return (vpn - (vpn % HUGE_PAGES)) as Vpn;
}

/** hugetlb_walk(): the place of the entry for `vpn`; pmd is 0 if there is no table for it. */
export function hugetlbWalk(task: Task, mm: MmPtr, vpn: Vpn): Sim<HugeEntry> {
  const pmd = findTable(task, mm, vpn, LEVEL_PMD);
  return { mm, vpn: hugeStart(vpn), pmd, pte: pmd === NO_TABLE ? (0 as PtePtr) : entryAt(pmd, vpn, LEVEL_PMD) };
}

/** huge_pte_alloc(): the same, with tables allocated; pmd is 0 without memory. */
export function hugePteAlloc(task: Task, mm: MmPtr, vpn: Vpn): Sim<HugeEntry> {
  const pmd = pmdAlloc(task, mm, vpn);
  return { mm, vpn: hugeStart(vpn), pmd, pte: pmd === NO_TABLE ? (0 as PtePtr) : entryAt(pmd, vpn, LEVEL_PMD) };
}

/** huge_pte_lock(). */
export function hugePteLock(task: Task, entry: HugeEntry, subclass = 0): Sim<void> {
  spinLock(task, tableLock(entry.pmd), subclass);
}

/** Releases hugePteLock. */
export function hugePteUnlock(task: Task, entry: HugeEntry): Sim<void> {
  spinUnlock(task, tableLock(entry.pmd));
}

/** huge_ptep_clear_flush(): when it returns no CPU translates through the old entry. @locked the entry's lock */
export function hugePtepClearFlush(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr): Sim<PteVal> {
  const old = ptepGetAndClear(task, mm, vpn, pte);
  if (pteIsAccessible(old)) flushTlbRange(task, mm, vpn, (vpn + HUGE_PAGES) as Vpn);
  return old;
}
