/**
 * Unmapping a lazily free page for good: its entries go, and with them its contents. Whoever wrote to the page since it was
 * given up, by an entry or by a reference of his own, gets it back as it was.
 *
 * Lock order here: folio lock > anon_vma lock > ptl.
 *
 * Invariants
 *   TTU-1  An entry is cleared before references are counted: GUP-fast takes its reference first and then looks at the entry
 *          again, so one of the two sees the other.
 *   TTU-2  The entry's dirty bit is handed to the page before the page is asked whether it is dirty.
 *   TTU-3  CPUs may go on reading the page until the flush that the task owes (tryToUnmapFlush). None may write without
 *          setting the dirty bit in an entry that is gone, so a write faults.
 *
 * Kernel: try_to_unmap(), try_to_unmap_one() in mm/rmap.c. Not modelled: everything else that is unmapped for reclaim: swap,
 * files, huge pages.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { Pfn, VmaPtr, Vpn } from '../layout/ids.ts';
import { atomicAddMmAnonPages } from '../layout/mm.ts';
import {
  PG_dirty,
  PG_swapbacked,
  atomicSetPageFlags,
  readOncePageFlags,
  readOncePageMapcount,
  readOncePageRefcount,
} from '../layout/page.ts';
import { pteIsAccessible, pteIsDirty } from '../layout/pte.ts';
import { VM_LOCKED, readOnceVmaFlags } from '../layout/vma.ts';
import { folioLockAnonVmaRead, folioMapped } from './folioAnonVma.ts';
import { folioPut } from './pageRef.ts';
import {
  pageVmaMappedWalk,
  pageVmaMappedWalkDone,
  startPageVmaMappedWalk,
  type PageVmaMappedWalk,
} from './pageVmaMappedWalk.ts';
import { ptepGetAndClear, setPteAt } from './pteAccess.ts';
import { folioRemoveRmap } from './rmap.ts';
import { noInvalidVma, rmapWalk } from './rmapWalk.ts';
import { setTlbUbcFlushPending } from './tlbFlush.ts';

/**
 * try_to_unmap(), with TTU_BATCH_FLUSH: the caller flushes (tryToUnmapFlush) before the page may be used again. He looks at
 * folioMapped() to learn whether all entries went.
 *
 * @locked folio lock; the caller has one reference of his own; the page has no PG_swapbacked
 */
export function tryToUnmap(task: Task, pfn: Pfn): Sim<void> {
  rmapWalk(task, pfn, {
    rmapOne: tryToUnmapOne,
    done: folioNotMapped,
    invalidVma: noInvalidVma,
    anonLock: folioLockAnonVmaRead,
    tryLock: false,
    contended: false,
  });
}

function folioNotMapped(task: Task, pfn: Pfn): Sim<boolean> {
  return !folioMapped(task, pfn);
}

/** try_to_unmap_one(). @returns false if the page must stay */
function tryToUnmapOne(task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> {
  const pvmw = startPageVmaMappedWalk(task, pfn, vma, vpn, 0);
  while (pageVmaMappedWalk(task, pvmw)) {
    // Locked after it was given up.
    const locked = (readOnceVmaFlags(task.heap, vma) & VM_LOCKED) !== 0;
    if (locked || !discardEntry(task, pvmw, vma)) {
      pageVmaMappedWalkDone(task, pvmw);
      return false;
    }
  }
  return true;
}

/** Takes the entry out, for good or for a moment. @locked ptl @returns false if the page is wanted: the entry is back */
function discardEntry(task: Task, pvmw: PageVmaMappedWalk, vma: VmaPtr): Sim<boolean> {
  const { heap } = task;
  const { pfn, mm, vpn, pte } = pvmw;
  const value = ptepGetAndClear(task, mm, vpn, pte);
  if (pteIsAccessible(value)) setTlbUbcFlushPending(task, mm);
  if (pteIsDirty(value)) atomicSetPageFlags(heap, pfn, PG_dirty);
  const references = readOncePageRefcount(heap, pfn);
  const mapcount = readOncePageMapcount(heap, pfn);
  const flags = readOncePageFlags(heap, pfn);
  assert((flags & PG_swapbacked) === 0 || (flags & PG_dirty) !== 0, 'unmapping a page that has nowhere to go');
  const dirty = (flags & PG_dirty) !== 0;
  if (dirty) atomicSetPageFlags(heap, pfn, PG_swapbacked);
  // A reference more than the mappings' and the caller's may be about to write.
  if (dirty || references !== 1 + mapcount) {
    setPteAt(task, mm, vpn, pte, value);
    return false;
  }
  atomicAddMmAnonPages(heap, mm, -1);
  folioRemoveRmap(task, pfn, vma);
  folioPut(task, pfn);
  return true;
}
