/**
 * First touch of an anonymous page: a read maps the shared zero page, a write a fresh zeroed one.
 *
 * Lock order here: mmapLock(read) or VMA lock > anon_vma lock (inside anonVmaPrepare) ... > ptl.
 *
 * Invariants
 *   FAULT-1  The page is uptodate, has its rmap and its count before its entry is visible.
 *   FAULT-2  Nothing was present, so nothing is flushed.
 *
 * Kernel: do_anonymous_page(), __vmf_anon_prepare() in mm/memory.c. Not modelled: mTHP, userfaultfd, memcg.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, NO_PFN, NO_TABLE, type MmPtr, type Pfn, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { MMF_UNSTABLE, atomicAddMmAnonPages, readOnceMmFlags } from '../layout/mm.ts';
import { PG_lru, atomicSetPageFlags, zeroPfn } from '../layout/page.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { makePte, pteIsNone } from '../layout/pte.ts';
import { readOnceVmaAnonVma, vmaFlags } from '../layout/vma.ts';
import { mmapReadTrylock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { vmaEndRead } from '../locks/vmaLock.ts';
import { anonVmaPrepare } from './anonVmaPrepare.ts';
import { FAULT_FLAG_VMA_LOCK, FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_RETRY, VM_FAULT_SIGBUS } from './faultFlags.ts';
import { allocZeroedFolio } from './pageAlloc.ts';
import { pteMakeDirtyWritable, vmPageProt } from './pageProt.ts';
import { folioPut } from './pageRef.ts';
import { setPteAt } from './pteAccess.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { folioAddNewAnonRmap } from './rmap.ts';

/**
 * do_anonymous_page(): the entry of `vpn` was none when it was looked at; its table exists.
 * @locked mmapLock or the VMA (FAULT_FLAG_VMA_LOCK)
 * @returns 0 or VM_FAULT_*; after VM_FAULT_RETRY the VMA is not locked any more
 */
export function doAnonymousPage(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<number> {
  if ((flags & FAULT_FLAG_WRITE) === 0) return mapZeroPage(task, mm, vma, vpn);
  const prepared = vmfAnonPrepare(task, mm, vma, flags);
  if (prepared !== 0) return prepared;
  const pfn = allocZeroedFolio(task);
  if (pfn === NO_PFN) return VM_FAULT_OOM;
  return mapNewPage(task, mm, vma, vpn, pfn);
}

/**
 * vmf_anon_prepare(): gives the VMA an anon_vma if it has none. That looks at neighbours, so it needs mmapLock;
 * a fault under the VMA lock may only try for it.
 * @returns 0 or VM_FAULT_*; after VM_FAULT_RETRY the VMA is not locked any more
 */
export function vmfAnonPrepare(task: Task, mm: MmPtr, vma: VmaPtr, flags: number): Sim<number> {
  if (readOnceVmaAnonVma(task.heap, vma) !== NO_ANON_VMA) return 0;
  const underVmaLock = (flags & FAULT_FLAG_VMA_LOCK) !== 0;
  if (underVmaLock && !mmapReadTrylock(task, mm)) {
    // Blocking here would close a cycle: a writer holds mmapLock and waits for this VMA's readers.
    vmaEndRead(task, vma);
    return VM_FAULT_RETRY;
  }
  const error = anonVmaPrepare(task, vma);
  if (underVmaLock) mmapReadUnlock(task, mm);
  return error < 0 ? VM_FAULT_OOM : 0;
}

/** folio_add_lru(). There are no per-CPU batches, so it takes no reference. */
export function folioAddLru(task: Task, pfn: Pfn): Sim<void> {
  atomicSetPageFlags(task.heap, pfn, PG_lru);
}

/** Read fault: the zero page has no rmap, no count and no anon_vma. */
function mapZeroPage(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn): Sim<number> {
  const { heap } = task;
  const entry = makePte(zeroPfn(heap), vmPageProt(vmaFlags(heap, vma)));
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) return 0;
  const pte = entryAt(table, vpn, LEVEL_PTE);
  let result = 0;
  if (pteIsNone(readOncePte(heap, pte))) {
    result = checkStableAddressSpace(task, mm);
    if (result === 0) setPteAt(task, mm, vpn, pte, entry);
  }
  pteUnmapUnlock(task, table);
  return result;
}

/** Write fault: maps `pfn`, which nobody else knows yet; frees it if another fault was faster. */
function mapNewPage(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, pfn: Pfn): Sim<number> {
  const { heap } = task;
  const vmFlags = vmaFlags(heap, vma);
  const entry = pteMakeDirtyWritable(makePte(pfn, vmPageProt(vmFlags)), vmFlags);
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) {
    folioPut(task, pfn);
    return 0;
  }
  const pte = entryAt(table, vpn, LEVEL_PTE);
  const isFirst = pteIsNone(readOncePte(heap, pte));
  const result = isFirst ? checkStableAddressSpace(task, mm) : 0;
  if (!isFirst || result !== 0) {
    pteUnmapUnlock(task, table);
    folioPut(task, pfn);
    return result;
  }
  atomicAddMmAnonPages(heap, mm, 1);
  folioAddNewAnonRmap(task, pfn, vma, vpn);
  folioAddLru(task, pfn);
  setPteAt(task, mm, vpn, pte, entry);
  pteUnmapUnlock(task, table);
  return 0;
}

/** check_stable_address_space(): a fork that failed half-way left the mm unusable. */
function checkStableAddressSpace(task: Task, mm: MmPtr): Sim<number> {
  return (readOnceMmFlags(task.heap, mm) & MMF_UNSTABLE) === 0 ? 0 : VM_FAULT_SIGBUS;
}
