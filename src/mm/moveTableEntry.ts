/**
 * Moving a whole table for mremap: one upper entry is cleared, the same is set for the new address, and all pages below have
 * moved.
 *
 * Lock order here: anon_vma lock > old PMD lock > new PMD lock (nested); or anon_vma lock > page_table_lock.
 *
 * Invariants
 *   MREMAP-3  Always under the rmap lock, whatever the order of the VMAs: the move takes no ptl, so a walker that found an
 *             entry by its old address would go on with it, and flush the wrong address.
 *   MREMAP-4  The destination entry is empty, and the old range is flushed before the locks are dropped.
 *
 * Kernel: move_pgt_entry(), move_normal_pmd(), move_normal_pud() in mm/mremap.c.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, type MmPtr, type PageTablePtr, type Vpn } from '../layout/ids.ts';
import { mmPageTableLock } from '../layout/mm.ts';
import {
  ENTRIES_PER_TABLE,
  LEVEL_PMD,
  LEVEL_PUD,
  entryAt,
  pagesPerEntry,
  readOnceTableEntry,
  setTableBase,
  tableLock,
  writeOnceTableEntry,
} from '../layout/pageTable.ts';
import { SINGLE_DEPTH_NESTING } from '../locks/lockHooks.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import type { PageTableMove } from './movePageTables.ts';
import { findTable } from './pageTable.ts';
import { pmdLock } from './pteLock.ts';
import { dropRmapLocks, takeRmapLocks } from './rmapLocks.ts';
import { flushTlbRange } from './tlbFlush.ts';

const PAGES_PER_PMD_ENTRY = pagesPerEntry(LEVEL_PMD);
const PAGES_PER_PUD_ENTRY = pagesPerEntry(LEVEL_PUD);

/**
 * move_normal_pmd() under the rmap lock: moves the PTE table of `from` to `to`. Both PMD tables exist.
 * @locked mmapLock(write)
 * @returns false if the destination has a table (exec's stack moving down) or the source has none any more
 */
export function movePmdEntry(task: Task, pmc: PageTableMove, from: Vpn, to: Vpn): Sim<boolean> {
  const { heap } = task;
  const { mm } = pmc;
  const lockRmap = task.rules.mremap.rmapLocks !== 'never';
  if (lockRmap) takeRmapLocks(task, pmc.oldVma);
  task.check?.entriesMove(task, pmc.oldVma, pmc.newVma, true);
  const oldPmd = findTable(task, mm, from, LEVEL_PMD);
  const newPmd = findTable(task, mm, to, LEVEL_PMD);
  let moved = false;
  if (readOnceTableEntry(heap, entryAt(newPmd, to, LEVEL_PMD)) === NO_TABLE) {
    pmdLock(task, oldPmd);
    if (newPmd !== oldPmd) spinLock(task, tableLock(newPmd), SINGLE_DEPTH_NESTING);
    moved = relink(task, oldPmd, newPmd, from, to, LEVEL_PMD);
    if (moved) flushMoved(task, mm, from, PAGES_PER_PMD_ENTRY);
    if (newPmd !== oldPmd) spinUnlock(task, tableLock(newPmd));
    spinUnlock(task, tableLock(oldPmd));
  }
  if (lockRmap) dropRmapLocks(task, pmc.oldVma);
  if (moved) flushLate(task, mm, from, PAGES_PER_PMD_ENTRY);
  return moved;
}

/** move_normal_pud() under the rmap lock: as movePmdEntry, for a PMD table with everything below it. */
export function movePudEntry(task: Task, pmc: PageTableMove, from: Vpn, to: Vpn): Sim<boolean> {
  const { heap } = task;
  const { mm } = pmc;
  const lockRmap = task.rules.mremap.rmapLocks !== 'never';
  if (lockRmap) takeRmapLocks(task, pmc.oldVma);
  task.check?.entriesMove(task, pmc.oldVma, pmc.newVma, true);
  const oldPud = findTable(task, mm, from, LEVEL_PUD);
  const newPud = findTable(task, mm, to, LEVEL_PUD);
  let moved = false;
  if (readOnceTableEntry(heap, entryAt(newPud, to, LEVEL_PUD)) === NO_TABLE) {
    const lock = mmPageTableLock(mm);
    spinLock(task, lock);
    moved = relink(task, oldPud, newPud, from, to, LEVEL_PUD);
    if (moved) flushMoved(task, mm, from, PAGES_PER_PUD_ENTRY);
    spinUnlock(task, lock);
  }
  if (lockRmap) dropRmapLocks(task, pmc.oldVma);
  if (moved) flushLate(task, mm, from, PAGES_PER_PUD_ENTRY);
  return moved;
}

/** Takes the table out of one entry and puts it into the other. False if there is none. @locked both levels' locks */
function relink(
  task: Task,
  oldParent: PageTablePtr,
  newParent: PageTablePtr,
  from: Vpn,
  to: Vpn,
  level: number,
): Sim<boolean> {
  const { heap } = task;
  const source = entryAt(oldParent, from, level);
  const target = entryAt(newParent, to, level);
  const table = readOnceTableEntry(heap, source);
  // Looked at before the locks were taken; an empty table may have been freed since.
  if (table === NO_TABLE) return false;
  task.check?.guardedWrite(task, 'tableEntry', oldParent);
  writeOnceTableEntry(heap, source, NO_TABLE);
  assert(readOnceTableEntry(heap, target) === NO_TABLE, 'mremap moves a table onto another');
  rebase(task, table, to, level);
  task.check?.guardedWrite(task, 'tableEntry', newParent);
  writeOnceTableEntry(heap, target, table);
  return true;
}

/** Notes the new address in the table that an entry of `level` leads to, and in the tables below. */
function rebase(task: Task, table: PageTablePtr, base: Vpn, level: number): Sim<void> {
  const { heap } = task;
  setTableBase(heap, table, base);
  if (level !== LEVEL_PUD) return;
  for (let i = 0; i < ENTRIES_PER_TABLE; i++) {
    const vpn = (base + i * PAGES_PER_PMD_ENTRY) as Vpn;
    const child = readOnceTableEntry(heap, entryAt(table, vpn, LEVEL_PMD));
    if (child !== NO_TABLE) setTableBase(heap, child, vpn);
  }
}

/** The flush that belongs under the locks, and the report that the move is complete. */
function flushMoved(task: Task, mm: MmPtr, from: Vpn, nr: number): Sim<void> {
  if (task.rules.mremap.flush === 'beforeUnlock') flushTlbRange(task, mm, from, (from + nr) as Vpn);
  if (task.check !== null) task.check.ptesMoved(task, mm, from, nr);
}

/** The same flush where the rules put it, wrongly, behind the locks. */
function flushLate(task: Task, mm: MmPtr, from: Vpn, nr: number): Sim<void> {
  if (task.rules.mremap.flush === 'afterUnlock') flushTlbRange(task, mm, from, (from + nr) as Vpn);
}
