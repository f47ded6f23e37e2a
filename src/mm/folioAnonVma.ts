/**
 * From a page to its anon_vma, for whoever holds nothing that keeps it: folio->mapping outlives the mappings, so the pointer
 * may be stale and the memory behind it another anon_vma by now.
 *
 * The order that makes it safe: RCU, so that the memory stays an anon_vma; read folio->mapping; see that the page is mapped; get
 * hold of the anon_vma (by its root's lock or by a reference that is not zero); see again that the page is mapped. A page
 * that is mapped has VMAs in its anon_vma's tree, so what we then hold is what the page belongs to.
 *
 * Lock order here: folio lock > RCU > anon_vma lock by trylock; the blocking lock is taken outside RCU.
 *
 * Kernel: folio_get_anon_vma(), folio_lock_anon_vma_read() in mm/rmap.c; page_lock_anon_vma() of 2.6.34.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { anonVmaRwSem, readOnceAnonVmaRoot } from '../layout/anonVma.ts';
import { NO_ANON_VMA, type AnonVmaPtr, type Pfn } from '../layout/ids.ts';
import { mappingAnonVma, readOncePageMapcount, readOncePageMapping } from '../layout/page.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { downReadTrylock, upRead } from '../locks/rwSem.ts';
import { dropAnonVmaRef, putAnonVma, putLastAnonVma, tryGetAnonVma } from './anonVma.ts';
import { anonVmaLockRead, anonVmaUnlockRead, usesRootRwsem } from './anonVmaLock.ts';
import type { RmapWalkControl } from './rmapWalk.ts';
import { lockEachAnonVma } from './rmapWalkSpin.ts';

/** folio_mapped(). */
export function folioMapped(task: Task, pfn: Pfn): Sim<boolean> {
  return readOncePageMapcount(task.heap, pfn) > 0;
}

/**
 * folio_get_anon_vma(): a reference on the page's anon_vma.
 *
 * @locked folio lock
 * @returns 0 if the page is not anonymous or not mapped
 */
export function folioGetAnonVma(task: Task, pfn: Pfn): Sim<AnonVmaPtr> {
  rcuReadLock(task);
  const anonVma = peekAnonVma(task, pfn);
  if (anonVma === NO_ANON_VMA || !tryGetAnonVma(task, anonVma)) {
    rcuReadUnlock(task);
    return NO_ANON_VMA;
  }
  const stillMapped = folioMapped(task, pfn);
  rcuReadUnlock(task);
  if (stillMapped) return anonVma;
  // Behind RCU: this may be the last reference, and freeing sleeps.
  putAnonVma(task, anonVma);
  return NO_ANON_VMA;
}

/**
 * folio_lock_anon_vma_read(): locks the page's anon_vma for a walk (RmapWalkControl.anonLock).
 *
 * @locked folio lock
 * @returns the anon_vma to walk, or 0: not anonymous, not mapped, or (rwc.contended) tryLock and the lock is taken
 */
export function folioLockAnonVmaRead(task: Task, pfn: Pfn, rwc: RmapWalkControl): Sim<AnonVmaPtr> {
  rcuReadLock(task);
  const anonVma = peekAnonVma(task, pfn);
  if (anonVma === NO_ANON_VMA) {
    rcuReadUnlock(task);
    return NO_ANON_VMA;
  }
  if (!usesRootRwsem(task.rules)) {
    const walked = lockEachAnonVma(task, anonVma);
    rcuReadUnlock(task); // lockEachAnonVma holds it once more
    return walked;
  }
  // The root is read once: if the object is recycled under us its root may change, and we must unlock what we locked.
  const root = anonVmaRwSem(readOnceAnonVmaRoot(task.heap, anonVma));
  if (downReadTrylock(task, root)) {
    // Without a reference. If the page is mapped now, whoever unmaps it last must take this lock before the anon_vma goes.
    const stillMapped = folioMapped(task, pfn);
    if (!stillMapped) upRead(task, root);
    rcuReadUnlock(task);
    return stillMapped ? anonVma : NO_ANON_VMA;
  }
  if (rwc.tryLock) {
    rwc.contended = true;
    rcuReadUnlock(task);
    return NO_ANON_VMA;
  }
  return lockContended(task, pfn, anonVma);
}

/** The slow path: a reference lets us sleep for the lock. @locked RCU, given up */
function lockContended(task: Task, pfn: Pfn, anonVma: AnonVmaPtr): Sim<AnonVmaPtr> {
  if (!tryGetAnonVma(task, anonVma)) {
    rcuReadUnlock(task);
    return NO_ANON_VMA;
  }
  const stillMapped = folioMapped(task, pfn);
  rcuReadUnlock(task);
  if (!stillMapped) {
    putAnonVma(task, anonVma);
    return NO_ANON_VMA;
  }
  anonVmaLockRead(task, anonVma);
  if (!dropAnonVmaRef(task, anonVma)) return anonVma;
  // Ours was the last reference: everybody unmapped the page meanwhile. Freeing takes the lock for write, so unlock first.
  anonVmaUnlockRead(task, anonVma);
  putLastAnonVma(task, anonVma);
  return NO_ANON_VMA;
}

/** folio->mapping of a page that is mapped, or 0. Worth nothing outside RCU. @locked RCU */
function peekAnonVma(task: Task, pfn: Pfn): Sim<AnonVmaPtr> {
  const anonVma = mappingAnonVma(readOncePageMapping(task.heap, pfn));
  return anonVma !== NO_ANON_VMA && folioMapped(task, pfn) ? anonVma : NO_ANON_VMA;
}
