/**
 * get_user_pages, the way through the VMAs: each page is looked up under its ptl and faulted in if need be.
 *
 * Lock order here: mmapLock(read) > ptl; faults are handled in between.
 *
 * Kernel: __get_user_pages(), follow_page_pte(), faultin_page() in mm/gup.c. Not modelled: FOLL_FORCE, dropping mmapLock
 * during a fault, moving pages out of movable zones before a long-term pin.
 */

import { EFAULT, EINTR, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_PFN, NO_TABLE, NO_VMA, type MmPtr, type Pfn, type PteVal, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { GUP_PIN_COUNTING_BIAS, PG_dirty, atomicSetPageFlags, readOncePageFlags, zeroPfn } from '../layout/page.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { pteIsAccessible, pteIsDirty, pteIsWritable, ptePfn } from '../layout/pte.ts';
import { VM_HUGETLB, VM_READ, VM_WRITE, vmaFlags } from '../layout/vma.ts';
import { mmapReadLockKillable, mmapReadUnlock } from '../locks/mmapLock.ts';
import { isKilled } from '../locks/sleep.ts';
import { handleMmFault } from './fault.ts';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, VM_FAULT_OOM } from './faultFlags.ts';
import { FOLL_GET, FOLL_PIN, FOLL_WRITE, gupMustUnshare } from './gupFlags.ts';
import { hugePteLock, hugePteUnlock, hugetlbWalk } from './hugetlbTables.ts';
import { folioRefAdd } from './pageRef.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { vmaLookup } from './vmaTree.ts';

/** follow_page: nothing suitable there, the page must be faulted in; or it is there but must be unshared. */
const FAULT_IN = 0 as Pfn;
const UNSHARE = -1 as Pfn;

/**
 * __get_user_pages_locked(), mmapLock taken here: appends `nr` pages from `vpn` on to `pages`, with the references `flags` ask for.
 * @returns number of pages if there were any; else -EFAULT, -ENOMEM or -EINTR
 */
export function gupSlow(task: Task, mm: MmPtr, vpn: Vpn, nr: number, flags: number, pages: Pfn[]): Sim<number> {
  if (mmapReadLockKillable(task, mm) !== 0) return -EINTR;
  let done = 0;
  let error = 0;
  while (done < nr && error === 0) {
    error = getUserPage(task, mm, (vpn + done) as Vpn, flags, pages);
    if (error === 0) done++;
  }
  mmapReadUnlock(task, mm);
  return done > 0 ? done : error;
}

/** One page of __get_user_pages(): appends it and returns 0, or an error. @locked mmapLock(read) */
function getUserPage(task: Task, mm: MmPtr, vpn: Vpn, flags: number, pages: Pfn[]): Sim<number> {
  const vma = vmaLookup(task, mm, vpn);
  if (vma === NO_VMA) return -EFAULT;
  const needed = (flags & FOLL_WRITE) !== 0 ? VM_WRITE : VM_READ;
  if ((vmaFlags(task.heap, vma) & needed) === 0) return -EFAULT;
  const pfn = followOrFaultIn(task, mm, vma, vpn, flags);
  if (pfn < 0) return pfn;
  pages.push(pfn as Pfn);
  if ((flags & FOLL_PIN) !== 0 && task.check !== null) task.check.pinned(task, mm, vpn, pfn as Pfn);
  return 0;
}

/**
 * __get_user_pages() for nobody: faults the pages of [start, end) in, up to the first that cannot be. The mapping allows it.
 * @locked mmapLock
 * @returns 0, -EFAULT, -ENOMEM or -EINTR
 */
export function gupFaultIn(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn, flags: number): Sim<number> {
  for (let at = start as number; at < end; at++) {
    const pfn = followOrFaultIn(task, mm, vma, at as Vpn, flags);
    if (pfn < 0) return pfn;
  }
  return 0;
}

/** follow_page_mask() and faultin_page() until there is a page: the page, or an error. @locked mmapLock(read) */
function followOrFaultIn(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<number> {
  for (;;) {
    if (isKilled(task)) return -EINTR;
    const pfn = followPagePte(task, mm, vma, vpn, flags);
    if (pfn > NO_PFN) return pfn;
    const error = faultinPage(task, mm, vma, vpn, flags, pfn === UNSHARE);
    if (error !== 0) return error;
  }
}

/** follow_page_pte(): the page with its reference taken, or FAULT_IN or UNSHARE. */
function followPagePte(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<Pfn> {
  if ((vmaFlags(task.heap, vma) & VM_HUGETLB) !== 0) return followHugePage(task, mm, vma, vpn, flags);
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) return FAULT_IN;
  const pfn = grabPage(task, vma, readOncePte(task.heap, entryAt(table, vpn, LEVEL_PTE)), flags);
  pteUnmapUnlock(task, table);
  return pfn;
}

/** follow_huge_pmd(): the same in a hugetlb mapping; the reference is one on the whole huge page. */
function followHugePage(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<Pfn> {
  const entry = hugetlbWalk(task, mm, vpn);
  if (entry.pmd === NO_TABLE) return FAULT_IN;
  hugePteLock(task, entry);
  const pfn = grabPage(task, vma, readOncePte(task.heap, entry.pte), flags);
  hugePteUnlock(task, entry);
  return pfn;
}

/** @locked ptl: the mapping's reference keeps the page while ours is taken */
function grabPage(task: Task, vma: VmaPtr, pte: PteVal, flags: number): Sim<Pfn> {
  const { heap } = task;
  if (!pteIsAccessible(pte)) return FAULT_IN;
  if ((flags & FOLL_WRITE) !== 0 && !pteIsWritable(pte)) return FAULT_IN;
  const pfn = ptePfn(pte);
  if (!pteIsWritable(pte) && gupMustUnshare(task, vma, flags, pfn)) return UNSHARE;
  if (pfn === zeroPfn(heap)) return pfn;
  if ((flags & (FOLL_PIN | FOLL_GET)) !== 0)
    folioRefAdd(task, pfn, (flags & FOLL_PIN) !== 0 ? GUP_PIN_COUNTING_BIAS : 1);
  // Whoever got the page will write it behind the entry's back.
  const isClean = !pteIsDirty(pte) && (readOncePageFlags(heap, pfn) & PG_dirty) === 0;
  if ((flags & FOLL_WRITE) !== 0 && isClean) atomicSetPageFlags(heap, pfn, PG_dirty);
  return pfn;
}

/** faultin_page(): 0 = look again. @locked mmapLock(read) */
function faultinPage(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number, unshare: boolean): Sim<number> {
  let faultFlags = (flags & FOLL_WRITE) !== 0 ? FAULT_FLAG_WRITE : 0;
  if (unshare) faultFlags |= FAULT_FLAG_UNSHARE;
  const fault = handleMmFault(task, mm, vma, vpn, faultFlags);
  if (fault === 0) return 0;
  return fault === VM_FAULT_OOM ? -ENOMEM : -EFAULT;
}
