/**
 * Faulting pages in ahead of use: MAP_POPULATE, VM_LOCKED, MADV_POPULATE_*.
 *
 * Lock order here: mmapLock(read) over the whole range.
 *
 * Kernel: __mm_populate(), populate_vma_page_range(), faultin_page_range() in mm/gup.c. Not modelled: dropping mmapLock when
 * a fault has to wait.
 */

import { EFAULT, EINVAL, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { VM_LOCKONFAULT, VM_READ, VM_SHARED, VM_WRITE, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { FOLL_WRITE } from './gupFlags.ts';
import { gupFaultIn } from './gupSlow.ts';
import { vmaIsAccessible } from './pageProt.ts';
import { vmaFindRange, vmaLookup } from './vmaTree.ts';

/** mm_populate(): as populateRange, but errors end the work on their VMA only and nobody is told. @locked nothing */
export function faultInPages(task: Task, mm: MmPtr, start: Vpn, end: Vpn): Sim<void> {
  populateRange(task, mm, start, end, true);
}

/**
 * __mm_populate(): touches the pages of [start, end) as their VMAs allow; holes are passed over.
 *
 * @locked nothing
 * @returns 0; or the first error, nothing behind it touched: -EFAULT, -ENOMEM or -EINTR
 */
export function populateRange(task: Task, mm: MmPtr, start: Vpn, end: Vpn, ignoreErrors: boolean): Sim<number> {
  const { heap } = task;
  let error = 0;
  let at = start;
  mmapReadLock(task, mm);
  while (at < end && error === 0) {
    const vma = vmaFindRange(task, mm, at, end);
    if (vma === NO_VMA) break;
    const first = vmaStart(heap, vma);
    const last = vmaEnd(heap, vma);
    const stop = last < end ? last : end;
    error = populateVmaPageRange(task, mm, vma, first > at ? first : at, stop);
    if (ignoreErrors) error = 0;
    at = stop;
  }
  mmapReadUnlock(task, mm);
  return error;
}

/**
 * populate_vma_page_range(): private writable pages are written, so that nothing is left to be copied later; the others are
 * read. Memory that is locked page by page, as it is touched, is left alone.
 *
 * @locked mmapLock; [start, end) lies in the VMA
 * @returns 0, -EFAULT (no access to the mapping, or no page behind it), -ENOMEM or -EINTR
 */
export function populateVmaPageRange(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn): Sim<number> {
  const vmFlags = vmaFlags(task.heap, vma);
  if ((vmFlags & VM_LOCKONFAULT) !== 0) return 0;
  if (!vmaIsAccessible(vmFlags)) return -EFAULT;
  const flags = (vmFlags & (VM_WRITE | VM_SHARED)) === VM_WRITE ? FOLL_WRITE : 0;
  return gupFaultIn(task, mm, vma, start, end, flags);
}

/**
 * faultin_page_range(): touches the pages of [start, end) up to the first that cannot be.
 *
 * @locked mmapLock(read)
 * @returns 0; -ENOMEM for a hole or without memory, -EINVAL for a mapping without the right to read (or to write),
 *          -EFAULT where there is no page behind the mapping, -EINTR
 */
export function faultinPageRange(task: Task, mm: MmPtr, start: Vpn, end: Vpn, write: boolean): Sim<number> {
  const { heap } = task;
  let at = start;
  while (at < end) {
    const vma = vmaLookup(task, mm, at);
    if (vma === NO_VMA) return -ENOMEM;
    if ((vmaFlags(heap, vma) & (write ? VM_WRITE : VM_READ)) === 0) return -EINVAL;
    const last = vmaEnd(heap, vma);
    const stop = last < end ? last : end;
    const error = gupFaultIn(task, mm, vma, at, stop, write ? FOLL_WRITE : 0);
    if (error !== 0) return error;
    at = stop;
  }
  return 0;
}
