/**
 * Faulting pages in ahead of use: MAP_POPULATE, VM_LOCKED.
 *
 * Lock order here: mmapLock(read), dropped between VMAs.
 *
 * Kernel: __mm_populate(), populate_vma_page_range() in mm/gup.c. Not modelled: MADV_POPULATE_*.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type Vpn } from '../layout/ids.ts';
import { VM_SHARED, VM_WRITE, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { FOLL_WRITE } from './gupFlags.ts';
import { gupFaultIn } from './gupSlow.ts';
import { vmaIsAccessible } from './pageProt.ts';
import { vmaFindRange } from './vmaTree.ts';

/**
 * mm_populate(): touches the pages of [start, end) as their VMAs allow: private writable ones are written, so that nothing
 * is left to be copied later. Errors end the work on their VMA only; nobody is told.
 *
 * @locked nothing
 */
export function faultInPages(task: Task, mm: MmPtr, start: Vpn, end: Vpn): Sim<void> {
  let at = start;
  while (at < end) {
    mmapReadLock(task, mm);
    const vma = vmaFindRange(task, mm, at, end);
    if (vma === NO_VMA) {
      at = end;
    } else {
      const vmaLast = vmaEnd(task.heap, vma);
      const first = vmaStart(task.heap, vma);
      const stop = vmaLast < end ? vmaLast : end;
      const vmFlags = vmaFlags(task.heap, vma);
      const flags = (vmFlags & (VM_WRITE | VM_SHARED)) === VM_WRITE ? FOLL_WRITE : 0;
      if (vmaIsAccessible(vmFlags)) gupFaultIn(task, mm, vma, first > at ? first : at, stop, flags);
      at = stop;
    }
    mmapReadUnlock(task, mm);
  }
}
