/**
 * Migration of one folio in two steps, so that a batch can flush the TLBs once in between: unmap the source, then copy it and
 * map the copy.
 *
 * Lock order here: source's folio lock > destination's (by trylock; nobody else knows it) > anon_vma lock or
 * i_mmap_rwsem > ptl; destination's folio lock > i_pages lock.
 *
 * Invariants
 *   MIG-1  Both folios stay locked from the first migration entry to the last: whoever meets one waits for the source's lock.
 *   MIG-2  The anon_vma is pinned before the page is unmapped. Afterwards nothing maps the page, its VMAs may go, and the way
 *          back to the entries still leads over this anon_vma. A KSM page's items have references of their own.
 *   MIG-3  Nothing is copied while anybody but us (and its object) has a reference on the source.
 *   MIG-4  When the source is unlocked no entry names it.
 *
 * Kernel: migrate_folio_unmap(), migrate_folio_move(), migrate_folio_undo_src() and _dst() in mm/migrate.c. Not modelled:
 * writeback, swap cache, mlock.
 */

import { assert } from '../base/assert.ts';
import { EAGAIN, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, NO_ANON_VMA, NO_PFN, type AnonVmaPtr, type Pfn } from '../layout/ids.ts';
import {
  PG_dirty,
  PG_hugetlb,
  PG_hugetlbMigratable,
  PG_swapbacked,
  PG_uptodate,
  atomicSetPageFlags,
  copyHugeContents,
  mappingAddressSpace,
  mappingIsKsm,
  pageIndex,
  pagePrivate,
  readOncePageFlags,
  readOncePageMapping,
  readOncePageRefcount,
  setPageIndex,
  setPagePrivate,
  writeOncePageMapping,
} from '../layout/page.ts';
import { folioLock, folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { folioAddLru } from './anonFault.ts';
import { putAnonVma } from './anonVma.ts';
import { filemapReplaceFolio } from './filemap.ts';
import { folioGetAnonVma, folioMapped } from './folioAnonVma.ts';
import { allocMigrateHugetlbFolio, moveHugetlbState } from './hugetlbPool.ts';
import { folioMigrateKsm } from './ksmRmap.ts';
import { allocFrame, copyPageContents } from './pageAlloc.ts';
import { folioPut } from './pageRef.ts';
import { removeMigrationPtes } from './removeMigrationPtes.ts';
import { TTU_BATCH_FLUSH, tryToMigrate } from './tryToMigrate.ts';

/** 'async' never waits: neither for a folio lock nor, page by page, for TLB flushes. */
export type MigrateMode = 'sync' | 'async';

/** Flags that the copy takes over. */
const COPIED_FLAGS = PG_uptodate | PG_dirty | PG_swapbacked;
/** The reference of whoever isolated the source. */
const ISOLATION_REFS = 1;
/** Low bit of the destination's private word; the pinned anon_vma stands above it. */
const PAGE_WAS_MAPPED = 1;

/**
 * migrate_folio_unmap(): allocates the destination and turns all entries of the source into migration entries.
 *
 * @locked nothing; the caller isolated `src`
 * @returns the destination, both folios locked; or -EAGAIN or -ENOMEM with everything as it was
 */
export function migrateFolioUnmap(task: Task, src: Pfn, mode: MigrateMode): Sim<number> {
  const isHuge = isHugetlb(task, src);
  const dst = isHuge ? allocMigrateHugetlbFolio(task) : allocFrame(task);
  if (dst === NO_PFN) return -ENOMEM;
  if (!folioTryLock(task, src)) {
    if (mode === 'async') {
      folioPut(task, dst);
      return -EAGAIN;
    }
    folioLock(task, src);
  }
  const anonVma = folioGetAnonVma(task, src);
  const dstLocked = folioTryLock(task, dst);
  assert(dstLocked, 'migration: somebody else locked the new folio');
  const wasMapped = folioMapped(task, src);
  const needsNone = isInObject(task, src) || mappingIsKsm(readOncePageMapping(task.heap, src));
  assert(!wasMapped || anonVma !== NO_ANON_VMA || needsNone, 'migration: a mapped page without anon_vma');
  if (wasMapped) {
    tryToMigrate(task, src, mode === 'async' ? TTU_BATCH_FLUSH : 0);
    if (folioMapped(task, src)) {
      // Pinned, or an entry was just in somebody's hands, or in exec's stack.
      undoSource(task, src, true, anonVma);
      undoDestination(task, dst);
      return -EAGAIN;
    }
  }
  setPagePrivate(task.heap, dst, (anonVma << 1) | (wasMapped ? PAGE_WAS_MAPPED : 0));
  return dst;
}

/**
 * migrate_folio_move(): copies the source, maps the copy where the source was, frees the source.
 *
 * @locked both folios, as migrateFolioUnmap left them; no CPU translates to the source
 * @returns 0 with both unlocked; or -EAGAIN with nothing changed: somebody has a reference on the source
 */
export function migrateFolioMove(task: Task, src: Pfn, dst: Pfn): Sim<number> {
  if (!moveToNewFolio(task, src, dst)) return -EAGAIN;
  const state = takePrivate(task, dst);
  if (isHugetlb(task, src)) moveHugetlbState(task, src, dst);
  addToLists(task, dst);
  if ((state & PAGE_WAS_MAPPED) !== 0) removeMigrationPtes(task, src, dst);
  folioUnlock(task, dst);
  // The allocation's reference: the new mappings have their own. If none came back, this frees the copy.
  folioPut(task, dst);
  finishSource(task, src, pinnedAnonVma(state));
  folioPut(task, src);
  return 0;
}

/** migrate_folios_undo(): gives up on a folio that is unmapped: the source is mapped again, the destination freed. */
export function migrateFolioUndo(task: Task, src: Pfn, dst: Pfn): Sim<void> {
  const state = takePrivate(task, dst);
  undoSource(task, src, (state & PAGE_WAS_MAPPED) !== 0, pinnedAnonVma(state));
  undoDestination(task, dst);
}

/** move_to_new_folio(). @returns false if the source has references that nobody can account for */
function moveToNewFolio(task: Task, src: Pfn, dst: Pfn): Sim<boolean> {
  const { heap } = task;
  if (isInObject(task, src)) return moveInObject(task, src, dst);
  // A plain look, no freeze: nothing maps the page, so a new reference could only come from one that we see here.
  if (readOncePageRefcount(heap, src) !== ISOLATION_REFS) return false;
  task.check?.migrationCopy(task, src, dst);
  copyFolio(task, src, dst);
  task.check?.guardedWrite(task, 'folioMapping', dst);
  setPageIndex(heap, dst, pageIndex(heap, src));
  // The source keeps its mapping until it is freed.
  writeOncePageMapping(heap, dst, readOncePageMapping(heap, src));
  atomicSetPageFlags(heap, dst, readOncePageFlags(heap, src) & COPIED_FLAGS);
  task.check?.migrationCopied(task, src, dst);
  folioMigrateKsm(task, src, dst);
  return true;
}

/** The same for a page of an object: the object's reference is accounted for too, and moves to the copy. */
function moveInObject(task: Task, src: Pfn, dst: Pfn): Sim<boolean> {
  const { heap } = task;
  const expected = ISOLATION_REFS + 1;
  if (readOncePageRefcount(heap, src) !== expected) return false;
  task.check?.migrationCopy(task, src, dst);
  copyFolio(task, src, dst);
  atomicSetPageFlags(heap, dst, readOncePageFlags(heap, src) & COPIED_FLAGS);
  // The folio lock keeps the page in its object, and so the object.
  const mapping = mappingAddressSpace(readOncePageMapping(heap, src));
  return filemapReplaceFolio(task, mapping, src, dst, expected);
}

/** True for a page of an object (folio_mapping() of one that is not anonymous). @locked folio lock */
function isInObject(task: Task, pfn: Pfn): Sim<boolean> {
  return mappingAddressSpace(readOncePageMapping(task.heap, pfn)) !== NO_ADDRESS_SPACE;
}

/** migrate_folio_undo_src(). */
function undoSource(task: Task, src: Pfn, wasMapped: boolean, anonVma: AnonVmaPtr): Sim<void> {
  if (wasMapped) removeMigrationPtes(task, src, src);
  finishSource(task, src, anonVma);
}

/** migrate_folio_undo_dst(). */
function undoDestination(task: Task, dst: Pfn): Sim<void> {
  folioUnlock(task, dst);
  folioPut(task, dst);
}

/** Contents of a folio of either size. */
function copyFolio(task: Task, src: Pfn, dst: Pfn): Sim<void> {
  if (isHugetlb(task, src)) copyHugeContents(task.heap, src, dst);
  else copyPageContents(task, src, dst);
}

/** The copy can be found by others; a huge one takes the source's place in the pool. */
function addToLists(task: Task, dst: Pfn): Sim<void> {
  if (isHugetlb(task, dst)) atomicSetPageFlags(task.heap, dst, PG_hugetlbMigratable);
  else folioAddLru(task, dst);
}

/** folio_test_hugetlb(). */
export function isHugetlb(task: Task, pfn: Pfn): Sim<boolean> {
  return (readOncePageFlags(task.heap, pfn) & PG_hugetlb) !== 0;
}

/** The end of both ways: lets go of the anon_vma, then wakes who waits at the source's entries. */
function finishSource(task: Task, src: Pfn, anonVma: AnonVmaPtr): Sim<void> {
  if (anonVma !== NO_ANON_VMA) putAnonVma(task, anonVma);
  task.check?.migrationSourceUnlock(task, src);
  folioUnlock(task, src);
}

/** __migrate_folio_extract(): what the unmap recorded in the destination. */
function takePrivate(task: Task, dst: Pfn): Sim<number> {
  const state = pagePrivate(task.heap, dst);
  setPagePrivate(task.heap, dst, 0);
  return state;
}

function pinnedAnonVma(state: number): AnonVmaPtr {
  return (state >>> 1) as AnonVmaPtr;
}
