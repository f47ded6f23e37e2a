/**
 * Reclaim's view of the rmap: which pages were used since the last look. Nothing is swapped out; what matters here is the
 * walk, which is short, clears bits that the hardware sets, and never waits for an anon_vma lock.
 *
 * Lock order here: folio lock (by trylock) > anon_vma lock (by trylock) > ptl.
 *
 * Kernel: folio_referenced(), folio_referenced_one() in mm/rmap.c; shrink_folio_list() in mm/vmscan.c. Not modelled: swap, ageing
 * lists, mlock.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { Pfn, VmaPtr, Vpn } from '../layout/ids.ts';
import { nrFrames, readOncePageMapcount } from '../layout/page.ts';
import { atomicClearPteFlags } from '../layout/pageTable.ts';
import { PTE_YOUNG, pteIsYoung } from '../layout/pte.ts';
import { folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { folioLockAnonVmaRead } from './folioAnonVma.ts';
import { isolateFolio, putbackFolio } from './migrate.ts';
import { pageVmaMappedWalk, pageVmaMappedWalkDone, startPageVmaMappedWalk } from './pageVmaMappedWalk.ts';
import { neverDone, noInvalidVma, rmapWalk, type RmapWalkControl } from './rmapWalk.ts';

/** struct folio_referenced_arg. */
interface ReferencedArg {
  /** Mappings not met yet: none left ends the walk. */
  mapcount: number;
  referenced: number;
}

/**
 * folio_referenced(): counts the mappings through which the page was used, and makes them old.
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

/** folio_referenced_one(). @returns false when all mappings were met */
function folioReferencedOne(task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn, arg: ReferencedArg): Sim<boolean> {
  const pvmw = startPageVmaMappedWalk(task, pfn, vma, vpn, 0);
  while (pageVmaMappedWalk(task, pvmw)) {
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
 * Looks at the folios of [startPfn, startPfn + nr) as shrink_folio_list() does, and puts all of them back.
 *
 * @locked nothing
 * @returns number of folios that nobody used since the last scan
 */
export function reclaimScan(task: Task, startPfn: Pfn, nr: number): Sim<number> {
  const end = Math.min(startPfn + nr, nrFrames(task.heap) + 1);
  let idle = 0;
  for (let at = startPfn as number; at < end; at++) {
    const pfn = at as Pfn;
    if (!isolateFolio(task, pfn)) continue;
    if (folioTryLock(task, pfn)) {
      if (folioReferenced(task, pfn) === 0) idle++;
      folioUnlock(task, pfn);
    }
    putbackFolio(task, pfn);
  }
  return idle;
}
