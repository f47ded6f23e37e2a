/**
 * Who may count on a page of the pool. A mapping promises its pages to itself when it is made: a private one to the process that
 * made it, a shared one to everybody who maps the object. A fault uses a promise up.
 *
 *   shared    a bit of the object's map: this page was promised, or allocated
 *   private   a bit of the map: the promise for this page is used up; the map is of use to the owner's VMAs only
 *
 * Lock order here: hugetlb_lock, alone.
 *
 * Kernel: hugetlb_reserve_pages(), hugetlb_unreserve_pages(), vma_needs_reservation() and kin, alloc_hugetlb_folio(),
 * hugetlb_vm_op_close() in mm/hugetlb.c. The kernel keeps regions in lists, with a reference count; here they are bits in the object.
 * Not modelled: MAP_NORESERVE with strict overcommit, truncation of mapped objects.
 */

import { ENOMEM, ENOSPC } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { addressSpacePages, reservationBit, setReservationBit } from '../layout/addressSpace.ts';
import { atomicAddHugetlbStranded, hugetlbLock } from '../layout/hugetlb.ts';
import { NO_PFN, type AddressSpacePtr, type Pfn, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { HUGE_PAGES, PG_hugetlbRestoreReserve, atomicSetPageFlags, readOncePageFlags } from '../layout/page.ts';
import {
  HPAGE_RESV_OWNER,
  VM_NORESERVE,
  VM_SHARED,
  setVmaPrivateData,
  vmaEnd,
  vmaFile,
  vmaFlags,
  vmaPrivateData,
  vmaStart,
} from '../layout/vma.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { dequeueHugetlbFolio, hugetlbAcctMemory } from './hugetlbPool.ts';
import { linearPageIndex } from './vmaAddress.ts';

/**
 * hugetlb_reserve_pages(): the promises of a new mapping.
 *
 * @locked mmapLock(write); the VMA is not linked yet
 * @returns 0 or -ENOMEM
 */
export function hugetlbReservePages(task: Task, vma: VmaPtr): Sim<number> {
  const { heap } = task;
  const flags = vmaFlags(heap, vma);
  if ((flags & VM_NORESERVE) !== 0) return 0;
  const mapping = vmaFile(heap, vma);
  const pages = addressSpacePages(heap, mapping) / HUGE_PAGES;
  if (hugetlbAcctMemory(task, pages) !== 0) return -ENOMEM;
  if ((flags & VM_SHARED) === 0) {
    setVmaPrivateData(heap, vma, HPAGE_RESV_OWNER);
    return 0;
  }
  for (let index = 0; index < pages; index++) setBit(task, mapping, index, true);
  return 0;
}

/**
 * hugetlb_vm_op_close(): an owner's VMA goes, and with it what it was promised and did not use. Once only.
 *
 * @locked mmapLock; the VMA is detached and its pages are unmapped
 */
export function hugetlbClose(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  if (!isOwner(task, vma)) return;
  const unused = unusedPromises(task, vma, vmaStart(heap, vma), vmaEnd(heap, vma));
  if (unused > 0) hugetlbAcctMemory(task, -unused);
  setVmaPrivateData(heap, vma, 0);
}

/**
 * fixup_hugetlb_reservations(): [start, end) of the VMA was moved, and what was promised to the VMA is the copy's business now. All
 * of it: what was promised for the part that stays is nobody's, and the pool never gets it back.
 *
 * @locked mmapLock(write), VMA write
 */
export function fixupHugetlbReservations(task: Task, vma: VmaPtr, start: Vpn, end: Vpn): Sim<void> {
  const { heap } = task;
  if (!isOwner(task, vma)) return;
  const before = unusedPromises(task, vma, vmaStart(heap, vma), start);
  const behind = unusedPromises(task, vma, end, vmaEnd(heap, vma));
  atomicAddHugetlbStranded(heap, before + behind);
  setVmaPrivateData(heap, vma, 0);
}

/** Promises for [start, end) of an owner's VMA that are not used up. */
function unusedPromises(task: Task, vma: VmaPtr, start: Vpn, end: Vpn): Sim<number> {
  let unused = 0;
  for (let at = start as number; at < end; at += HUGE_PAGES) {
    if (!testBit(task, vmaFile(task.heap, vma), hugeIndex(task, vma, at as Vpn))) unused++;
  }
  return unused;
}

/** hugetlb_unreserve_pages(): a shared object ends that had `allocated` pages. */
export function hugetlbUnreserveObject(task: Task, mapping: AddressSpacePtr, allocated: number): Sim<void> {
  const pages = addressSpacePages(task.heap, mapping) / HUGE_PAGES;
  let promised = 0;
  for (let index = 0; index < pages; index++) if (testBit(task, mapping, index)) promised++;
  if (promised > allocated) hugetlbAcctMemory(task, allocated - promised);
}

/**
 * alloc_hugetlb_folio(): a page for the fault at `vpn`.
 *
 * @param cowFromOwner a copy for the owner of a private mapping: it had the promised page already
 * @locked the fault mutex of the page
 * @returns the page, or -ENOSPC
 */
export function allocHugetlbFolio(task: Task, vma: VmaPtr, vpn: Vpn, cowFromOwner: boolean): Sim<number> {
  const reserved = !cowFromOwner && !vmaNeedsReservation(task, vma, vpn);
  const pfn = dequeueHugetlbFolio(task, reserved);
  if (pfn === NO_PFN) return -ENOSPC;
  if (!cowFromOwner) vmaCommitReservation(task, vma, vpn, true);
  return pfn;
}

/** restore_reserve_on_error(): the page of allocHugetlbFolio is not mapped after all; freeing it gives the promise back. */
export function restoreReserveOnError(task: Task, vma: VmaPtr, vpn: Vpn, pfn: Pfn): Sim<void> {
  const restored = (readOncePageFlags(task.heap, pfn) & PG_hugetlbRestoreReserve) !== 0;
  const isShared = (vmaFlags(task.heap, vma) & VM_SHARED) !== 0;
  // A shared page that was not promised left a bit that would count as a promise now.
  if (restored !== isShared) vmaCommitReservation(task, vma, vpn, false);
}

/** An owner's page is unmapped: the promise is its own again as soon as the page is free (__unmap_hugepage_range). */
export function restoreReserveOnUnmap(task: Task, vma: VmaPtr, vpn: Vpn, pfn: Pfn): Sim<void> {
  if (!isOwner(task, vma)) return;
  atomicSetPageFlags(task.heap, pfn, PG_hugetlbRestoreReserve);
  if (vmaNeedsReservation(task, vma, vpn)) vmaCommitReservation(task, vma, vpn, false);
}

/** True for a private mapping of the process that made it, with promises. */
export function isOwner(task: Task, vma: VmaPtr): Sim<boolean> {
  const { heap } = task;
  return (vmaFlags(heap, vma) & VM_SHARED) === 0 && (vmaPrivateData(heap, vma) & HPAGE_RESV_OWNER) !== 0;
}

/** vma_needs_reservation(): true if nothing was promised for the page, or that is used up. */
function vmaNeedsReservation(task: Task, vma: VmaPtr, vpn: Vpn): Sim<boolean> {
  const { heap } = task;
  const bit = testBit(task, vmaFile(heap, vma), hugeIndex(task, vma, vpn));
  if ((vmaFlags(heap, vma) & VM_SHARED) !== 0) return !bit;
  return !isOwner(task, vma) || bit;
}

/** vma_commit_reservation(), or (`used` false) its reversal: notes that the page's promise is used up. */
function vmaCommitReservation(task: Task, vma: VmaPtr, vpn: Vpn, used: boolean): Sim<void> {
  const isShared = (vmaFlags(task.heap, vma) & VM_SHARED) !== 0;
  if (isShared || isOwner(task, vma)) setBit(task, vmaFile(task.heap, vma), hugeIndex(task, vma, vpn), used);
}

/** Number of the huge page at `vpn` in the object. */
function hugeIndex(task: Task, vma: VmaPtr, vpn: Vpn): Sim<number> {
  return Math.floor(linearPageIndex(task, vma, vpn) / HUGE_PAGES);
}

function testBit(task: Task, mapping: AddressSpacePtr, index: number): Sim<boolean> {
  const lock = hugetlbLock(task.heap);
  spinLock(task, lock);
  const bit = reservationBit(task.heap, mapping, index);
  spinUnlock(task, lock);
  return bit;
}

function setBit(task: Task, mapping: AddressSpacePtr, index: number, value: boolean): Sim<void> {
  const lock = hugetlbLock(task.heap);
  spinLock(task, lock);
  setReservationBit(task.heap, mapping, index, value);
  spinUnlock(task, lock);
}
