/**
 * First half of unmapping for migration: every entry of a page becomes a migration entry, at which faults wait.
 *
 * Lock order here: folio lock > anon_vma lock or i_mmap_rwsem > ptl.
 *
 * Invariants
 *   TTM-1  An entry is cleared before the pins are counted: a pin that is taken later finds the entry changed and backs off.
 *   TTM-2  A pinned exclusive page gets its entry back; the page stays mapped, and migration fails.
 *   TTM-3  The type of the entry says what it is restored to: writable, exclusive, or shared.
 *   TTM-4  No CPU translates to the page when its contents are copied: flushed here, or owed by the task (batched).
 *
 * Kernel: try_to_migrate(), try_to_migrate_one(), invalid_migration_vma() in mm/rmap.c. Not modelled: transparent huge pages,
 * device-private pages, userfaultfd and soft-dirty bits, notifiers.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { hugetlbVmaLock } from '../layout/addressSpace.ts';
import { NO_ADDRESS_SPACE, type AddressSpacePtr, type Pfn, type PteVal, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { PG_anonExclusive, PG_dirty, atomicSetPageFlags, readOncePageFlags } from '../layout/page.ts';
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_TYPE_MIGRATION_READ,
  PTE_TYPE_MIGRATION_READ_EXCLUSIVE,
  PTE_TYPE_MIGRATION_WRITE,
  PTE_YOUNG,
  makeNonPresentPte,
  pteIsAccessible,
  pteIsDirty,
  pteIsWritable,
} from '../layout/pte.ts';
import { VM_HUGETLB, VM_SHARED, VM_STACK_INCOMPLETE_SETUP, readOnceVmaFlags, vmaFile } from '../layout/vma.ts';
import { downWriteTrylock, upWrite } from '../locks/rwSem.ts';
import { folioLockAnonVmaRead, folioMapped } from './folioAnonVma.ts';
import { hugePtepClearFlush } from './hugetlbTables.ts';
import { folioPut } from './pageRef.ts';
import {
  pageVmaMappedWalk,
  pageVmaMappedWalkDone,
  startPageVmaMappedWalk,
  type PageVmaMappedWalk,
} from './pageVmaMappedWalk.ts';
import { ptepClearFlush, ptepGetAndClear, setPteAt } from './pteAccess.ts';
import { folioRemoveRmap, folioTryShareAnonRmap } from './rmap.ts';
import { rmapWalk } from './rmapWalk.ts';
import { setTlbUbcFlushPending } from './tlbFlush.ts';

/** Flush the TLBs once for many pages: the caller does it (tryToUnmapFlush) before it looks at any contents. */
export const TTU_BATCH_FLUSH = 1 << 0;

/**
 * try_to_migrate(): replaces all entries of the page by migration entries. The caller looks at folioMapped() afterwards: a
 * pinned page, or an entry that was in motion, leaves it mapped.
 *
 * @locked folio lock
 */
export function tryToMigrate(task: Task, pfn: Pfn, flags: number): Sim<void> {
  rmapWalk(task, pfn, {
    rmapOne: (walker: Task, page: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> =>
      tryToMigrateOne(walker, page, vma, vpn, flags),
    done: folioNotMapped,
    invalidVma: invalidMigrationVma,
    anonLock: folioLockAnonVmaRead,
    tryLock: false,
    contended: false,
  });
}

/** folio_not_mapped(). */
function folioNotMapped(task: Task, pfn: Pfn): Sim<boolean> {
  return !folioMapped(task, pfn);
}

/**
 * invalid_migration_vma(): exec's stack on its way to its place. One VMA covers both places while entries move from one to
 * the other, so a walk computes one address and may miss the entry at the other.
 */
function invalidMigrationVma(task: Task, vma: VmaPtr): Sim<boolean> {
  if (!task.rules.migrate.skipTemporaryStack) return false;
  return (readOnceVmaFlags(task.heap, vma) & VM_STACK_INCOMPLETE_SETUP) !== 0;
}

/** try_to_migrate_one(). @returns false if the page cannot be unmapped */
function tryToMigrateOne(task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn, flags: number): Sim<boolean> {
  const locked = lockSharedHugetlb(task, vma);
  if (locked === null) return false;
  const result = tryToMigrateAt(task, pfn, vma, vpn, flags);
  if (locked !== NO_ADDRESS_SPACE) upWrite(task, hugetlbVmaLock(locked));
  return result;
}

/**
 * Faults on a shared hugetlb mapping are kept out while an entry goes. Whoever holds the lock may wait for the folio, so it is only
 * tried for. @returns the object whose lock was taken, 0 if none is needed, null if it cannot be had
 */
function lockSharedHugetlb(task: Task, vma: VmaPtr): Sim<AddressSpacePtr | null> {
  const { heap } = task;
  const wanted = VM_HUGETLB | VM_SHARED;
  if ((readOnceVmaFlags(heap, vma) & wanted) !== wanted) return NO_ADDRESS_SPACE;
  const mapping = vmaFile(heap, vma);
  return downWriteTrylock(task, hugetlbVmaLock(mapping)) ? mapping : null;
}

function tryToMigrateAt(task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn, flags: number): Sim<boolean> {
  const pvmw = startPageVmaMappedWalk(task, pfn, vma, vpn, 0);
  while (pageVmaMappedWalk(task, pvmw)) {
    if (!replaceEntry(task, pvmw, vma, flags)) {
      pageVmaMappedWalkDone(task, pvmw);
      return false;
    }
  }
  return true;
}

/** Puts a migration entry in place of the entry found. @locked ptl @returns false if the page is pinned (entry restored) */
function replaceEntry(task: Task, pvmw: PageVmaMappedWalk, vma: VmaPtr, flags: number): Sim<boolean> {
  const { heap } = task;
  const { pfn, mm, vpn, pte } = pvmw;
  const exclusive = (readOncePageFlags(heap, pfn) & PG_anonExclusive) !== 0;
  const value = clearEntry(task, pvmw, flags);
  // The hardware could set the bit until the entry was gone; from here on it is only known to the page.
  if (pteIsDirty(value)) atomicSetPageFlags(heap, pfn, PG_dirty);
  if (exclusive && folioTryShareAnonRmap(task, pfn) !== 0) {
    setPteAt(task, mm, vpn, pte, value);
    return false;
  }
  setPteAt(
    task,
    mm,
    vpn,
    pte,
    makeNonPresentPte(migrationType(value, exclusive), pfn, value & (PTE_YOUNG | PTE_DIRTY | PTE_HUGE)),
  );
  folioRemoveRmap(task, pfn, vma);
  folioPut(task, pfn);
  return true;
}

/** Clears the entry; the flush is done here or owed by the task. @returns the entry with all the hardware did to it */
function clearEntry(task: Task, { mm, vpn, pte, huge }: PageVmaMappedWalk, flags: number): Sim<PteVal> {
  if (huge) return hugePtepClearFlush(task, mm, vpn, pte);
  if ((flags & TTU_BATCH_FLUSH) === 0) return ptepClearFlush(task, mm, vpn, pte);
  const value = ptepGetAndClear(task, mm, vpn, pte);
  if (pteIsAccessible(value)) setTlbUbcFlushPending(task, mm);
  return value;
}

function migrationType(value: PteVal, exclusive: boolean): number {
  if (pteIsWritable(value)) return PTE_TYPE_MIGRATION_WRITE;
  return exclusive ? PTE_TYPE_MIGRATION_READ_EXCLUSIVE : PTE_TYPE_MIGRATION_READ;
}
