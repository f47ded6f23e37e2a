/**
 * Second half: migration entries become present entries again, of the new page or, when migration failed, of the old one.
 *
 * Lock order here: folio lock (of both) > anon_vma lock or i_mmap_rwsem > ptl.
 *
 * Invariants
 *   RMP-1  When this returns, no entry anywhere names `src`. The source may then be unlocked, which wakes those who wait at
 *          its entries. This rests on the order of the walk (WALK-1) and on not peeking (PVMW_SYNC): an entry that fork copies
 *          or mremap moves meanwhile is met at one of its places.
 *   RMP-2  rmap is added before the entry is set. Nothing was present, so nothing is flushed.
 *
 * Kernel: remove_migration_ptes(), remove_migration_pte() in mm/migrate.c. Not modelled: huge pages, mlock, userfaultfd bits.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { Pfn, PteVal, VmaPtr, Vpn } from '../layout/ids.ts';
import { PG_dirty, mappingIsAnon, readOncePageFlags, readOncePageMapping } from '../layout/page.ts';
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_WRITE,
  PTE_YOUNG,
  makePte,
  pteClear,
  pteIsDirty,
  pteIsReadableMigration,
  pteIsWritableMigration,
  pteIsYoung,
  pteSet,
} from '../layout/pte.ts';
import { readOnceVmaFlags } from '../layout/vma.ts';
import { folioAddFileRmapPte } from './fileRmap.ts';
import { vmPageProt } from './pageProt.ts';
import { folioGet } from './pageRef.ts';
import { PVMW_MIGRATION, PVMW_SYNC, pageVmaMappedWalk, startPageVmaMappedWalk } from './pageVmaMappedWalk.ts';
import { setPteAt } from './pteAccess.ts';
import { folioAddAnonRmapPte } from './rmap.ts';
import { neverDone, noInvalidVma, rmapWalk, rmapWalkAnonLock } from './rmapWalk.ts';

/**
 * remove_migration_ptes(): makes every migration entry of `src` a mapping of `dst`, which has its mapping and index.
 *
 * @locked folio lock of both; a reference on the anon_vma of an anonymous page, for nothing maps it
 */
export function removeMigrationPtes(task: Task, src: Pfn, dst: Pfn): Sim<void> {
  rmapWalk(task, dst, {
    rmapOne: (walker: Task, page: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> =>
      removeMigrationPte(walker, src, page, vma, vpn),
    done: neverDone,
    invalidVma: noInvalidVma,
    anonLock: rmapWalkAnonLock,
    tryLock: false,
    contended: false,
  });
}

/** remove_migration_pte(): one VMA. */
function removeMigrationPte(task: Task, src: Pfn, dst: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> {
  const pvmw = startPageVmaMappedWalk(task, src, vma, vpn, PVMW_SYNC | PVMW_MIGRATION);
  const isAnon = mappingIsAnon(readOncePageMapping(task.heap, dst));
  while (pageVmaMappedWalk(task, pvmw)) {
    folioGet(task, dst);
    const entry = restoredEntry(task, dst, vma, pvmw.value);
    if (isAnon) folioAddAnonRmapPte(task, dst, vma, !pteIsReadableMigration(pvmw.value));
    else folioAddFileRmapPte(task, dst, vma);
    setPteAt(task, pvmw.mm, pvmw.vpn, pvmw.pte, entry);
  }
  return true;
}

/** The present entry for a migration entry: the VMA's protection of today, what the entry allows, A and D as they were. */
function restoredEntry(task: Task, dst: Pfn, vma: VmaPtr, old: PteVal): Sim<PteVal> {
  const { heap } = task;
  let entry = makePte(dst, vmPageProt(readOnceVmaFlags(heap, vma)) | (old & PTE_HUGE));
  if (!pteIsYoung(old)) entry = pteClear(entry, PTE_YOUNG);
  // A page that was cleaned meanwhile must not become dirty again.
  if (pteIsDirty(old) && (readOncePageFlags(heap, dst) & PG_dirty) !== 0) entry = pteSet(entry, PTE_DIRTY);
  return pteIsWritableMigration(old) ? pteSet(entry, PTE_WRITE) : entry;
}
