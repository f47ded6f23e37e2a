/**
 * Faults on hugetlb mappings. There is no zero page, and a page that cannot be had from the pool is a SIGBUS.
 *
 * Lock order here: mmapLock(read) or VMA lock > fault mutex > hugetlb VMA lock(read) > folio lock > PMD lock > hugetlb_lock; fault
 * mutex > i_mmap_rwsem (taking a page from children).
 *
 * Invariants
 *   HFAULT-1  Who holds the fault mutex of a page is alone in allocating it: two faults that each take a page from the pool, where
 *             one is needed, could make one of them fail for nothing.
 *   HFAULT-2  The owner of a private mapping does not fail for its children's sake: if there is no page for its copy, the page is
 *             taken from the children, who get SIGBUS when they miss it.
 *
 * Kernel: hugetlb_fault(), hugetlb_no_page(), hugetlb_wp(), unmap_ref_private() in mm/hugetlb.c. The anon_vma is prepared before
 * the locks, not inside. The children's address is computed from the page's offset; the kernel takes the owner's. Not modelled:
 * userfaultfd, poison, page faults that drop mmapLock.
 */

import { assert } from '../base/assert.ts';
import { EINVAL } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { addressSpacePages, hugetlbVmaLock, iMmapTree } from '../layout/addressSpace.ts';
import { hugetlbFaultMutex } from '../layout/hugetlb.ts';
import {
  NO_PFN,
  NO_TABLE,
  NO_TREE_NODE,
  type AddressSpacePtr,
  type MmPtr,
  type MutexPtr,
  type Pfn,
  type PteVal,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import {
  HUGE_PAGES,
  PG_anonExclusive,
  PG_hugetlbMigratable,
  PG_hugetlbRestoreReserve,
  PG_uptodate,
  atomicClearPageFlags,
  atomicSetPageFlags,
  copyHugeContents,
  fillHugeContents,
  mappingIsAnon,
  readOncePageFlags,
  readOncePageMapcount,
  readOncePageMapping,
} from '../layout/page.ts';
import { readOncePte, tableLock } from '../layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_WRITE,
  PTE_YOUNG,
  makePte,
  pteClear,
  pteIsMigration,
  pteIsNone,
  pteIsPresent,
  pteIsWritable,
  ptePfn,
  pteSet,
} from '../layout/pte.ts';
import {
  HPAGE_RESV_UNMAPPED,
  VM_SHARED,
  VM_WRITE,
  setVmaPrivateData,
  treeNodeVma,
  vmaFile,
  vmaFlags,
  vmaMm,
  vmaPrivateData,
} from '../layout/vma.ts';
import { folioLock, folioTryLock, folioUnlock, migrationEntryWaitOnLocked } from '../locks/folioLock.ts';
import { mutexLock, mutexUnlock } from '../locks/mutex.ts';
import { downRead, downWrite, upRead, upWrite } from '../locks/rwSem.ts';
import { vmfAnonPrepare } from './anonFault.ts';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './faultFlags.ts';
import { filemapAddFolio, filemapGetEntry } from './filemap.ts';
import { folioAddFileRmapPte } from './fileRmap.ts';
import { allocHugetlbFolio, isOwner, restoreReserveOnError } from './hugetlbReserve.ts';
import {
  hugePteAlloc,
  hugePteLock,
  hugePteUnlock,
  hugePtepClearFlush,
  hugeStart,
  hugetlbWalk,
  type HugeEntry,
} from './hugetlbTables.ts';
import { intervalTreeIterFirst, intervalTreeIterNext } from './intervalTree.ts';
import { vmPageProt } from './pageProt.ts';
import { folioGet, folioPut } from './pageRef.ts';
import { setPteAt } from './pteAccess.ts';
import { folioAddNewAnonRmap, folioMoveAnonRmap, folioRemoveRmap } from './rmap.ts';
import { linearPageIndex, vmaAddress } from './vmaAddress.ts';
import { iMmapLockWrite, iMmapUnlockWrite } from './vmaFile.ts';

/** One fault, with what its handlers share (struct vm_fault). */
interface HugeFault {
  readonly mm: MmPtr;
  readonly vma: VmaPtr;
  readonly vpn: Vpn;
  readonly flags: number;
  readonly mapping: AddressSpacePtr;
  /** Offset of the page in the object, in base pages. */
  readonly index: number;
  readonly mutex: MutexPtr;
  readonly entry: HugeEntry;
  orig: PteVal;
}

/**
 * hugetlb_fault().
 *
 * @locked mmapLock or, with FAULT_FLAG_VMA_LOCK, the VMA
 * @returns 0 (look again) or VM_FAULT_*; after VM_FAULT_RETRY the VMA is not locked any more
 */
export function hugetlbFault(task: Task, mm: MmPtr, vma: VmaPtr, at: Vpn, flags: number): Sim<number> {
  const { heap } = task;
  if ((vmaFlags(heap, vma) & VM_SHARED) === 0) {
    const prepared = vmfAnonPrepare(task, mm, vma, flags);
    if (prepared !== 0) return prepared;
  }
  const vpn = hugeStart(at);
  const mapping = vmaFile(heap, vma);
  const index = linearPageIndex(task, vma, vpn);
  const mutex = hugetlbFaultMutex(heap, mapping, index);
  mutexLock(task, mutex);
  downRead(task, hugetlbVmaLock(mapping));
  const entry = hugePteAlloc(task, mm, vpn);
  let result = VM_FAULT_OOM;
  let waits = false;
  if (entry.pmd !== NO_TABLE) {
    const orig = readOncePte(heap, entry.pte);
    const fault: HugeFault = { mm, vma, vpn, flags, mapping, index, mutex, entry, orig };
    waits = pteIsMigration(orig);
    result = waits ? 0 : pteIsNone(orig) ? hugetlbNoPage(task, fault) : presentFault(task, fault);
  }
  upRead(task, hugetlbVmaLock(mapping));
  mutexUnlock(task, mutex);
  if (waits) migrationEntryWaitHuge(task, entry);
  return result;
}

/** migration_entry_wait_huge(). The table stays: the VMA or mmapLock is held. */
function migrationEntryWaitHuge(task: Task, entry: HugeEntry): Sim<void> {
  hugePteLock(task, entry);
  const pte = readOncePte(task.heap, entry.pte);
  if (!pteIsMigration(pte)) {
    hugePteUnlock(task, entry);
    return;
  }
  if (task.check !== null) task.check.migrationEntrySeen(task, entry.mm, entry.vpn, pte);
  migrationEntryWaitOnLocked(task, ptePfn(pte), tableLock(entry.pmd));
}

/** The entry is there: a write to what is not writable, or somebody was faster. */
function presentFault(task: Task, fault: HugeFault): Sim<number> {
  const { heap } = task;
  const { mm, vpn, flags, orig } = fault;
  let result = 0;
  hugePteLock(task, fault.entry);
  if (readOncePte(heap, fault.entry.pte) === orig && (flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE)) !== 0) {
    if (!pteIsWritable(orig)) result = hugetlbWp(task, fault);
    else setPteAt(task, mm, vpn, fault.entry.pte, pteSet(orig, PTE_YOUNG | PTE_DIRTY));
  }
  hugePteUnlock(task, fault.entry);
  return result;
}

/** hugetlb_no_page(): nothing was mapped. A shared object may have the page; a private mapping gets one of its own. */
function hugetlbNoPage(task: Task, fault: HugeFault): Sim<number> {
  const { heap } = task;
  const { vma, flags } = fault;
  // The owner needed the page that was here: what it held is lost.
  if ((vmaPrivateData(heap, vma) & HPAGE_RESV_UNMAPPED) !== 0) return VM_FAULT_SIGBUS;
  const isShared = (vmaFlags(heap, vma) & VM_SHARED) !== 0;
  const found = isShared ? lockCachedFolio(task, fault) : NO_PFN;
  const pfn = found === NO_PFN ? newFolio(task, fault, isShared) : found;
  // Nothing to be had; but migration clears an entry for a moment, and then it was not needed.
  if (pfn < 0) return entryIsNone(task, fault) ? VM_FAULT_SIGBUS : 0;
  hugePteLock(task, fault.entry);
  let result = 0;
  const isFirst = pteIsNone(readOncePte(heap, fault.entry.pte));
  if (isFirst) {
    mapNewEntry(task, fault, pfn as Pfn, isShared);
    // Saves the second fault that the write would have.
    if ((flags & FAULT_FLAG_WRITE) !== 0 && !isShared) result = hugetlbWp(task, fault);
  }
  hugePteUnlock(task, fault.entry);
  if (isFirst && found === NO_PFN) atomicSetPageFlags(heap, pfn as Pfn, PG_hugetlbMigratable);
  if (!isFirst && found === NO_PFN && !isShared) restoreReserveOnError(task, vma, fault.vpn, pfn as Pfn);
  folioUnlock(task, pfn as Pfn);
  if (!isFirst) folioPut(task, pfn as Pfn);
  return result;
}

/** hugetlb_pte_stable(). */
function entryIsNone(task: Task, { entry }: HugeFault): Sim<boolean> {
  hugePteLock(task, entry);
  const isNone = pteIsNone(readOncePte(task.heap, entry.pte));
  hugePteUnlock(task, entry);
  return isNone;
}

/** filemap_lock_hugetlb_folio(): the object's page, locked and with a reference; 0 if it has none. */
function lockCachedFolio(task: Task, { mapping, index }: HugeFault): Sim<Pfn> {
  for (;;) {
    const pfn = filemapGetEntry(task, mapping, index);
    if (pfn === NO_PFN) return NO_PFN;
    folioLock(task, pfn);
    const mappingNow = readOncePageMapping(task.heap, pfn);
    if (mappingNow !== 0) return pfn;
    folioUnlock(task, pfn);
    folioPut(task, pfn);
  }
}

/** A zeroed page, locked; a shared one is in its object. @returns the page, -EINVAL behind the end, or -ENOSPC */
function newFolio(task: Task, { vma, vpn, mapping, index }: HugeFault, isShared: boolean): Sim<number> {
  const { heap } = task;
  if (index >= addressSpacePages(heap, mapping)) return -EINVAL;
  const pfn = allocHugetlbFolio(task, vma, vpn, false);
  if (pfn < 0) return pfn;
  fillHugeContents(heap, pfn as Pfn, 0);
  atomicSetPageFlags(heap, pfn as Pfn, PG_uptodate);
  const locked = folioTryLock(task, pfn as Pfn);
  assert(locked, 'hugetlb: somebody else locked the new folio');
  if (!isShared) return pfn;
  const error = filemapAddFolio(task, mapping, index, pfn as Pfn);
  if (error !== 0) {
    folioUnlock(task, pfn as Pfn);
    restoreReserveOnError(task, vma, vpn, pfn as Pfn);
    folioPut(task, pfn as Pfn);
    return error;
  }
  atomicClearPageFlags(heap, pfn as Pfn, PG_hugetlbRestoreReserve);
  return pfn;
}

/** Maps the page; its reference becomes the entry's. @locked the entry's lock, folio lock */
function mapNewEntry(task: Task, fault: HugeFault, pfn: Pfn, isShared: boolean): Sim<void> {
  const { mm, vma, vpn, entry } = fault;
  if (isShared) {
    folioAddFileRmapPte(task, pfn, vma);
  } else {
    folioAddNewAnonRmap(task, pfn, vma, vpn);
    atomicClearPageFlags(task.heap, pfn, PG_hugetlbRestoreReserve);
  }
  fault.orig = makeHugePte(task, vma, pfn, isShared);
  setPteAt(task, mm, vpn, entry.pte, fault.orig);
}

/** make_huge_pte(). */
function makeHugePte(task: Task, vma: VmaPtr, pfn: Pfn, mayWrite: boolean): Sim<PteVal> {
  const flags = vmaFlags(task.heap, vma);
  const pte = makePte(pfn, vmPageProt(flags) | PTE_HUGE);
  if (mayWrite && (flags & VM_WRITE) !== 0) return pteSet(pte, PTE_WRITE | PTE_DIRTY);
  return pteClear(pte, PTE_WRITE);
}

/**
 * hugetlb_wp(): a write, or a wish for exclusivity, met the present entry `fault.orig`, which is not writable.
 *
 * @locked the entry's lock, which is held on return too (dropped meanwhile); fault mutex, hugetlb VMA lock
 */
function hugetlbWp(task: Task, fault: HugeFault): Sim<number> {
  const { heap } = task;
  const { vma, vpn, flags, orig } = fault;
  const unshare = (flags & FAULT_FLAG_UNSHARE) !== 0;
  const old = ptePfn(orig);
  if ((vmaFlags(heap, vma) & VM_SHARED) !== 0) {
    makeWritable(task, fault);
    return 0;
  }
  // By mapcount, not by references: a copy that was not necessary may cost a child its page.
  while (readOncePageMapcount(heap, old) !== 1 || !mappingIsAnon(readOncePageMapping(heap, old))) {
    const cowFromOwner = isOwner(task, vma);
    folioGet(task, old);
    hugePteUnlock(task, fault.entry);
    const copy = allocHugetlbFolio(task, vma, vpn, cowFromOwner);
    if (copy >= 0) {
      installCopy(task, fault, old, copy as Pfn, unshare);
      folioPut(task, old);
      return 0;
    }
    folioPut(task, old);
    if (cowFromOwner) takeFromChildren(task, fault, old);
    hugePteLock(task, fault.entry);
    if (readOncePte(heap, fault.entry.pte) !== orig) return 0;
    if (!cowFromOwner) return VM_FAULT_SIGBUS;
  }
  if ((readOncePageFlags(heap, old) & PG_anonExclusive) === 0) {
    // The order elsewhere is the other one; who has the folio locked is migrating it, and the entry is about to change.
    if (!folioTryLock(task, old)) return 0;
    folioMoveAnonRmap(task, old, vma);
    folioUnlock(task, old);
    atomicSetPageFlags(heap, old, PG_anonExclusive);
  }
  if (!unshare) makeWritable(task, fault);
  return 0;
}

/** set_huge_ptep_maybe_writable(). @locked the entry's lock */
function makeWritable(task: Task, { mm, vma, vpn, entry, orig }: HugeFault): Sim<void> {
  const flags = (vmaFlags(task.heap, vma) & VM_WRITE) === 0 ? PTE_YOUNG | PTE_DIRTY : PTE_YOUNG | PTE_DIRTY | PTE_WRITE;
  setPteAt(task, mm, vpn, entry.pte, pteSet(orig, flags));
}

/** Puts `copy` in place of `old`, unless the entry changed meanwhile. Takes the entry's lock, and leaves it held. */
function installCopy(task: Task, fault: HugeFault, old: Pfn, copy: Pfn, unshare: boolean): Sim<void> {
  const { heap } = task;
  const { mm, vma, vpn, entry, orig } = fault;
  copyHugeContents(heap, old, copy);
  atomicSetPageFlags(heap, copy, PG_uptodate);
  hugePteLock(task, entry);
  if (readOncePte(heap, entry.pte) !== orig) {
    restoreReserveOnError(task, vma, vpn, copy);
    folioPut(task, copy);
    return;
  }
  hugePtepClearFlush(task, mm, vpn, entry.pte);
  folioRemoveRmap(task, old, vma);
  folioAddNewAnonRmap(task, copy, vma, vpn);
  atomicClearPageFlags(heap, copy, PG_hugetlbRestoreReserve);
  setPteAt(task, mm, vpn, entry.pte, makeHugePte(task, vma, copy, !unshare));
  atomicSetPageFlags(heap, copy, PG_hugetlbMigratable);
  folioPut(task, old);
}

/**
 * unmap_ref_private(): takes the page from every VMA of the object that has no promises. They will miss it (HPAGE_RESV_UNMAPPED).
 *
 * @locked fault mutex and hugetlb VMA lock, dropped meanwhile
 */
function takeFromChildren(task: Task, { vma, mapping, index, mutex }: HugeFault, pfn: Pfn): Sim<void> {
  const { heap } = task;
  upRead(task, hugetlbVmaLock(mapping));
  mutexUnlock(task, mutex);
  downWrite(task, hugetlbVmaLock(mapping));
  iMmapLockWrite(task, mapping);
  const last = index + HUGE_PAGES - 1;
  let node = intervalTreeIterFirst(heap, iMmapTree(mapping), index, last);
  while (node !== NO_TREE_NODE) {
    const other = treeNodeVma(node);
    if (other !== vma && !isOwner(task, other)) takeFrom(task, other, index, pfn);
    node = intervalTreeIterNext(heap, node, index, last);
  }
  iMmapUnlockWrite(task, mapping);
  upWrite(task, hugetlbVmaLock(mapping));
  mutexLock(task, mutex);
  downRead(task, hugetlbVmaLock(mapping));
}

/** unmap_hugepage_range() with a page given: unmaps it if it is there. @locked i_mmap_rwsem for write */
function takeFrom(task: Task, vma: VmaPtr, index: number, pfn: Pfn): Sim<void> {
  const { heap } = task;
  const vpn = vmaAddress(task, vma, index);
  if (vpn < 0) return;
  const mm = vmaMm(heap, vma);
  const entry = hugetlbWalk(task, mm, vpn as Vpn);
  if (entry.pmd === NO_TABLE) return;
  hugePteLock(task, entry);
  const pte = readOncePte(heap, entry.pte);
  const isThere = pteIsPresent(pte) && ptePfn(pte) === pfn;
  if (isThere) {
    setVmaPrivateData(heap, vma, vmaPrivateData(heap, vma) | HPAGE_RESV_UNMAPPED);
    hugePtepClearFlush(task, mm, vpn as Vpn, entry.pte);
    folioRemoveRmap(task, pfn, vma);
  }
  hugePteUnlock(task, entry);
  if (isThere) folioPut(task, pfn);
}
