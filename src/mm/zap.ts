/**
 * Unmapping pages: entries are cleared, mapcounts drop at once, references wait in the gather until the TLBs are flushed.
 *
 * Lock order here: ptl, one table at a time.
 *
 * Invariants
 *   ZAP-1  The ptl is dropped without a flush: until the gather flushes, other CPUs may still use the pages. The gather's
 *          references keep the pages, so this is harmless; a mapcount of 0 does not mean that no CPU sees the page.
 *   ZAP-2  A flush somebody else deferred in this mm is paid before any entry is cleared: afterwards nobody could tell
 *          that CPUs still use those pages.
 *
 *   ZAP-3  A dirty page of an object keeps its mapcount until the TLBs are flushed, under the ptl: who finds it clean and
 *          unmapped may rely on that nobody writes to it any more.
 *
 * Kernel: unmap_page_range(), zap_pte_range(), zap_present_folio_ptes(), tlb_flush_rmaps() in mm/memory.c and mm/mmu_gather.c.
 * Not modelled: swap entries, freeing of tables that became empty.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, NO_TABLE, type MmPtr, type Pfn, type PtePtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { atomicAddMmAnonPages, atomicAddMmShmemPages } from '../layout/mm.ts';
import { PG_dirty, atomicSetPageFlags, zeroPfn } from '../layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { PTE_NONE, pteIsDirty, pteIsMigration, pteIsNone, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { VM_HUGETLB, vmaEnd, vmaFile, vmaFlags, vmaMm, vmaStart } from '../layout/vma.ts';
import { unmapHugepageRange } from './hugetlbRange.ts';
import {
  tlbFinishMmu,
  tlbFlushMmu,
  tlbFlushMmuTlbonly,
  tlbFlushPteRange,
  tlbGatherMmu,
  tlbRemovePage,
  type MmuGather,
} from './mmuGather.ts';
import { nextBoundary, nextPteTable } from './pageTable.ts';
import { ptepGetAndClear, setPteAt } from './pteAccess.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { folioRemoveRmap } from './rmap.ts';
import { flushTlbBatchedPending } from './tlbFlush.ts';

/**
 * unmap_single_vma(): unmaps what [start, end) and the VMA have in common.
 * @locked mmapLock, or the VMA is detached; the gather is of the VMA's mm
 */
export function unmapVmaRange(task: Task, tlb: MmuGather, vma: VmaPtr, start: Vpn, end: Vpn): Sim<void> {
  const { heap } = task;
  const first = vmaStart(heap, vma);
  const last = vmaEnd(heap, vma);
  const to = end < last ? end : last;
  if ((vmaFlags(heap, vma) & VM_HUGETLB) !== 0) {
    unmapHugepageRange(task, tlb, vma, start > first ? start : first, to);
    return;
  }
  let at = nextPteTable(task, tlb.mm, start > first ? start : first, to);
  while (at < to) {
    const tableEnd = nextBoundary(at, LEVEL_PMD);
    at = zapPteRange(task, tlb, vma, at, tableEnd < to ? tableEnd : to);
    at = nextPteTable(task, tlb.mm, at, to);
  }
}

/** zap_page_range_single(): as unmapVmaRange with a gather of its own; the VMA stays (MADV_DONTNEED). @locked mmapLock */
export function zapPageRange(task: Task, vma: VmaPtr, start: Vpn, end: Vpn): Sim<void> {
  const tlb = tlbGatherMmu(task, vmaMm(task.heap, vma), false);
  unmapVmaRange(task, tlb, vma, start, end);
  tlbFinishMmu(task, tlb);
}

/** Unmaps pages of one table. Returns where it stopped: `end`, or earlier when the gather was full (and is flushed now). */
function zapPteRange(task: Task, tlb: MmuGather, vma: VmaPtr, start: Vpn, end: Vpn): Sim<Vpn> {
  const { heap } = task;
  const { mm } = tlb;
  const table = pteOffsetMapLock(task, mm, start);
  if (table === NO_TABLE) return end;
  flushTlbBatchedPending(task, mm);
  const isFile = vmaFile(heap, vma) !== NO_ADDRESS_SPACE;
  const delayed: Pfn[] = [];
  const zero = zeroPfn(heap);
  let pages = 0;
  let isFull = false;
  let at = start as number;
  for (; at < end && !isFull; at++) {
    const vpn = at as Vpn;
    const pte = entryAt(table, vpn, LEVEL_PTE);
    const seen = readOncePte(heap, pte);
    if (pteIsNone(seen)) continue;
    if (!pteIsPresent(seen)) {
      zapMigrationEntry(task, mm, vpn, pte);
      pages--;
      continue;
    }
    const old = ptepGetAndClear(task, mm, vpn, pte);
    tlbFlushPteRange(tlb, vpn, (at + 1) as Vpn);
    const pfn = ptePfn(old);
    if (pfn === zero) continue;
    pages--;
    if (isFile && pteIsDirty(old)) {
      atomicSetPageFlags(heap, pfn, PG_dirty);
      delayed.push(pfn);
    } else {
      folioRemoveRmap(task, pfn, vma);
    }
    isFull = tlbRemovePage(task, tlb, pfn);
  }
  if (pages !== 0 && isFile) atomicAddMmShmemPages(heap, mm, pages);
  else if (pages !== 0) atomicAddMmAnonPages(heap, mm, pages);
  if (isFull || delayed.length > 0) tlbFlushMmuTlbonly(task, tlb);
  for (let i = 0; i < delayed.length; i++) folioRemoveRmap(task, delayed[i], vma);
  pteUnmapUnlock(task, table);
  if (isFull) tlbFlushMmu(task, tlb);
  return at as Vpn;
}

/** A migration entry holds neither reference nor mapcount: it only goes. The migration then finds nothing to restore. */
function zapMigrationEntry(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr): Sim<void> {
  const entry = readOncePte(task.heap, pte);
  assert(pteIsMigration(entry), 'zap of an entry of unknown type');
  if (task.check !== null) task.check.migrationEntrySeen(task, mm, vpn, entry);
  setPteAt(task, mm, vpn, pte, PTE_NONE);
}
