/**
 * fork: copying the entries of a VMA to the child. Pages are shared read-only; a page that may be pinned is copied for the
 * child at once, since the pin must go on seeing what the parent writes.
 *
 * Lock order here: child's ptl > parent's ptl (nested); both mmapLocks are held for write.
 *
 * Invariants
 *   FORK-1  write_protect_seq is odd while entries are copied: a concurrent GUP-fast gives its pins back, else fork could see
 *           no pin, GUP-fast pin, and fork share the page after all.
 *   FORK-2  The page's reference comes before its mapcount, and both before the child's entry is set.
 *   FORK-3  Migration entries that are writable or exclusive become readable in the parent and in the child: the page comes
 *           back shared.
 *   FORK-4  No flush here: other threads may write through old translations until the end of fork (dupMm flushes).
 *
 * Kernel: copy_page_range(), copy_pte_range(), copy_present_page() in mm/memory.c. Not modelled: swap entries, transparent huge pages,
 * rescheduling (locks are dropped only for who waits for them).
 */

import { assert } from '../base/assert.ts';
import { EAGAIN, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  NO_ANON_VMA,
  NO_PFN,
  NO_TABLE,
  type MmPtr,
  type PageTablePtr,
  type Pfn,
  type PtePtr,
  type PteVal,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { atomicAddMmAnonPages, mmWriteProtectSeq } from '../layout/mm.ts';
import { zeroPfn } from '../layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, readOncePte, tableLock } from '../layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_TYPE_MIGRATION_READ,
  PTE_WRITE,
  PTE_YOUNG,
  makeNonPresentPte,
  makePte,
  pteClear,
  pteIsMigration,
  pteIsNone,
  pteIsPresent,
  pteIsReadableMigration,
  pteIsWritable,
  ptePfn,
} from '../layout/pte.ts';
import { VM_HUGETLB, vmaAnonVma, vmaEnd, vmaFlags, vmaMm, vmaStart } from '../layout/vma.ts';
import { SINGLE_DEPTH_NESTING } from '../locks/lockHooks.ts';
import { writeSeqcountBegin, writeSeqcountEnd } from '../locks/seqCount.ts';
import { spinIsContended, spinLock, spinUnlock } from '../locks/spinLock.ts';
import { vmaAssertWriteLocked } from '../locks/vmaLock.ts';
import { folioAddLru } from './anonFault.ts';
import { copyHugetlbPageRange } from './hugetlbRange.ts';
import { allocFrame, copyPageContents, markUptodate } from './pageAlloc.ts';
import { pteMakeDirtyWritable, vmPageProt } from './pageProt.ts';
import { folioGet, folioPut } from './pageRef.ts';
import { nextBoundary, nextPteTable, pteAlloc } from './pageTable.ts';
import { ptepSetWrprotect, setPteAt } from './pteAccess.ts';
import { pteOffsetMap, pteUnmap } from './pteLock.ts';
import { folioAddNewAnonRmap, folioTryDupAnonRmap, mmHasPinned } from './rmap.ts';

/** Look whether somebody waits for the locks after this much work; an empty entry counts 1, a copied one more. */
const LOCK_BREAK_PROGRESS = 32;
const COPIED_PROGRESS = 8;

/** One VMA's copy: what stays the same, and the page allocated ahead for the next entry that must be copied. */
interface RangeCopy {
  readonly childMm: MmPtr;
  readonly parentMm: MmPtr;
  readonly childVma: VmaPtr;
  readonly parentVma: VmaPtr;
  /** Flags of the child's VMA. */
  readonly flags: number;
  readonly zero: Pfn;
  /** The parent ever pinned anything. */
  hasPinned: boolean;
  prealloc: Pfn;
  /** Entries of the child that count as MM_ANONPAGES, not yet added to its counter. */
  anonPages: number;
}

/**
 * copy_page_range(): gives the child's VMA the parent's pages.
 * @locked both mmapLocks(write), parent's VMA write-locked
 * @returns 0 or -ENOMEM; what was copied until then is unmapped with the child
 */
export function copyPageRange(task: Task, childVma: VmaPtr, parentVma: VmaPtr): Sim<number> {
  const { heap } = task;
  // Never written to, or a mapping of an object: everything there is can be faulted in again.
  if (vmaAnonVma(heap, parentVma) === NO_ANON_VMA) return 0;
  if ((vmaFlags(heap, parentVma) & VM_HUGETLB) !== 0) return copyHugetlbPageRange(task, childVma, parentVma);
  const copy: RangeCopy = {
    childMm: vmaMm(heap, childVma),
    parentMm: vmaMm(heap, parentVma),
    childVma,
    parentVma,
    flags: vmaFlags(heap, childVma),
    zero: zeroPfn(heap),
    hasPinned: false,
    prealloc: NO_PFN,
    anonPages: 0,
  };
  vmaAssertWriteLocked(task, parentVma);
  const seq = mmWriteProtectSeq(copy.parentMm);
  writeSeqcountBegin(task, seq);
  task.check?.forkCopies(task, parentVma, childVma);
  copy.hasPinned = mmHasPinned(task, copy.parentMm);
  const result = copyTables(task, copy, vmaStart(heap, parentVma), vmaEnd(heap, parentVma));
  writeSeqcountEnd(task, seq);
  return result;
}

/** copy_pgd_range() down to copy_pmd_range(): one PTE table after the other, holes skipped. */
function copyTables(task: Task, copy: RangeCopy, start: Vpn, end: Vpn): Sim<number> {
  let at = nextPteTable(task, copy.parentMm, start, end);
  let error = 0;
  while (at < end && error === 0) {
    const boundary = nextBoundary(at, LEVEL_PMD);
    const stop = boundary < end ? boundary : end;
    while (at < stop && error === 0) {
      const next = copyPteRange(task, copy, at, stop);
      if (next < 0) error = next;
      else at = next as Vpn;
    }
    at = nextPteTable(task, copy.parentMm, at, end);
  }
  if (copy.prealloc !== NO_PFN) {
    folioPut(task, copy.prealloc);
    copy.prealloc = NO_PFN;
  }
  return error;
}

/**
 * copy_pte_range(), one hold of the two locks.
 * @returns where it stopped (`end`, or before the entry that comes next), or -ENOMEM
 */
function copyPteRange(task: Task, copy: RangeCopy, start: Vpn, end: Vpn): Sim<number> {
  const { heap } = task;
  const child = pteAlloc(task, copy.childMm, start);
  if (child === NO_TABLE) return -ENOMEM;
  spinLock(task, tableLock(child));
  const parent = pteOffsetMap(task, copy.parentMm, start);
  if (parent === NO_TABLE) {
    spinUnlock(task, tableLock(child));
    return end;
  }
  spinLock(task, tableLock(parent), SINGLE_DEPTH_NESTING);
  let at = start as number;
  let error = 0;
  let progress = 0;
  while (at < end) {
    if (progress >= LOCK_BREAK_PROGRESS) {
      progress = 0;
      if (spinIsContended(task, tableLock(parent)) || spinIsContended(task, tableLock(child))) break;
    }
    const source = entryAt(parent, at as Vpn, LEVEL_PTE);
    const entry = readOncePte(heap, source);
    if (pteIsNone(entry)) {
      progress++;
    } else {
      error = copyEntry(task, copy, at as Vpn, child, source, entry);
      if (error !== 0) break;
      progress += COPIED_PROGRESS;
    }
    at++;
  }
  spinUnlock(task, tableLock(parent));
  pteUnmap(task);
  if (copy.anonPages !== 0) {
    atomicAddMmAnonPages(heap, copy.childMm, copy.anonPages);
    copy.anonPages = 0;
  }
  spinUnlock(task, tableLock(child));
  return error === -EAGAIN && !preallocate(task, copy) ? -ENOMEM : at;
}

/** The page for copyPresentPage, allocated while no lock is held. False without memory. */
function preallocate(task: Task, copy: RangeCopy): Sim<boolean> {
  copy.prealloc = allocFrame(task);
  return copy.prealloc !== NO_PFN;
}

/** Copies one entry that is not none. @locked both ptls. @returns 0, or -EAGAIN: again with a preallocated page */
function copyEntry(
  task: Task,
  copy: RangeCopy,
  vpn: Vpn,
  child: PageTablePtr,
  source: PtePtr,
  entry: PteVal,
): Sim<number> {
  const target = entryAt(child, vpn, LEVEL_PTE);
  if (!pteIsPresent(entry)) {
    copyMigrationEntry(task, copy, vpn, source, target, entry);
    return 0;
  }
  const pfn = ptePfn(entry);
  if (pfn !== copy.zero) {
    folioGet(task, pfn);
    if (folioTryDupAnonRmap(task, pfn, copy.parentVma, copy.hasPinned) !== 0) {
      // The parent's entry stays writable and the page exclusive: the pin belongs to the parent.
      folioPut(task, pfn);
      return copyPresentPage(task, copy, vpn, target, pfn);
    }
    copy.anonPages++;
  }
  let shared = entry;
  if (pteIsWritable(entry)) {
    ptepSetWrprotect(task, copy.parentMm, vpn, source);
    shared = pteClear(entry, PTE_WRITE);
  }
  setPteAt(task, copy.childMm, vpn, target, pteClear(shared, PTE_YOUNG));
  // Allocated for an entry that was not there any more on the second look; the next one gets its own.
  if (copy.prealloc !== NO_PFN) {
    folioPut(task, copy.prealloc);
    copy.prealloc = NO_PFN;
  }
  return 0;
}

/** copy_present_page(): the child gets a page of its own, exclusive at once. @locked both ptls */
function copyPresentPage(task: Task, copy: RangeCopy, vpn: Vpn, target: PtePtr, from: Pfn): Sim<number> {
  const pfn = copy.prealloc;
  if (pfn === NO_PFN) return -EAGAIN;
  copy.prealloc = NO_PFN;
  copyPageContents(task, from, pfn);
  markUptodate(task, pfn);
  folioAddNewAnonRmap(task, pfn, copy.childVma, vpn);
  folioAddLru(task, pfn);
  copy.anonPages++;
  const entry = pteMakeDirtyWritable(makePte(pfn, vmPageProt(copy.flags)), copy.flags);
  setPteAt(task, copy.childMm, vpn, target, entry);
  return 0;
}

/** copy_nonpresent_pte(): no reference and no mapcount; but it counts as a page. @locked both ptls */
function copyMigrationEntry(
  task: Task,
  copy: RangeCopy,
  vpn: Vpn,
  source: PtePtr,
  target: PtePtr,
  entry: PteVal,
): Sim<void> {
  assert(pteIsMigration(entry), 'fork met an entry of unknown type');
  if (task.check !== null) task.check.migrationEntrySeen(task, copy.parentMm, vpn, entry);
  copy.anonPages++;
  let shared = entry;
  if (!pteIsReadableMigration(entry)) {
    shared = makeNonPresentPte(PTE_TYPE_MIGRATION_READ, ptePfn(entry), entry & (PTE_YOUNG | PTE_DIRTY));
    setPteAt(task, copy.parentMm, vpn, source, shared);
  }
  setPteAt(task, copy.childMm, vpn, target, shared);
}
