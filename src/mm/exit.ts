/**
 * The end of an address space: its last user has gone, but rmap walks find its VMAs until each is unlinked.
 *
 * Lock order here: mmapLock (read, then write) > VMA write > anon_vma lock, ptl.
 *
 * Invariants
 *   EXIT-1  Entries go first, then the links of the rmap, then the tables, then (TLBs flushed) pages and tables' memory: a walk
 *           that still sees a VMA finds its tables or none, never freed ones.
 *
 * Kernel: exit_mmap() in mm/mmap.c. Not modelled: notifiers, the OOM reaper (its flag is set), accounting.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { MMF_OOM_SKIP, atomicSetMmFlags, mmMapCount, peekMmLockedVm, setMmMapCount } from '../layout/mm.ts';
import { peekLockedPages, vmaEnd, vmaStart } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { vmaMarkDetached } from '../locks/vmaLock.ts';
import { tlbFinishMmu, tlbGatherMmu } from './mmuGather.ts';
import { freeTables } from './unmapRegion.ts';
import { vmaFree } from './vma.ts';
import { vmaClose, vmaPutFile } from './vmaFile.ts';
import { vmaFind, vmaNext, vmaTreeDestroy } from './vmaTree.ts';
import { unmapVmaRange } from './zap.ts';

const FIRST_VPN = 0 as Vpn;
/** free_pgtables(): up to the end of the address space. */
const NO_CEILING = 0 as Vpn;

/** exit_mmap(): unmaps and frees everything. The struct and its top table stay, for who holds a reference. */
export function exitMmap(task: Task, mm: MmPtr): Sim<void> {
  const { heap } = task;
  mmapReadLock(task, mm);
  const vmas = listVmas(task, mm);
  if (vmas.length === 0) {
    // A fork that failed: it has cleaned up behind itself.
    mmapReadUnlock(task, mm);
    mmapWriteLock(task, mm);
  } else {
    const tlb = tlbGatherMmu(task, mm, true);
    for (const vma of vmas) unmapVmaRange(task, tlb, vma, vmaStart(heap, vma), vmaEnd(heap, vma));
    mmapReadUnlock(task, mm);
    atomicSetMmFlags(heap, mm, MMF_OOM_SKIP);
    mmapWriteLock(task, mm);
    freeTables(task, tlb, mm, vmas, FIRST_VPN, NO_CEILING, true);
    tlbFinishMmu(task, tlb);
    assert(mmMapCount(heap, mm) === vmas.length, 'exit: the count of mappings is wrong');
    assert(lockedPages(task, vmas) === peekMmLockedVm(heap, mm), 'exit: the count of locked pages is wrong');
    freeVmas(task, mm, vmas);
  }
  vmaTreeDestroy(task, mm);
  mmapWriteUnlock(task, mm);
}

/** Sum over VMAs that nobody can change any more; for the assertion alone. */
function lockedPages({ heap }: Task, vmas: readonly VmaPtr[]): number {
  return vmas.reduce((sum, vma) => sum + peekLockedPages(heap, vma), 0);
}

/** All VMAs of the mm in address order. @locked mmapLock */
export function listVmas(task: Task, mm: MmPtr): Sim<VmaPtr[]> {
  const vmas: VmaPtr[] = [];
  for (let vma = vmaFind(task, mm, FIRST_VPN); vma !== NO_VMA; vma = vmaNext(task, mm, vma)) vmas.push(vma);
  return vmas;
}

/** tear_down_vmas(): frees all VMAs of an mm; they are unmapped and unlinked. @locked mmapLock(write), VMA write */
export function freeVmas(task: Task, mm: MmPtr, vmas: readonly VmaPtr[]): Sim<void> {
  for (const vma of vmas) {
    vmaMarkDetached(task, vma);
    vmaClose(task, vma);
    vmaPutFile(task, vma);
    vmaFree(task, vma);
  }
  setMmMapCount(task.heap, mm, 0);
}
