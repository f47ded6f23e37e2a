/**
 * Waiting for a migration to end, by whoever met one of its entries. Kernel: migration_entry_wait() in mm/migrate.c.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, type MmPtr, type Vpn } from '../layout/ids.ts';
import { LEVEL_PTE, entryAt, readOncePte, tableLock } from '../layout/pageTable.ts';
import { pteIsMigration, ptePfn } from '../layout/pte.ts';
import { migrationEntryWaitOnLocked } from '../locks/folioLock.ts';
import { pteOffsetMapLock, pteUnmap, pteUnmapUnlock } from './pteLock.ts';

/**
 * Sleeps, not killably, until the folio that is being migrated from under `vpn` is unlocked. Returns at once if there is no
 * migration entry any more: the fault is tried again in any case.
 *
 * @locked mmapLock or the VMA, kept while it sleeps: migration needs neither
 */
export function migrationEntryWait(task: Task, mm: MmPtr, vpn: Vpn): Sim<void> {
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) return;
  const pte = readOncePte(task.heap, entryAt(table, vpn, LEVEL_PTE));
  if (!pteIsMigration(pte)) {
    pteUnmapUnlock(task, table);
    return;
  }
  if (task.check !== null) task.check.migrationEntrySeen(task, mm, vpn, pte);
  pteUnmap(task);
  // No reference on the folio: who removes the entry needs this ptl, so under it the folio is there and locked, and we
  // stand in its queue before the ptl is dropped.
  migrationEntryWaitOnLocked(task, ptePfn(pte), tableLock(table));
}
