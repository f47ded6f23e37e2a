/**
 * The mmu_gather: pages and tables that were unmapped wait here, with their references, until the TLBs are flushed.
 *
 * Invariants
 *   GATHER-1  TLB flush first, then pages are put and tables handed to RCU.
 *   GATHER-2  tlbFlushPending of the mm counts open gathers. Two open at once: the one that finishes may have cleared
 *             nothing itself because the other was faster, so it flushes everything.
 *
 * Kernel: mm/mmu_gather.c, include/asm-generic/tlb.h. Not modelled: page sizes, batches of tables (each table carries its
 * own RCU link), delayed rmap removal of file pages. The batch pages come from outside the simulated memory; that they
 * may be missing is modelled.
 */

import { CACHES } from '../arena/header.ts';
import type { Sim } from '../base/sim.ts';
import { injectFailure } from '../cpu/alloc.ts';
import { mayFail, type Task } from '../cpu/task.ts';
import type { MmPtr, PageTablePtr, Pfn, Vpn } from '../layout/ids.ts';
import { atomicAddMmTlbFlushPending, readOnceMmTlbFlushPending } from '../layout/mm.ts';
import { callRcu } from '../locks/rcu.ts';
import { folioPut } from './pageRef.ts';
import { flushTlbMm, flushTlbRange } from './tlbFlush.ts';

/** Slots inside the gather itself, slots of one further batch, and the most slots there may be. */
const MMU_GATHER_BUNDLE = 8;
const MAX_GATHER_BATCH = 510;
const MAX_GATHER_PAGES = MMU_GATHER_BUNDLE + 19 * MAX_GATHER_BATCH;
const NOTHING = Infinity;

/** struct mmu_gather. */
export interface MmuGather {
  readonly mm: MmPtr;
  /** The whole address space goes: one flush of everything. */
  fullmm: boolean;
  /** What to flush: [start, end) in pages; empty when start is Infinity. */
  start: number;
  end: number;
  readonly pages: Pfn[];
  /** Slots of `pages` there is room for. */
  capacity: number;
  readonly tables: PageTablePtr[];
}

/** tlb_gather_mmu(), or tlb_gather_mmu_fullmm() when the address space is going away. */
export function tlbGatherMmu(task: Task, mm: MmPtr, fullmm: boolean): Sim<MmuGather> {
  atomicAddMmTlbFlushPending(task.heap, mm, 1);
  return { mm, fullmm, start: NOTHING, end: 0, pages: [], capacity: MMU_GATHER_BUNDLE, tables: [] };
}

/** tlb_flush_pte_range(): entries in [start, end) changed and CPUs may still use the old ones. */
export function tlbFlushPteRange(tlb: MmuGather, start: Vpn, end: Vpn): void {
  if (start < tlb.start) tlb.start = start;
  if (end > tlb.end) tlb.end = end;
}

/**
 * __tlb_remove_page(): the gather takes over the reference of an entry that was cleared.
 * @returns true if the gather is full: the caller flushes it (tlbFlushMmu) before it removes another page
 */
export function tlbRemovePage(task: Task, tlb: MmuGather, pfn: Pfn): Sim<boolean> {
  tlb.pages.push(pfn);
  return tlb.pages.length >= tlb.capacity && !tlbNextBatch(task, tlb);
}

/**
 * tlb_remove_table(): takes over a table that covers `vpn` and was unlinked. CPUs may be walking it or have its
 * entries cached, so it counts as something to flush.
 */
export function tlbRemoveTable(tlb: MmuGather, table: PageTablePtr, vpn: Vpn): void {
  tlbFlushPteRange(tlb, vpn, (vpn + 1) as Vpn);
  tlb.tables.push(table);
}

/** tlb_flush_mmu_tlbonly(): flushes what was collected; pages and tables stay. May be called under a ptl. */
export function tlbFlushMmuTlbonly(task: Task, tlb: MmuGather): Sim<void> {
  if (tlb.start === NOTHING) return;
  if (tlb.fullmm) flushTlbMm(task, tlb.mm);
  else flushTlbRange(task, tlb.mm, tlb.start as Vpn, tlb.end as Vpn);
  tlb.start = NOTHING;
  tlb.end = 0;
}

/** tlb_flush_mmu(): flushes, then frees what waits. No ptl may be held. */
export function tlbFlushMmu(task: Task, tlb: MmuGather): Sim<void> {
  tlbFlushMmuTlbonly(task, tlb);
  const { pages, tables } = tlb;
  for (let i = 0; i < tables.length; i++) {
    if (task.check !== null) task.check.tableFreed(task, tables[i]);
    // GUP-fast and pte_offset_map may be in it until their RCU section ends; the flush only stopped the hardware.
    callRcu(task, CACHES.pageTable, tables[i]);
  }
  tables.length = 0;
  for (let i = 0; i < pages.length; i++) folioPut(task, pages[i]);
  pages.length = 0;
}

/** tlb_finish_mmu(): flushes, frees and closes the gather. Where tables were freed, mmapLock is still held. */
export function tlbFinishMmu(task: Task, tlb: MmuGather): Sim<void> {
  const { heap } = task;
  if (readOnceMmTlbFlushPending(heap, tlb.mm) > 1) {
    tlb.fullmm = true;
    tlb.start = 0;
  }
  tlbFlushMmu(task, tlb);
  atomicAddMmTlbFlushPending(heap, tlb.mm, -1);
}

/** tlb_next_batch(): room for more pages. GFP_NOWAIT in the kernel, so it fails without ado. */
function tlbNextBatch(task: Task, tlb: MmuGather): Sim<boolean> {
  if (tlb.capacity >= MAX_GATHER_PAGES) return false;
  if (mayFail(task) && injectFailure(task)) return false;
  tlb.capacity += MAX_GATHER_BATCH;
  return true;
}
