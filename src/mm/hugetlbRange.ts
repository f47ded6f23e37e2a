/**
 * What is done to all huge pages of a range: unmapping, copying for fork, moving for mremap, changing the protection. The range is
 * made of whole huge pages.
 *
 * Lock order here: hugetlb VMA lock(write) > i_mmap_rwsem(write) > PMD locks, two of them nested under mmapLock(write).
 *
 * Invariants
 *   HRANGE-1  Faults are kept out while entries go or move: they hold the hugetlb VMA lock for reading. A walk
 *             over an object's tree is kept out of a move by i_mmap_rwsem; one over an anon_vma meets the copy after the source.
 *
 * Kernel: __unmap_hugepage_range(), copy_hugetlb_page_range(), move_hugetlb_page_tables(), hugetlb_change_protection() in
 * mm/hugetlb.c. Not modelled: PMD sharing, userfaultfd, poison.
 */

import { assert } from '../base/assert.ts';
import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { hugetlbVmaLock } from '../layout/addressSpace.ts';
import {
  NO_ANON_VMA,
  NO_PFN,
  NO_TABLE,
  type MmPtr,
  type Pfn,
  type PteVal,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { mmWriteProtectSeq } from '../layout/mm.ts';
import {
  HUGE_PAGES,
  PG_dirty,
  PG_hugetlbMigratable,
  PG_hugetlbRestoreReserve,
  PG_uptodate,
  atomicClearPageFlags,
  atomicSetPageFlags,
  copyHugeContents,
  mappingIsAnon,
  readOncePageMapping,
} from '../layout/page.ts';
import { readOncePte } from '../layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_NONE,
  PTE_TYPE_MIGRATION_READ,
  PTE_TYPE_MIGRATION_READ_EXCLUSIVE,
  PTE_WRITE,
  PTE_YOUNG,
  makeNonPresentPte,
  makePte,
  pteClear,
  pteIsDirty,
  pteIsMigration,
  pteIsNone,
  pteIsPresent,
  pteIsReadableMigration,
  pteIsWritableMigration,
  ptePfn,
} from '../layout/pte.ts';
import { vmaAnonVma, vmaEnd, vmaFile, vmaFlags, vmaMm, vmaStart } from '../layout/vma.ts';
import { SINGLE_DEPTH_NESTING } from '../locks/lockHooks.ts';
import { downWrite, upWrite } from '../locks/rwSem.ts';
import { writeSeqcountBegin, writeSeqcountEnd } from '../locks/seqCount.ts';
import { allocHugetlbFolio, restoreReserveOnUnmap } from './hugetlbReserve.ts';
import { hugePteAlloc, hugePteLock, hugePteUnlock, hugetlbWalk, type HugeEntry } from './hugetlbTables.ts';
import { tlbFlushPteRange, tlbRemovePage, type MmuGather } from './mmuGather.ts';
import { pteMakeDirtyWritable, vmPageProt } from './pageProt.ts';
import { folioGet, folioPut } from './pageRef.ts';
import { ptepGetAndClear, ptepSetWrprotect, setPteAt } from './pteAccess.ts';
import { folioAddNewAnonRmap, folioRemoveRmap, folioTryDupAnonRmap, mmHasPinned } from './rmap.ts';
import { flushTlbRange } from './tlbFlush.ts';
import { iMmapLockWrite, iMmapUnlockWrite } from './vmaFile.ts';

/** __unmap_hugepage_range() between hugetlb_zap_begin() and _end(). @locked as unmapVmaRange */
export function unmapHugepageRange(task: Task, tlb: MmuGather, vma: VmaPtr, start: Vpn, end: Vpn): Sim<void> {
  const mapping = vmaFile(task.heap, vma);
  downWrite(task, hugetlbVmaLock(mapping));
  iMmapLockWrite(task, mapping);
  for (let at = start as number; at < end; at += HUGE_PAGES) unmapHugePage(task, tlb, vma, at as Vpn);
  iMmapUnlockWrite(task, mapping);
  upWrite(task, hugetlbVmaLock(mapping));
}

function unmapHugePage(task: Task, tlb: MmuGather, vma: VmaPtr, vpn: Vpn): Sim<void> {
  const { heap } = task;
  const { mm } = tlb;
  const entry = hugetlbWalk(task, mm, vpn);
  if (entry.pmd === NO_TABLE) return;
  hugePteLock(task, entry);
  const seen = readOncePte(heap, entry.pte);
  let removed = NO_PFN;
  if (pteIsPresent(seen)) {
    const old = ptepGetAndClear(task, mm, vpn, entry.pte);
    removed = ptePfn(old);
    if (pteIsDirty(old)) atomicSetPageFlags(heap, removed, PG_dirty);
    folioRemoveRmap(task, removed, vma);
  } else if (!pteIsNone(seen)) {
    zapMigrationEntry(task, entry, seen);
  }
  hugePteUnlock(task, entry);
  if (removed === NO_PFN) return;
  if (mappingIsAnon(readOncePageMapping(heap, removed))) restoreReserveOnUnmap(task, vma, vpn, removed);
  tlbFlushPteRange(tlb, vpn, (vpn + HUGE_PAGES) as Vpn);
  // A page too many in the gather does no harm: huge ones are few.
  tlbRemovePage(task, tlb, removed);
}

function zapMigrationEntry(task: Task, entry: HugeEntry, seen: PteVal): Sim<void> {
  assert(pteIsMigration(seen), 'hugetlb: zap of an entry of unknown type');
  if (task.check !== null) task.check.migrationEntrySeen(task, entry.mm, entry.vpn, seen);
  setPteAt(task, entry.mm, entry.vpn, entry.pte, PTE_NONE);
}

/**
 * copy_hugetlb_page_range() of a private mapping; of a shared one nothing is copied.
 *
 * @locked both mmapLocks(write), parent's VMA write-locked
 * @returns 0 or -ENOMEM
 */
export function copyHugetlbPageRange(task: Task, childVma: VmaPtr, parentVma: VmaPtr): Sim<number> {
  const { heap } = task;
  if (vmaAnonVma(heap, parentVma) === NO_ANON_VMA) return 0;
  const parentMm = vmaMm(heap, parentVma);
  const seq = mmWriteProtectSeq(parentMm);
  writeSeqcountBegin(task, seq);
  const end = vmaEnd(heap, parentVma);
  let error = 0;
  for (let at = vmaStart(heap, parentVma) as number; at < end && error === 0; at += HUGE_PAGES) {
    error = copyHugePage(task, childVma, parentVma, at as Vpn);
  }
  writeSeqcountEnd(task, seq);
  return error;
}

function copyHugePage(task: Task, childVma: VmaPtr, parentVma: VmaPtr, vpn: Vpn): Sim<number> {
  const { heap } = task;
  const source = hugetlbWalk(task, vmaMm(heap, parentVma), vpn);
  if (source.pmd === NO_TABLE || pteIsNone(readOncePte(heap, source.pte))) return 0;
  const target = hugePteAlloc(task, vmaMm(heap, childVma), vpn);
  if (target.pmd === NO_TABLE) return -ENOMEM;
  let copy = NO_PFN;
  for (;;) {
    hugePteLock(task, target);
    hugePteLock(task, source, SINGLE_DEPTH_NESTING);
    const pinned = copyHugeEntry(task, childVma, parentVma, source, target, copy);
    hugePteUnlock(task, source);
    hugePteUnlock(task, target);
    if (pinned === NO_PFN) return 0;
    // The page may be pinned: the child gets a copy, which is made without the locks.
    const pfn = allocHugetlbFolio(task, childVma, vpn, false);
    if (pfn < 0) {
      folioPut(task, pinned);
      return -ENOMEM;
    }
    copy = pfn as Pfn;
    copyHugeContents(heap, pinned, copy);
    atomicSetPageFlags(heap, copy, PG_uptodate);
    folioPut(task, pinned);
  }
}

/**
 * One entry that may not be none. @locked both entries' locks
 * @returns 0, or the page, referenced, of which `copy` must be a copy first
 */
function copyHugeEntry(
  task: Task,
  childVma: VmaPtr,
  parentVma: VmaPtr,
  source: HugeEntry,
  target: HugeEntry,
  copy: Pfn,
): Sim<Pfn> {
  const { heap } = task;
  const { vpn } = source;
  const entry = readOncePte(heap, source.pte);
  let isUsed = false;
  let pinned = NO_PFN;
  if (pteIsMigration(entry)) {
    copyMigrationEntry(task, source, target, entry);
  } else if (pteIsPresent(entry)) {
    const pfn = ptePfn(entry);
    folioGet(task, pfn);
    if (folioTryDupAnonRmap(task, pfn, parentVma, mmHasPinned(task, source.mm)) === 0) {
      ptepSetWrprotect(task, source.mm, vpn, source.pte);
      setPteAt(task, target.mm, vpn, target.pte, pteClear(entry, PTE_WRITE));
    } else if (copy !== NO_PFN) {
      isUsed = true;
      folioPut(task, pfn);
      installFolio(task, childVma, target, copy);
    } else {
      pinned = pfn;
    }
  }
  if (copy !== NO_PFN && !isUsed) folioPut(task, copy);
  return pinned;
}

/** hugetlb_install_folio(). @locked the entry's lock */
function installFolio(task: Task, vma: VmaPtr, { mm, vpn, pte }: HugeEntry, pfn: Pfn): Sim<void> {
  const { heap } = task;
  const flags = vmaFlags(heap, vma);
  folioAddNewAnonRmap(task, pfn, vma, vpn);
  atomicClearPageFlags(heap, pfn, PG_hugetlbRestoreReserve);
  atomicSetPageFlags(heap, pfn, PG_hugetlbMigratable);
  setPteAt(task, mm, vpn, pte, pteMakeDirtyWritable(makePte(pfn, vmPageProt(flags) | PTE_HUGE), flags));
}

function copyMigrationEntry(task: Task, source: HugeEntry, target: HugeEntry, entry: PteVal): Sim<void> {
  if (task.check !== null) task.check.migrationEntrySeen(task, source.mm, source.vpn, entry);
  let shared = entry;
  if (!pteIsReadableMigration(entry)) {
    const kept = entry & (PTE_YOUNG | PTE_DIRTY | PTE_HUGE);
    shared = makeNonPresentPte(PTE_TYPE_MIGRATION_READ, ptePfn(entry), kept);
    setPteAt(task, source.mm, source.vpn, source.pte, shared);
  }
  setPteAt(task, target.mm, target.vpn, target.pte, shared);
}

/**
 * move_hugetlb_page_tables().
 *
 * @locked mmapLock(write), both VMAs write-locked
 * @returns pages moved: nrPages, or fewer when there was no memory for a table
 */
export function moveHugetlbPageTables(task: Task, vma: VmaPtr, from: Vpn, to: Vpn, nrPages: number): Sim<number> {
  const { heap } = task;
  const mm = vmaMm(heap, vma);
  const mapping = vmaFile(heap, vma);
  downWrite(task, hugetlbVmaLock(mapping));
  iMmapLockWrite(task, mapping);
  let moved = 0;
  for (; moved < nrPages; moved += HUGE_PAGES) {
    if (!moveHugePage(task, mm, (from + moved) as Vpn, (to + moved) as Vpn)) break;
  }
  flushTlbRange(task, mm, from, (from + nrPages) as Vpn);
  iMmapUnlockWrite(task, mapping);
  upWrite(task, hugetlbVmaLock(mapping));
  return moved;
}

/** move_huge_pte(). @returns false without memory for a table */
function moveHugePage(task: Task, mm: MmPtr, from: Vpn, to: Vpn): Sim<boolean> {
  const { heap } = task;
  const source = hugetlbWalk(task, mm, from);
  if (source.pmd === NO_TABLE || pteIsNone(readOncePte(heap, source.pte))) return true;
  const target = hugePteAlloc(task, mm, to);
  if (target.pmd === NO_TABLE) return false;
  hugePteLock(task, target);
  if (source.pmd !== target.pmd) hugePteLock(task, source, SINGLE_DEPTH_NESTING);
  const old = ptepGetAndClear(task, mm, from, source.pte);
  assert(pteIsNone(readOncePte(heap, target.pte)), 'mremap moves a huge page onto another');
  setPteAt(task, mm, to, target.pte, old);
  // Before the locks go: the page could be unmapped and freed at its new place.
  flushTlbRange(task, mm, from, (from + HUGE_PAGES) as Vpn);
  if (task.check !== null) task.check.ptesMoved(task, mm, from, HUGE_PAGES);
  if (source.pmd !== target.pmd) hugePteUnlock(task, source);
  hugePteUnlock(task, target);
  return true;
}

/**
 * hugetlb_change_protection(): entries get the protection of `newFlags`; what must be exclusive to be writable waits for a fault.
 *
 * @locked mmapLock(write), VMA write-locked
 * @returns number of entries changed
 */
export function hugetlbChangeProtection(task: Task, vma: VmaPtr, start: Vpn, end: Vpn, newFlags: number): Sim<number> {
  const mapping = vmaFile(task.heap, vma);
  let changed = 0;
  downWrite(task, hugetlbVmaLock(mapping));
  iMmapLockWrite(task, mapping);
  for (let at = start as number; at < end; at += HUGE_PAGES) {
    if (protectHugePage(task, vma, at as Vpn, newFlags)) changed++;
  }
  // Under i_mmap_rwsem, not with the gather of the other mappings.
  flushTlbRange(task, vmaMm(task.heap, vma), start, end);
  iMmapUnlockWrite(task, mapping);
  upWrite(task, hugetlbVmaLock(mapping));
  return changed;
}

function protectHugePage(task: Task, vma: VmaPtr, vpn: Vpn, newFlags: number): Sim<boolean> {
  const { heap } = task;
  const mm = vmaMm(heap, vma);
  const entry = hugetlbWalk(task, mm, vpn);
  if (entry.pmd === NO_TABLE) return false;
  hugePteLock(task, entry);
  const seen = readOncePte(heap, entry.pte);
  let changed = true;
  if (pteIsPresent(seen)) {
    const old = ptepGetAndClear(task, mm, vpn, entry.pte);
    const kept = old & (PTE_YOUNG | PTE_DIRTY);
    const prot = vmPageProt(newFlags) & ~PTE_YOUNG;
    setPteAt(task, mm, vpn, entry.pte, makePte(ptePfn(old), prot | kept | PTE_HUGE));
  } else {
    changed = pteIsWritableMigration(seen);
    if (changed) takeWriteFromMigrationEntry(task, entry, seen);
  }
  hugePteUnlock(task, entry);
  return changed;
}

function takeWriteFromMigrationEntry(task: Task, { mm, vpn, pte }: HugeEntry, old: PteVal): Sim<void> {
  if (task.check !== null) task.check.migrationEntrySeen(task, mm, vpn, old);
  const isAnon = mappingIsAnon(readOncePageMapping(task.heap, ptePfn(old)));
  const type = isAnon ? PTE_TYPE_MIGRATION_READ_EXCLUSIVE : PTE_TYPE_MIGRATION_READ;
  setPteAt(task, mm, vpn, pte, makeNonPresentPte(type, ptePfn(old), old & (PTE_YOUNG | PTE_DIRTY | PTE_HUGE)));
}
