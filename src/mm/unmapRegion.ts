/**
 * Taking the pages, the rmap links and the page tables of detached VMAs away.
 *
 * Between zap and unlink the VMAs are still visible to rmap walks, so whoever holds only rmap locks must not turn an empty
 * entry into anything.
 *
 * Lock order here: mmapLock (read suffices once the VMAs are out of the tree) > VMA write > anon_vma root(write) or i_mmap_rwsem(write).
 *
 * Kernel: unmap_region(), unmap_vmas(), free_pgtables() in mm/vma.c and mm/memory.c.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, VmaPtr, Vpn } from '../layout/ids.ts';
import { vmaEnd, vmaStart } from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { unlinkAnonVmas } from './unlinkAnonVmas.ts';
import { tlbFinishMmu, tlbGatherMmu, type MmuGather } from './mmuGather.ts';
import { freePgtables } from './pageTable.ts';
import { unlinkFileVma } from './vmaFile.ts';
import { unmapVmaRange } from './zap.ts';

/**
 * Unmaps all pages of `vmas`, which are detached and in address order, and frees the tables that only they used.
 *
 * @param floor end of the nearest VMA below, 0 without one
 * @param ceiling start of the nearest VMA above, 0 without one
 * @param mmWrLocked the mmap lock is held for write; false after a downgrade
 */
export function unmapRegion(
  task: Task,
  mm: MmPtr,
  vmas: readonly VmaPtr[],
  floor: Vpn,
  ceiling: Vpn,
  mmWrLocked: boolean,
): Sim<void> {
  const { heap } = task;
  const tlb = tlbGatherMmu(task, mm, false);
  for (const vma of vmas) unmapVmaRange(task, tlb, vma, vmaStart(heap, vma), vmaEnd(heap, vma));
  freeTables(task, tlb, mm, vmas, floor, ceiling, mmWrLocked);
  tlbFinishMmu(task, tlb);
}

/** Each VMA leaves the rmap before its tables go: a walk that is in a table holds the rmap lock (free_pgtables). */
export function freeTables(
  task: Task,
  tlb: MmuGather,
  mm: MmPtr,
  vmas: readonly VmaPtr[],
  floor: Vpn,
  ceiling: Vpn,
  mmWrLocked: boolean,
): Sim<void> {
  const { heap } = task;
  for (let i = 0; i < vmas.length; i++) {
    const vma = vmas[i];
    if (mmWrLocked) vmaStartWrite(task, mm, vma);
    unlinkAnonVmas(task, vma);
    unlinkFileVma(task, vma);
    const next = vmas[i + 1];
    const top = next === undefined ? ceiling : vmaStart(heap, next);
    freePgtables(task, tlb, mm, vmaStart(heap, vma), vmaEnd(heap, vma), floor, top);
  }
}
