/**
 * Reclaim: which pages were used since the last look, and those that are lazily free and were not are discarded. Nothing is
 * swapped out. The walk that looks is short, clears bits that the hardware sets, and never waits for an anon_vma lock.
 *
 * Lock order here: folio lock (by trylock) > anon_vma lock (by trylock; waited for when a page goes) > ptl.
 *
 * Invariants
 *   RECLAIM-1  A discarded page is freed only when no CPU translates to it any more: one flush for all of a scan.
 *   RECLAIM-2  Locked memory stays.
 *
 * Kernel: folio_referenced(), folio_referenced_one() in mm/rmap.c; shrink_folio_list() in mm/vmscan.c. Not modelled: swap, ageing
 * lists, the list of unevictable pages.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { Pfn, VmaPtr, Vpn } from '../layout/ids.ts';
import { PG_swapbacked, nrFrames, readOncePageFlags, readOncePageMapcount } from '../layout/page.ts';
import { atomicClearPteFlags } from '../layout/pageTable.ts';
import { PTE_YOUNG, pteIsYoung } from '../layout/pte.ts';
import { VM_LOCKED, readOnceVmaFlags } from '../layout/vma.ts';
import { folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { folioLockAnonVmaRead, folioMapped } from './folioAnonVma.ts';
import { isolateFolio, putbackFolio } from './migrate.ts';
import { folioRefFreeze, freeFolio } from './pageRef.ts';
import { pageVmaMappedWalk, pageVmaMappedWalkDone, startPageVmaMappedWalk } from './pageVmaMappedWalk.ts';
import { neverDone, noInvalidVma, rmapWalk, type RmapWalkControl } from './rmapWalk.ts';
import { tryToUnmapFlush } from './tlbFlush.ts';
import { tryToUnmap } from './tryToUnmap.ts';

/** struct folio_referenced_arg. */
interface ReferencedArg {
  /** Mappings not met yet: none left ends the walk. */
  mapcount: number;
  referenced: number;
}

/**
 * folio_referenced(): counts the mappings through which the page was used, and makes them old. A locked mapping counts as
 * used, and ends the count.
 *
 * @locked folio lock
 * @returns the count, or -1 if somebody held the anon_vma lock
 */
export function folioReferenced(task: Task, pfn: Pfn): Sim<number> {
  const arg: ReferencedArg = { mapcount: readOncePageMapcount(task.heap, pfn), referenced: 0 };
  if (arg.mapcount === 0) return 0;
  const rwc: RmapWalkControl = {
    rmapOne: (walker: Task, page: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> =>
      folioReferencedOne(walker, page, vma, vpn, arg),
    done: neverDone,
    invalidVma: noInvalidVma,
    anonLock: folioLockAnonVmaRead,
    tryLock: true,
    contended: false,
  };
  rmapWalk(task, pfn, rwc);
  return rwc.contended ? -1 : arg.referenced;
}

/** folio_referenced_one(). @returns false when all mappings were met, or one is locked */
function folioReferencedOne(task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn, arg: ReferencedArg): Sim<boolean> {
  const pvmw = startPageVmaMappedWalk(task, pfn, vma, vpn, 0);
  while (pageVmaMappedWalk(task, pvmw)) {
    if ((readOnceVmaFlags(task.heap, vma) & VM_LOCKED) !== 0) {
      arg.referenced++;
      pageVmaMappedWalkDone(task, pvmw);
      return false;
    }
    // No flush: at worst the hardware goes on through a young translation and the page looks idle for a while.
    if (pteIsYoung(pvmw.value) && pteIsYoung(atomicClearPteFlags(task.heap, pvmw.pte, PTE_YOUNG))) arg.referenced++;
    arg.mapcount--;
    if (arg.mapcount === 0) {
      pageVmaMappedWalkDone(task, pvmw);
      return false;
    }
  }
  return true;
}

/**
 * Looks at the folios of [startPfn, startPfn + nr) as shrink_folio_list() does: those that are lazily free and not in use are
 * freed, all others put back.
 *
 * @locked nothing
 * @returns number of folios that nobody used since the last scan
 */
export function reclaimScan(task: Task, startPfn: Pfn, nr: number): Sim<number> {
  const end = Math.min(startPfn + nr, nrFrames(task.heap) + 1);
  const frozen: Pfn[] = [];
  let idle = 0;
  for (let at = startPfn as number; at < end; at++) {
    const pfn = at as Pfn;
    if (!isolateFolio(task, pfn)) continue;
    let isFrozen = false;
    if (folioTryLock(task, pfn)) {
      if (folioReferenced(task, pfn) === 0) {
        idle++;
        isFrozen = discardLazyfree(task, pfn);
      }
      folioUnlock(task, pfn);
    }
    if (isFrozen) frozen.push(pfn);
    else putbackFolio(task, pfn);
  }
  // Until now CPUs may read the pages that are gone from the tables.
  tryToUnmapFlush(task);
  for (let i = 0; i < frozen.length; i++) freeFolio(task, frozen[i]);
  return idle;
}

/**
 * Unmaps a lazily free folio and takes its last reference.
 *
 * @locked folio lock; isolated by the caller
 * @returns true if the folio is the caller's to free, after a flush
 */
function discardLazyfree(task: Task, pfn: Pfn): Sim<boolean> {
  if ((readOncePageFlags(task.heap, pfn) & PG_swapbacked) !== 0) return false;
  if (folioMapped(task, pfn)) tryToUnmap(task, pfn);
  return !folioMapped(task, pfn) && folioRefFreeze(task, pfn);
}
