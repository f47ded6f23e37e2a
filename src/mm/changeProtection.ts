/**
 * Changing the protection of entries for mprotect. The VMA's flags are changed already.
 *
 * Lock order here: ptl, one table at a time.
 *
 * Invariants
 *   PROT-1  An entry of private memory is only ever made writable here if its page is exclusive, just as the write fault would. Exclusivity itself
 *           does not change.
 *   PROT-2  A writable migration entry becomes readable-exclusive (of an object's page: readable): the page comes back read-only and still exclusive. The
 *           other two types stay as they are, whatever the new protection.
 *   PROT-3  The flush comes with the gather, after the ptls, before mmapLock is dropped: until then threads may still write
 *           through old translations, which nobody may rely on not to happen (tlbFlushPending tells).
 *
 * Kernel: change_protection(), change_pte_range() in mm/mprotect.c. Not modelled: NUMA hinting, userfaultfd, soft-dirty, huge
 * pages.
 */

import { assert } from '../base/assert.ts';
import { EAGAIN } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_TABLE, type MmPtr, type PtePtr, type PteVal, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { PG_anonExclusive, mappingIsAnon, readOncePageFlags, readOncePageMapping, zeroPfn } from '../layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_PROTNONE,
  PTE_TYPE_MIGRATION_READ,
  PTE_TYPE_MIGRATION_READ_EXCLUSIVE,
  PTE_WRITE,
  PTE_YOUNG,
  makeNonPresentPte,
  makePte,
  pteIsAccessible,
  pteIsMigration,
  pteIsNone,
  pteIsPresent,
  pteIsProtnone,
  pteIsWritable,
  pteIsWritableMigration,
  ptePfn,
  pteSet,
} from '../layout/pte.ts';
import { vmaMm } from '../layout/vma.ts';
import { tlbFlushPteRange, type MmuGather } from './mmuGather.ts';
import { vmPageProt } from './pageProt.ts';
import { nextBoundary, nextPteTable } from './pageTable.ts';
import { ptepGetAndClear, setPteAt } from './pteAccess.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { flushTlbBatchedPending } from './tlbFlush.ts';

/**
 * change_protection(): gives the entries of [start, end) the protection of `newFlags`. With `tryWritable`
 * (MM_CP_TRY_CHANGE_WRITABLE, the mapping is writable) entries become writable where that needs no fault.
 * @locked mmapLock(write), VMA write-locked
 * @returns number of entries changed
 */
export function changeProtection(
  task: Task,
  tlb: MmuGather,
  vma: VmaPtr,
  start: Vpn,
  end: Vpn,
  newFlags: number,
  tryWritable: boolean,
): Sim<number> {
  const mm = vmaMm(task.heap, vma);
  const prot = vmPageProt(newFlags);
  let changed = 0;
  let at = nextPteTable(task, mm, start, end);
  while (at < end) {
    const boundary = nextBoundary(at, LEVEL_PMD);
    const stop = boundary < end ? boundary : end;
    const pages = changePteRange(task, tlb, mm, at, stop, prot, tryWritable);
    // The table went away under us: look again what is there.
    if (pages !== -EAGAIN) {
      changed += pages;
      at = stop;
    }
    at = nextPteTable(task, mm, at, end);
  }
  return changed;
}

/** change_pte_range(): entries of one table; returns their number, or -EAGAIN when there is no table any more. */
function changePteRange(
  task: Task,
  tlb: MmuGather,
  mm: MmPtr,
  start: Vpn,
  end: Vpn,
  prot: number,
  tryWritable: boolean,
): Sim<number> {
  const table = pteOffsetMapLock(task, mm, start);
  if (table === NO_TABLE) return -EAGAIN;
  flushTlbBatchedPending(task, mm);
  let changed = 0;
  for (let at = start as number; at < end; at++) {
    const vpn = at as Vpn;
    const pte = entryAt(table, vpn, LEVEL_PTE);
    const old = readOncePte(task.heap, pte);
    if (pteIsNone(old)) continue;
    if (pteIsPresent(old)) {
      changePresentPte(task, tlb, mm, vpn, pte, prot, tryWritable);
      changed++;
    } else if (changeMigrationEntry(task, mm, vpn, pte, old)) {
      changed++;
    }
  }
  pteUnmapUnlock(task, table);
  return changed;
}

/** The entry is none while it changes, so that what the hardware does to it meanwhile is not lost. @locked ptl */
function changePresentPte(
  task: Task,
  tlb: MmuGather,
  mm: MmPtr,
  vpn: Vpn,
  pte: PtePtr,
  prot: number,
  tryWritable: boolean,
): Sim<void> {
  const old = ptepGetAndClear(task, mm, vpn, pte);
  let entry = pteModify(old, prot);
  if (tryWritable && !pteIsWritable(entry) && canChangePteWritable(task, entry)) entry = pteSet(entry, PTE_WRITE);
  setPteAt(task, mm, vpn, pte, entry);
  if (pteNeedsFlush(old, entry)) tlbFlushPteRange(tlb, vpn, (vpn + 1) as Vpn);
}

/** pte_modify(): page, A and D stay, the rest comes from the protection. */
function pteModify(old: PteVal, prot: number): PteVal {
  return makePte(ptePfn(old), (old & (PTE_YOUNG | PTE_DIRTY)) | (prot & (PTE_PROTNONE | PTE_WRITE)));
}

/** can_change_pte_writable() of a private mapping: the write fault would reuse the page with no further check. */
function canChangePteWritable(task: Task, entry: PteVal): Sim<boolean> {
  if (pteIsProtnone(entry)) return false;
  const pfn = ptePfn(entry);
  if (pfn === zeroPfn(task.heap)) return false;
  return (readOncePageFlags(task.heap, pfn) & PG_anonExclusive) !== 0;
}

/** pte_needs_flush(): whether a TLB may hold something of `old` that `entry` does not say. */
function pteNeedsFlush(old: PteVal, entry: PteVal): boolean {
  return pteIsAccessible(old) && ((old ^ entry) & (PTE_WRITE | PTE_PROTNONE)) !== 0;
}

/** Takes the write permission from a migration entry. True if it changed. @locked ptl */
function changeMigrationEntry(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr, old: PteVal): Sim<boolean> {
  assert(pteIsMigration(old), 'mprotect met an entry of unknown type');
  if (task.check !== null) task.check.migrationEntrySeen(task, mm, vpn, old);
  if (!pteIsWritableMigration(old)) return false;
  const kept = old & (PTE_YOUNG | PTE_DIRTY);
  const isAnon = mappingIsAnon(readOncePageMapping(task.heap, ptePfn(old)));
  const type = isAnon ? PTE_TYPE_MIGRATION_READ_EXCLUSIVE : PTE_TYPE_MIGRATION_READ;
  setPteAt(task, mm, vpn, pte, makeNonPresentPte(type, ptePfn(old), kept));
  return true;
}
