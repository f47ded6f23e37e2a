/**
 * Moving page tables for mremap and exec: entries change their virtual address, pages stay where they are. Whole tables
 * are relinked where both ranges are aligned and the destination is empty, else entry by entry.
 *
 * Lock order here: mmapLock(write, held by the caller) > anon_vma lock > old ptl > new ptl (nested, whatever their
 * addresses: only mmapLock(write) makes that safe); the same with two PMD locks; PUD level under page_table_lock.
 *
 * Invariants
 *   MREMAP-1  Whoever walks the rmap under the anon_vma lock meets a mapped page at its old address, its new one, or both.
 *             Never at neither.
 *   MREMAP-2  Old entries are cleared and flushed before either ptl is dropped: under the new ptl the page could be
 *             unmapped and freed while a CPU still translates the old address to it.
 *
 * Kernel: move_page_tables(), move_ptes(), move_normal_pmd(), move_normal_pud() in mm/mremap.c. Not modelled: transparent
 * huge pages, userfaultfd, soft-dirty bits.
 */

import { assert } from '../base/assert.ts';
import { EAGAIN } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, NO_VMA, type MmPtr, type PageTablePtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import {
  LEVEL_PMD,
  LEVEL_PTE,
  LEVEL_PUD,
  entryAt,
  pagesPerEntry,
  readOncePte,
  tableLock,
} from '../layout/pageTable.ts';
import { pteIsNone, pteIsPresent } from '../layout/pte.ts';
import { VM_HUGETLB, vmaFlags, vmaStart } from '../layout/vma.ts';
import { SINGLE_DEPTH_NESTING } from '../locks/lockHooks.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { moveHugetlbPageTables } from './hugetlbRange.ts';
import { movePmdEntry, movePudEntry } from './moveTableEntry.ts';
import { pmdAlloc, findTable, pteAlloc, pudAlloc } from './pageTable.ts';
import { ptepGetAndClear, setPteAt } from './pteAccess.ts';
import { pteOffsetMap, pteOffsetMapLock, pteUnmap, pteUnmapUnlock } from './pteLock.ts';
import { dropRmapLocks, takeRmapLocks } from './rmapLocks.ts';
import { flushTlbBatchedPending, flushTlbRange } from './tlbFlush.ts';
import { vmaFindRange } from './vmaTree.ts';

/** What to move (struct pagetable_move_control). */
export interface PageTableMove {
  readonly mm: MmPtr;
  readonly oldVma: VmaPtr;
  readonly newVma: VmaPtr;
  readonly oldStart: Vpn;
  readonly newStart: Vpn;
  readonly nrPages: number;
  /** The new VMA may be met before the old one in an rmap walk. */
  readonly needRmapLocks: boolean;
  /** exec moves its stack down inside one VMA, which covers both ranges. */
  readonly forStack: boolean;
}

const PAGES_PER_PMD_ENTRY = pagesPerEntry(LEVEL_PMD);
const PAGES_PER_PUD_ENTRY = pagesPerEntry(LEVEL_PUD);

/**
 * move_page_tables().
 * @locked mmapLock(write), both VMAs write-locked
 * @returns pages moved: nrPages, or fewer when there was no memory for a table
 */
export function movePageTables(task: Task, pmc: PageTableMove): Sim<number> {
  const { mm } = pmc;
  if ((vmaFlags(task.heap, pmc.oldVma) & VM_HUGETLB) !== 0) {
    return moveHugetlbPageTables(task, pmc.oldVma, pmc.oldStart, pmc.newStart, pmc.nrPages);
  }
  const oldEnd = pmc.oldStart + pmc.nrPages;
  const down = realignment(task, pmc);
  let from = (pmc.oldStart - down) as Vpn;
  let to = (pmc.newStart - down) as Vpn;
  while (from < oldEnd) {
    const pages = moveExtent(task, pmc, mm, from, to, oldEnd);
    if (pages === 0) break;
    from = (from + pages) as Vpn;
    to = (to + pages) as Vpn;
  }
  return Math.max(from - pmc.oldStart, 0);
}

/** One step of move_page_tables(): as much as one entry of the highest level possible covers. 0 = no memory. */
function moveExtent(task: Task, pmc: PageTableMove, mm: MmPtr, from: Vpn, to: Vpn, oldEnd: number): Sim<number> {
  const pudPages = extent(from, to, oldEnd, PAGES_PER_PUD_ENTRY);
  if (findTable(task, mm, from, LEVEL_PMD) === NO_TABLE) return pudPages;
  const newPud = pudAlloc(task, mm, to);
  if (newPud === NO_TABLE) return 0;
  if (pudPages === PAGES_PER_PUD_ENTRY && movePudEntry(task, pmc, from, to)) return pudPages;

  const pmdPages = extent(from, to, oldEnd, PAGES_PER_PMD_ENTRY);
  if (findTable(task, mm, from, LEVEL_PTE) === NO_TABLE) return pmdPages;
  if (pmdAlloc(task, mm, to) === NO_TABLE) return 0;
  for (;;) {
    if (pmdPages === PAGES_PER_PMD_ENTRY && movePmdEntry(task, pmc, from, to)) return pmdPages;
    if (findTable(task, mm, from, LEVEL_PTE) === NO_TABLE) return pmdPages;
    if (pteAlloc(task, mm, to) === NO_TABLE) return 0;
    if (movePtes(task, pmc, from, to, pmdPages) === 0) return pmdPages;
  }
}

/** get_extent(): pages up to the next boundary of an entry that covers `span`, at either address, or to the end. */
function extent(from: number, to: number, oldEnd: number, span: number): number {
  return Math.min(span - (from % span), oldEnd - from, span - (to % span));
}

/**
 * move_ptes(): moves `nr` entries within one table each; empty ones stay empty.
 * @returns 0, or -EAGAIN if a table was freed meanwhile (the caller looks again)
 */
function movePtes(task: Task, pmc: PageTableMove, from: Vpn, to: Vpn, nr: number): Sim<number> {
  const { mm } = pmc;
  const rule = task.rules.mremap.rmapLocks;
  const lockRmap = rule === 'always' || (rule === 'byOrder' && pmc.needRmapLocks);
  // Each entry moves under both ptls, so why the rmap lock? Because a walker visits the two VMAs one after the other: if
  // it meets the new one first it can pass it before we fill it and reach the old one after we emptied it. Where the
  // old one comes first, missing an entry there means finding it at the new place later.
  if (lockRmap) takeRmapLocks(task, pmc.oldVma);
  task.check?.entriesMove(task, pmc.oldVma, pmc.newVma, false);
  const error = movePtesLocked(task, pmc, from, to, nr);
  if (lockRmap) dropRmapLocks(task, pmc.oldVma);
  if (task.rules.mremap.flush === 'afterUnlock') flushTlbRange(task, mm, from, (from + nr) as Vpn);
  return error;
}

function movePtesLocked(task: Task, pmc: PageTableMove, from: Vpn, to: Vpn, nr: number): Sim<number> {
  const { mm } = pmc;
  const oldTable = pteOffsetMapLock(task, mm, from);
  if (oldTable === NO_TABLE) return -EAGAIN;
  const newTable = pteOffsetMap(task, mm, to);
  if (newTable === NO_TABLE) {
    pteUnmapUnlock(task, oldTable);
    return -EAGAIN;
  }
  if (newTable !== oldTable) spinLock(task, tableLock(newTable), SINGLE_DEPTH_NESTING);
  flushTlbBatchedPending(task, mm);
  const forceFlush = moveEntries(task, mm, oldTable, newTable, from, to, nr);
  if (forceFlush && task.rules.mremap.flush === 'beforeUnlock') flushTlbRange(task, mm, from, (from + nr) as Vpn);
  if (task.check !== null) task.check.ptesMoved(task, mm, from, nr);
  if (newTable !== oldTable) spinUnlock(task, tableLock(newTable));
  pteUnmap(task);
  pteUnmapUnlock(task, oldTable);
  return 0;
}

/** The entries themselves, present and migration entries alike. True if a CPU may have one cached. @locked both ptls */
function moveEntries(
  task: Task,
  mm: MmPtr,
  oldTable: PageTablePtr,
  newTable: PageTablePtr,
  from: Vpn,
  to: Vpn,
  nr: number,
): Sim<boolean> {
  const { heap } = task;
  let forceFlush = false;
  for (let i = 0; i < nr; i++) {
    const oldVpn = (from + i) as Vpn;
    const newVpn = (to + i) as Vpn;
    const source = entryAt(oldTable, oldVpn, LEVEL_PTE);
    const target = entryAt(newTable, newVpn, LEVEL_PTE);
    const seen = readOncePte(heap, source);
    if (pteIsNone(seen)) continue;
    assert(pteIsNone(readOncePte(heap, target)), 'mremap moves an entry onto another');
    if (pteIsPresent(seen)) forceFlush = true;
    setPteAt(task, mm, newVpn, target, ptepGetAndClear(task, mm, oldVpn, source));
  }
  return forceFlush;
}

/**
 * try_realign_addr(): how many pages below both starts to begin, so that whole tables can be relinked. 0 unless both starts lie
 * equally deep in a PMD entry's range, the move reaches the end of that range, and nothing else is mapped below.
 */
function realignment(task: Task, pmc: PageTableMove): Sim<number> {
  const depth = pmc.oldStart % PAGES_PER_PMD_ENTRY;
  if (depth === 0 || depth !== pmc.newStart % PAGES_PER_PMD_ENTRY) return 0;
  if (pmc.nrPages < PAGES_PER_PMD_ENTRY - depth) return 0;
  if (!canAlignDown(task, pmc, pmc.oldVma, pmc.oldStart, depth)) return 0;
  return canAlignDown(task, pmc, pmc.newVma, pmc.newStart, depth) ? depth : 0;
}

/** can_align_down(): nothing is mapped between `start` and `depth` pages below, be it the VMA's own or a neighbour's. */
function canAlignDown(task: Task, pmc: PageTableMove, vma: VmaPtr, start: Vpn, depth: number): Sim<boolean> {
  const first = vmaStart(task.heap, vma);
  const aligned = start - depth;
  if (!pmc.forStack && first !== start) return false;
  if (pmc.forStack && aligned >= first) return true;
  return vmaFindRange(task, pmc.mm, aligned, first) === NO_VMA;
}
