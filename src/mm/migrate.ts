/**
 * Page migration: isolated pages move to other frames, wherever they are mapped, while their users run on.
 *
 * 'async' works on batches: all sources are locked (by trylock only) and unmapped, the TLBs flushed once, then all are copied.
 * 'sync' first does the same and then takes what is left one page at a time, waiting for each lock: nobody ever waits for a
 * folio lock with another source locked.
 *
 * Lock order here: mmapLock(read) for the collection of pages only; none is held while pages move.
 *
 * Kernel: migrate_pages(), migrate_pages_batch(), migrate_pages_sync() in mm/migrate.c; queue_pages_range() in
 * mm/mempolicy.c; folio_isolate_lru() in mm/vmscan.c.
 */

import { EAGAIN, EFAULT, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, NO_VMA, type MmPtr, type Pfn, type Vpn } from '../layout/ids.ts';
import {
  HUGE_PAGES,
  PG_hugetlbMigratable,
  PG_lru,
  atomicClearPageFlags,
  atomicSetPageFlags,
  readOncePageRefcount,
  zeroPfn,
} from '../layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { pteIsMigration, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { VM_HUGETLB, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { folioAddLru } from './anonFault.ts';
import { hugePteLock, hugePteUnlock, hugeStart, hugetlbWalk } from './hugetlbTables.ts';
import { isHugetlb, migrateFolioMove, migrateFolioUndo, migrateFolioUnmap, type MigrateMode } from './migrateFolio.ts';
import { folioPut, folioTryGet } from './pageRef.ts';
import { nextBoundary, nextPteTable } from './pageTable.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { tryToUnmapFlush } from './tlbFlush.ts';
import { vmaFind, vmaFindRange } from './vmaTree.ts';

/** Most pages that are unmapped at a time (NR_MAX_BATCHED_MIGRATION). */
const MAX_BATCH = 512;
/** Tries at a page that somebody is using: asynchronous, and the two parts of a synchronous migration. */
const ASYNC_PASSES = 10;
const SYNC_BATCH_PASSES = 3;
const SYNC_PASSES = 7;

/** A source whose entries are migration entries, and where it goes; both locked. */
interface UnmappedFolio {
  readonly src: Pfn;
  readonly dst: Pfn;
}

/**
 * folio_isolate_lru(): takes a folio off the LRU, for the caller alone; it gets a reference.
 *
 * @returns false if it is free or isolated by somebody else
 */
export function isolateFolio(task: Task, pfn: Pfn): Sim<boolean> {
  // The reference first: without one the frame may be freed and become another page between the two.
  if (!folioTryGet(task, pfn)) return false;
  if ((atomicClearPageFlags(task.heap, pfn, PG_lru) & PG_lru) !== 0) return true;
  folioPut(task, pfn);
  return false;
}

/** folio_isolate_hugetlb(): the same for a huge page. */
function isolateHugetlb(task: Task, pfn: Pfn): Sim<boolean> {
  if (!folioTryGet(task, pfn)) return false;
  const flags = atomicClearPageFlags(task.heap, pfn, PG_hugetlbMigratable);
  if ((flags & PG_hugetlbMigratable) !== 0) return true;
  folioPut(task, pfn);
  return false;
}

/** folio_putback_lru(), folio_putback_hugetlb(): ends an isolation. */
export function putbackFolio(task: Task, pfn: Pfn): Sim<void> {
  if (isHugetlb(task, pfn)) atomicSetPageFlags(task.heap, pfn, PG_hugetlbMigratable);
  else folioAddLru(task, pfn);
  folioPut(task, pfn);
}

/**
 * migrate_pages(): moves isolated folios to new frames. All of them are given up: freed, or back on the LRU.
 *
 * @locked nothing
 * @returns number of folios that were not moved, or -ENOMEM
 */
export function migratePages(task: Task, folios: readonly Pfn[], mode: MigrateMode): Sim<number> {
  const huge: Pfn[] = [];
  const small: Pfn[] = [];
  for (const pfn of folios) (isHugetlb(task, pfn) ? huge : small).push(pfn);
  const failed = migrateHugetlbs(task, huge, mode);
  if (failed < 0) for (const pfn of small) putbackFolio(task, pfn);
  return failed < 0 ? failed : migrateSmallPages(task, small, mode, failed);
}

/** The part of migrate_pages() behind the huge pages, of which `failed` did not move. */
function migrateSmallPages(task: Task, folios: readonly Pfn[], mode: MigrateMode, hugeFailed: number): Sim<number> {
  let failed = hugeFailed;
  let error = 0;
  for (let at = 0; at < folios.length && error === 0; at += MAX_BATCH) {
    const batch = folios.slice(at, at + MAX_BATCH);
    const rest: Pfn[] = [];
    error = migratePagesBatch(task, batch, 'async', mode === 'async' ? ASYNC_PASSES : SYNC_BATCH_PASSES, rest);
    if (mode === 'sync' && error === 0) error = migrateOneByOne(task, rest);
    failed += rest.length;
    for (let i = 0; i < rest.length; i++) putbackFolio(task, rest[i]);
    if (error !== 0) for (let i = at + MAX_BATCH; i < folios.length; i++) putbackFolio(task, folios[i]);
  }
  return error !== 0 ? error : failed;
}

/**
 * migrate_hugetlbs(): huge pages move one by one.
 *
 * @returns number of pages that were not moved, or -ENOMEM; all are given up
 */
function migrateHugetlbs(task: Task, folios: readonly Pfn[], mode: MigrateMode): Sim<number> {
  let failed = 0;
  let error = 0;
  for (const src of folios) {
    const moved = error === 0 && migrateHugetlb(task, src, mode);
    if (moved === true) continue;
    if (moved === -ENOMEM) error = -ENOMEM;
    else failed++;
    putbackFolio(task, src);
  }
  return error !== 0 ? error : failed;
}

/** unmap_and_move_huge_page(), several times. @returns true when it moved, false, or -ENOMEM */
function migrateHugetlb(task: Task, src: Pfn, mode: MigrateMode): Sim<boolean | number> {
  for (let pass = 0; pass < ASYNC_PASSES; pass++) {
    const dst = migrateFolioUnmap(task, src, mode);
    if (dst === -ENOMEM) return dst;
    if (dst === -EAGAIN) continue;
    if (migrateFolioMove(task, src, dst as Pfn) === 0) return true;
    migrateFolioUndo(task, src, dst as Pfn);
  }
  return false;
}

/**
 * The second part of migrate_pages_sync(): each of `folios` alone; those that cannot be moved stay in the list.
 *
 * @returns 0 or -ENOMEM
 */
function migrateOneByOne(task: Task, folios: Pfn[]): Sim<number> {
  const todo = folios.splice(0);
  let error = 0;
  for (let i = 0; i < todo.length; i++) {
    if (error === 0) error = migratePagesBatch(task, [todo[i]], 'sync', SYNC_PASSES, folios);
    else folios.push(todo[i]);
  }
  return error;
}

/**
 * migrate_pages_batch(): unmap all, flush, move all, undo what would not move. Folios that stay isolated go to `failed`.
 *
 * @returns 0 or -ENOMEM (what could be unmapped until then is moved all the same)
 */
function migratePagesBatch(
  task: Task,
  folios: readonly Pfn[],
  mode: MigrateMode,
  passes: number,
  failed: Pfn[],
): Sim<number> {
  let unmapped: UnmappedFolio[] = [];
  const error = unmapFolios(task, folios, mode, passes, unmapped, failed);
  // Before anything is copied: until now CPUs may write through entries that are gone from the tables.
  tryToUnmapFlush(task);
  for (let pass = 0; pass < passes && unmapped.length > 0; pass++) {
    const again: UnmappedFolio[] = [];
    for (let i = 0; i < unmapped.length; i++) {
      const folio = unmapped[i];
      if (migrateFolioMove(task, folio.src, folio.dst) !== 0) again.push(folio);
    }
    unmapped = again;
  }
  for (let i = 0; i < unmapped.length; i++) {
    const { src, dst } = unmapped[i];
    migrateFolioUndo(task, src, dst);
    failed.push(src);
  }
  return error;
}

/** First half of a batch. @returns 0 or -ENOMEM, the folios that were not tried among the failed */
function unmapFolios(
  task: Task,
  folios: readonly Pfn[],
  mode: MigrateMode,
  passes: number,
  unmapped: UnmappedFolio[],
  failed: Pfn[],
): Sim<number> {
  let todo = folios;
  for (let pass = 0; pass < passes && todo.length > 0; pass++) {
    const again: Pfn[] = [];
    for (let i = 0; i < todo.length; i++) {
      const src = todo[i];
      if (readOncePageRefcount(task.heap, src) === 1) {
        folioPut(task, src); // its owners dropped it meanwhile: nothing to move
        continue;
      }
      const dst = migrateFolioUnmap(task, src, mode);
      if (dst === -ENOMEM) {
        failed.push(...again, ...todo.slice(i));
        return -ENOMEM;
      }
      if (dst === -EAGAIN) again.push(src);
      else unmapped.push({ src, dst: dst as Pfn });
    }
    todo = again;
  }
  failed.push(...todo);
  return 0;
}

/**
 * Moves what is mapped in [vpn, vpn + nr) to other frames, shared pages too (move_pages() with MPOL_MF_MOVE_ALL). The caller
 * is a user of the mm.
 *
 * @locked nothing
 * @returns number of folios that were isolated but not moved, or -ENOMEM, or -EFAULT when no VMA overlaps the range
 */
export function migrateRange(task: Task, mm: MmPtr, vpn: Vpn, nr: number, mode: MigrateMode): Sim<number> {
  const folios: Pfn[] = [];
  const end = (vpn + nr) as Vpn;
  mmapReadLock(task, mm);
  const isMapped = vmaFindRange(task, mm, vpn, end) !== NO_VMA;
  if (isMapped) queuePagesRange(task, mm, vpn, end, folios);
  mmapReadUnlock(task, mm);
  return isMapped ? migratePages(task, folios, mode) : -EFAULT;
}

/** queue_pages_range(): isolates the pages of the mappings in [start, end). @locked mmapLock */
function queuePagesRange(task: Task, mm: MmPtr, start: Vpn, end: Vpn, folios: Pfn[]): Sim<void> {
  const { heap } = task;
  let at = start;
  while (at < end) {
    const vma = vmaFind(task, mm, at);
    if (vma === NO_VMA) return;
    const first = vmaStart(heap, vma);
    const last = vmaEnd(heap, vma);
    const stop = last < end ? last : end;
    if ((vmaFlags(heap, vma) & VM_HUGETLB) !== 0) queueHugePages(task, mm, first > at ? first : at, stop, folios);
    at = nextPteTable(task, mm, first > at ? first : at, stop);
    while (at < stop) {
      const tableEnd = nextBoundary(at, LEVEL_PMD);
      queueTable(task, mm, at, tableEnd < stop ? tableEnd : stop, folios);
      at = nextPteTable(task, mm, tableEnd, stop);
    }
    at = last;
  }
}

/** queue_folios_hugetlb(): every huge page that the range touches. */
function queueHugePages(task: Task, mm: MmPtr, start: Vpn, end: Vpn, folios: Pfn[]): Sim<void> {
  for (let at = hugeStart(start) as number; at < end; at += HUGE_PAGES) {
    const entry = hugetlbWalk(task, mm, at as Vpn);
    if (entry.pmd === NO_TABLE) continue;
    hugePteLock(task, entry);
    const pte = readOncePte(task.heap, entry.pte);
    if (pteIsPresent(pte) && isolateHugetlb(task, ptePfn(pte))) folios.push(ptePfn(pte));
    hugePteUnlock(task, entry);
  }
}

/** queue_folios_pte_range(): the pages of one table. Those that migrate already are left alone. */
function queueTable(task: Task, mm: MmPtr, start: Vpn, end: Vpn, folios: Pfn[]): Sim<void> {
  const { heap } = task;
  const table = pteOffsetMapLock(task, mm, start);
  if (table === NO_TABLE) return;
  for (let at = start as number; at < end; at++) {
    const entry = readOncePte(heap, entryAt(table, at as Vpn, LEVEL_PTE));
    if (pteIsMigration(entry)) task.check?.migrationEntrySeen(task, mm, at as Vpn, entry);
    if (!pteIsPresent(entry) || ptePfn(entry) === zeroPfn(heap)) continue;
    if (isolateFolio(task, ptePfn(entry))) folios.push(ptePfn(entry));
  }
  pteUnmapUnlock(task, table);
}
