/**
 * Looking for the entry of a page at the address where a VMA should map it. Finds present entries of the page, or, with
 * PVMW_MIGRATION, migration entries that name it.
 *
 * Lock order here: anon_vma lock (caller) > RCU > ptl; a match is returned with the ptl held.
 *
 * Invariants
 *   PVMW-1  What is returned was compared under its ptl.
 *   PVMW-2  Without PVMW_SYNC an entry is first looked at without its ptl, so one that somebody has cleared for a moment is
 *           missed. Who must not miss any asks for PVMW_SYNC and waits for that somebody at the ptl.
 *
 * Kernel: page_vma_mapped_walk() in mm/page_vma_mapped.c. Not modelled: transparent huge entries, large folios (others have
 * one entry in a VMA, so the walk ends behind the first match), device-exclusive entries.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  NO_TABLE,
  type MmPtr,
  type PageTablePtr,
  type Pfn,
  type PtePtr,
  type PteVal,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { PTE_NONE, pteIsMigration, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { VM_HUGETLB, readOnceVmaFlags, vmaMm } from '../layout/vma.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { hugePteLock, hugetlbWalk } from './hugetlbTables.ts';
import { pteOffsetMap, pteOffsetMapLock, pteUnmap, pteUnmapUnlock } from './pteLock.ts';

/** Take the ptl before the first look: do not miss an entry that is being changed. */
export const PVMW_SYNC = 1 << 0;
/** Look for migration entries instead of present ones. */
export const PVMW_MIGRATION = 1 << 1;

/** struct page_vma_mapped_walk. */
export interface PageVmaMappedWalk {
  readonly pfn: Pfn;
  readonly mm: MmPtr;
  readonly vpn: Vpn;
  readonly flags: number;
  /** The VMA is a hugetlb mapping: the entry stands in a PMD table. */
  readonly huge: boolean;
  /** The table with its ptl held, 0 when nothing is. */
  table: PageTablePtr;
  /** The entry found, and its value under the ptl. */
  pte: PtePtr;
  value: PteVal;
}

/** DEFINE_FOLIO_VMA_WALK(): a walk for `pfn` at `vpn` of the VMA. */
export function startPageVmaMappedWalk(
  task: Task,
  pfn: Pfn,
  vma: VmaPtr,
  vpn: Vpn,
  flags: number,
): Sim<PageVmaMappedWalk> {
  const mm = vmaMm(task.heap, vma);
  const huge = (readOnceVmaFlags(task.heap, vma) & VM_HUGETLB) !== 0;
  return { pfn, mm, vpn, flags, huge, table: NO_TABLE, pte: 0 as PtePtr, value: PTE_NONE };
}

/**
 * page_vma_mapped_walk(): to be called until it returns false, or ended by pageVmaMappedWalkDone.
 *
 * @locked root lock, or mmapLock, or the VMA
 * @returns true with pvmw.pte found and its ptl held; false with nothing held
 */
export function pageVmaMappedWalk(task: Task, pvmw: PageVmaMappedWalk): Sim<boolean> {
  if (pvmw.table !== NO_TABLE) {
    pageVmaMappedWalkDone(task, pvmw);
    return false;
  }
  if (!pvmw.huge && (pvmw.flags & PVMW_SYNC) === 0 && !peekMatches(task, pvmw)) return false;
  const table = pvmw.huge ? hugeTableLock(task, pvmw) : pteOffsetMapLock(task, pvmw.mm, pvmw.vpn);
  if (table === NO_TABLE) return false;
  const pte = entryAt(table, pvmw.vpn, pvmw.huge ? LEVEL_PMD : LEVEL_PTE);
  const value = readOncePte(task.heap, pte);
  if (pteIsMigration(value)) task.check?.migrationEntrySeen(task, pvmw.mm, pvmw.vpn, value);
  if (!isWantedKind(pvmw, value) || ptePfn(value) !== pvmw.pfn) {
    pteUnmapUnlock(task, table);
    return false;
  }
  pvmw.table = table;
  pvmw.pte = pte;
  pvmw.value = value;
  return true;
}

/** hugetlb_walk() and huge_pte_lock(), to be ended as pteOffsetMapLock is. */
function hugeTableLock(task: Task, { mm, vpn }: PageVmaMappedWalk): Sim<PageTablePtr> {
  rcuReadLock(task);
  const entry = hugetlbWalk(task, mm, vpn);
  if (entry.pmd === NO_TABLE) rcuReadUnlock(task);
  else hugePteLock(task, entry);
  return entry.pmd;
}

/** page_vma_mapped_walk_done(): gives the ptl back. */
export function pageVmaMappedWalkDone(task: Task, pvmw: PageVmaMappedWalk): Sim<void> {
  pteUnmapUnlock(task, pvmw.table);
  pvmw.table = NO_TABLE;
}

/** The look without the ptl: most VMAs that may map a page do not, and they cost no lock. */
function peekMatches(task: Task, pvmw: PageVmaMappedWalk): Sim<boolean> {
  const table = pteOffsetMap(task, pvmw.mm, pvmw.vpn);
  if (table === NO_TABLE) return false;
  const value = readOncePte(task.heap, entryAt(table, pvmw.vpn, LEVEL_PTE));
  pteUnmap(task);
  return isWantedKind(pvmw, value);
}

/** Present or migration entry, whichever the walk looks for; of which page is asked under the ptl. */
function isWantedKind(pvmw: PageVmaMappedWalk, value: PteVal): boolean {
  return (pvmw.flags & PVMW_MIGRATION) === 0 ? pteIsPresent(value) : pteIsMigration(value);
}
