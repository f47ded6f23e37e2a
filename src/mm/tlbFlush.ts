/**
 * TLB flushes: an inter-processor interrupt to every CPU that may hold entries of the mm, modelled as taking that CPU's
 * TLB lock. The CPU holds it across one memory access, so no access through a removed entry outlives the flush.
 *
 * Also the batched flush of reclaim and asynchronous migration: entries are cleared now, the flush is owed by the task
 * (deferredFlushCpus) and noted in the mm (tlbFlushBatched: number of requests in the low half, number known to be flushed
 * in the high half), so that whoever changes entries of that mm under a ptl flushes first.
 *
 * Lock order here: any ptl > TLB lock (a leaf, unknown to lockdep).
 *
 * Invariants
 *   TLB-1  Clear, then read the cpumask: the CPU sets its bit before it walks the tables, so either the flush finds the bit
 *          or the walk finds the entry cleared.
 *
 * Kernel: arch/x86/mm/tlb.c, mm/rmap.c (set_tlb_ubc_flush_pending, try_to_unmap_flush, flush_tlb_batched_pending).
 * Not modelled: lazy TLB mode, PCIDs, flush generations.
 */

import { nrCpus } from '../arena/header.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, Vpn } from '../layout/ids.ts';
import { cmpxchgMmTlbFlushBatched, mmAsid, readOnceMmCpumask, readOnceMmTlbFlushBatched } from '../layout/mm.ts';
import { clearTlbAll, clearTlbRange, tlbLock } from '../layout/tlb.ts';
import { hwLock, hwUnlock } from '../locks/hwLock.ts';

const TLB_FLUSH_BATCH_FLUSHED_SHIFT = 16;
const TLB_FLUSH_BATCH_PENDING_MASK = (1 << (TLB_FLUSH_BATCH_FLUSHED_SHIFT - 1)) - 1;
const TLB_FLUSH_BATCH_PENDING_LARGE = TLB_FLUSH_BATCH_PENDING_MASK >> 1;
const FIRST_VPN = 0 as Vpn;
const END_VPN = (2 ** 31) as Vpn;

/** flush_tlb_range(): when it returns no CPU translates [start, end) of `mm` by an entry loaded before the call. */
export function flushTlbRange(task: Task, mm: MmPtr, start: Vpn, end: Vpn): Sim<void> {
  const { heap } = task;
  const cpus = readOnceMmCpumask(heap, mm);
  const asid = mmAsid(heap, mm);
  for (let cpu = 0; cpus >>> cpu !== 0 && cpu < nrCpus(heap); cpu++) {
    if (((cpus >>> cpu) & 1) === 0) continue;
    const lock = tlbLock(heap, cpu);
    hwLock(task, lock);
    clearTlbRange(heap, cpu, asid, start, end);
    hwUnlock(task, lock);
  }
}

/** flush_tlb_page(). */
export function flushTlbPage(task: Task, mm: MmPtr, vpn: Vpn): Sim<void> {
  flushTlbRange(task, mm, vpn, (vpn + 1) as Vpn);
}

/** flush_tlb_mm(). */
export function flushTlbMm(task: Task, mm: MmPtr): Sim<void> {
  flushTlbRange(task, mm, FIRST_VPN, END_VPN);
}

/**
 * set_tlb_ubc_flush_pending(): an accessible entry of `mm` was cleared, its flush is owed. To be paid by
 * tryToUnmapFlush before the page's contents are relied upon.
 * @locked ptl of the entry
 */
export function setTlbUbcFlushPending(task: Task, mm: MmPtr): Sim<void> {
  const { heap } = task;
  task.deferredFlushCpus |= readOnceMmCpumask(heap, mm);
  let batch = readOnceMmTlbFlushBatched(heap, mm);
  for (;;) {
    // Start over before the counter overflows; nothing flushed (0) against one pending (1) still asks for a flush.
    const large = (batch & TLB_FLUSH_BATCH_PENDING_MASK) > TLB_FLUSH_BATCH_PENDING_LARGE;
    const seen = cmpxchgMmTlbFlushBatched(heap, mm, batch, large ? 1 : batch + 1);
    if (seen === batch) return;
    batch = seen;
  }
}

/** try_to_unmap_flush(): pays all flushes this task owes. */
export function tryToUnmapFlush(task: Task): Sim<void> {
  const { heap } = task;
  const cpus = task.deferredFlushCpus;
  if (cpus === 0) return;
  for (let cpu = 0; cpus >>> cpu !== 0 && cpu < nrCpus(heap); cpu++) {
    if (((cpus >>> cpu) & 1) === 0) continue;
    const lock = tlbLock(heap, cpu);
    hwLock(task, lock);
    clearTlbAll(heap, cpu);
    hwUnlock(task, lock);
  }
  task.deferredFlushCpus = 0;
}

/**
 * flush_tlb_batched_pending(): somebody cleared entries of `mm` without a flush; flush before changing entries, or a CPU
 * could go on through an entry that the page tables no longer show.
 * @locked a ptl of the mm
 */
export function flushTlbBatchedPending(task: Task, mm: MmPtr): Sim<void> {
  const { heap } = task;
  const batch = readOnceMmTlbFlushBatched(heap, mm);
  const pending = batch & TLB_FLUSH_BATCH_PENDING_MASK;
  const flushed = batch >>> TLB_FLUSH_BATCH_FLUSHED_SHIFT;
  if (pending === flushed) return;
  flushTlbMm(task, mm);
  // Fails if more was deferred while we flushed: then the next caller flushes again.
  cmpxchgMmTlbFlushBatched(heap, mm, batch, pending | (pending << TLB_FLUSH_BATCH_FLUSHED_SHIFT));
}
