/**
 * Advice that gives contents up: at once (MADV_DONTNEED), or when memory is short and nobody has written since (MADV_FREE). A
 * page that is lazily free is one without PG_swapbacked; it must be clean in every respect, for whoever dirties it wants to
 * keep it (tryToUnmap.ts decides).
 *
 * Lock order here: VMA read or mmapLock(read) > ptl > folio lock (by trylock).
 *
 * Invariants
 *   FREE-1  Entries are cleaned before the page loses PG_swapbacked, and the TLBs are flushed before the call returns: a write
 *           after it sets the entry's dirty bit again.
 *   FREE-2  A dirty page that others map is left alone: their contents are in it.
 *
 * Kernel: madvise_dontneed_free(), madvise_free_pte_range() in mm/madvise.c, lru_lazyfree() in mm/swap.c. Not modelled: swap
 * entries, large folios, freeing of tables that became empty.
 */

import { EINVAL } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, type MmPtr, type Pfn, type PtePtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import {
  PG_dirty,
  PG_lru,
  PG_swapbacked,
  atomicClearPageFlags,
  atomicSetPageFlags,
  readOncePageFlags,
  readOncePageMapcount,
  zeroPfn,
} from '../layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, pagesPerEntry, readOncePte } from '../layout/pageTable.ts';
import { PTE_DIRTY, PTE_YOUNG, pteClear, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { VM_HUGETLB, VM_LOCKED, VM_SHARED, vmaFlags } from '../layout/vma.ts';
import { folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { tlbFlushPteRange, type MmuGather } from './mmuGather.ts';
import { nextBoundary, nextPteTable } from './pageTable.ts';
import { ptepGetAndClear, setPteAt } from './pteAccess.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { MADV_DONTNEED_LOCKED, MADV_FREE } from './syscallFlags.ts';
import { flushTlbBatchedPending } from './tlbFlush.ts';
import { unmapVmaRange } from './zap.ts';

const PAGES_PER_HUGE_PAGE = pagesPerEntry(LEVEL_PMD);

/**
 * madvise_dontneed_free(): MADV_DONTNEED, MADV_DONTNEED_LOCKED or MADV_FREE for [start, end) of one VMA. What it cleared is
 * flushed by the caller (the gather).
 *
 * @returns 0, or -EINVAL for memory that is locked, not of the right kind, or not a whole number of huge pages
 * @locked VMA read or mmapLock
 */
export function madviseDiscard(
  task: Task,
  tlb: MmuGather,
  vma: VmaPtr,
  start: Vpn,
  end: Vpn,
  advice: number,
): Sim<number> {
  const flags = vmaFlags(task.heap, vma);
  let stop = end;
  if ((flags & VM_HUGETLB) === 0) {
    if ((flags & VM_LOCKED) !== 0 && advice !== MADV_DONTNEED_LOCKED) return -EINVAL;
  } else {
    if (advice === MADV_FREE || start % PAGES_PER_HUGE_PAGE !== 0) return -EINVAL;
    // Who rounds to small pages does not know that these are huge: nothing he did not name may go.
    stop = (end - (end % PAGES_PER_HUGE_PAGE)) as Vpn;
  }
  if (advice === MADV_FREE) {
    if ((flags & VM_SHARED) !== 0) return -EINVAL;
    freeRange(task, tlb, start, stop);
  } else if (start < stop) {
    unmapVmaRange(task, tlb, vma, start, stop);
  }
  return 0;
}

/** madvise_free_single_vma(): table by table. */
function freeRange(task: Task, tlb: MmuGather, start: Vpn, end: Vpn): Sim<void> {
  let at = nextPteTable(task, tlb.mm, start, end);
  while (at < end) {
    const tableEnd = nextBoundary(at, LEVEL_PMD);
    const stop = tableEnd < end ? tableEnd : end;
    freePteRange(task, tlb, at, stop);
    at = nextPteTable(task, tlb.mm, stop, end);
  }
}

/** madvise_free_pte_range(): the entries of one table. */
function freePteRange(task: Task, tlb: MmuGather, start: Vpn, end: Vpn): Sim<void> {
  const { heap } = task;
  const { mm } = tlb;
  const table = pteOffsetMapLock(task, mm, start);
  if (table === NO_TABLE) return;
  flushTlbBatchedPending(task, mm);
  const zero = zeroPfn(heap);
  for (let at = start as number; at < end; at++) {
    const vpn = at as Vpn;
    const pte = entryAt(table, vpn, LEVEL_PTE);
    const seen = readOncePte(heap, pte);
    // A migration entry is left alone: advice may be taken or not.
    if (!pteIsPresent(seen)) continue;
    const pfn = ptePfn(seen);
    if (pfn === zero || !makeClean(task, pfn)) continue;
    if ((seen & (PTE_YOUNG | PTE_DIRTY)) !== 0) {
      clearYoungDirty(task, mm, vpn, pte);
      tlbFlushPteRange(tlb, vpn, (at + 1) as Vpn);
    }
    folioMarkLazyfree(task, pfn);
  }
  pteUnmapUnlock(task, table);
}

/** Cleans the page itself if nobody else maps it. @returns false if it stays dirty @locked ptl */
function makeClean(task: Task, pfn: Pfn): Sim<boolean> {
  const { heap } = task;
  if ((readOncePageFlags(heap, pfn) & PG_dirty) === 0) return true;
  if (!folioTryLock(task, pfn)) return false;
  const alone = readOncePageMapcount(heap, pfn) === 1;
  if (alone) atomicClearPageFlags(heap, pfn, PG_dirty);
  folioUnlock(task, pfn);
  return alone;
}

/** clear_young_dirty_ptes(): the hardware may set both bits at any moment, so the entry is taken out and put back. */
function clearYoungDirty(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr): Sim<void> {
  const old = ptepGetAndClear(task, mm, vpn, pte);
  setPteAt(task, mm, vpn, pte, pteClear(old, PTE_YOUNG | PTE_DIRTY));
}

/** folio_mark_lazyfree(): reclaim may discard the page. One that somebody isolated keeps its contents. */
function folioMarkLazyfree(task: Task, pfn: Pfn): Sim<void> {
  const { heap } = task;
  if ((readOncePageFlags(heap, pfn) & PG_swapbacked) === 0) return;
  if ((atomicClearPageFlags(heap, pfn, PG_lru) & PG_lru) === 0) return;
  atomicClearPageFlags(heap, pfn, PG_swapbacked);
  atomicSetPageFlags(heap, pfn, PG_lru);
}
