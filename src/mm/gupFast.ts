/**
 * get_user_pages_fast: references on pages of the task's own address space without any lock. The tables cannot go away inside
 * RCU; the pages can, so a reference is only tried for, and the entry is read again afterwards.
 *
 * Invariants
 *   GUPF-1  Reference first, then the entry again: whoever unmaps clears the entry first and drops its reference later, so an
 *           unchanged entry means that the page we hold is the one it maps.
 *   GUPF-2  Pin first, then PG_anon_exclusive: whoever clears the bit has cleared the entry before and looks for pins, so
 *           either it sees the pin or we see the entry or the bit changed.
 *   GUPF-3  A fork that overlaps makes us give all pins back: it may have looked for pins before ours was there.
 *
 * Kernel: gup_fast(), gup_fast_pte_range() in mm/gup.c. Not modelled: interrupts that are really off (tables
 * wait for RCU instead), huge pages, file pages.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  NO_TABLE,
  NO_VMA,
  type MmPtr,
  type PageTablePtr,
  type Pfn,
  type PtePtr,
  type PteVal,
  type Vpn,
} from '../layout/ids.ts';
import { mmWriteProtectSeq } from '../layout/mm.ts';
import { GUP_PIN_COUNTING_BIAS, zeroPfn } from '../layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, readOncePte, readOnceTableEntry } from '../layout/pageTable.ts';
import { pteIsAccessible, pteIsWritable, ptePfn } from '../layout/pte.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { readSeqcountBegin, readSeqcountRetry } from '../locks/seqCount.ts';
import { FOLL_PIN, FOLL_WRITE, gupMustUnshare } from './gupFlags.ts';
import { folioPutRefs, folioRefAdd, folioTryGet } from './pageRef.ts';
import { findTable } from './pageTable.ts';

/**
 * gup_fast(): appends pages of task.mm to `pages`, with the references `flags` ask for, as long as all goes well.
 * @returns their number, at most `nr`
 */
export function gupFast(task: Task, mm: MmPtr, vpn: Vpn, nr: number, flags: number, pages: Pfn[]): Sim<number> {
  const seq = mmWriteProtectSeq(mm);
  const isPin = (flags & FOLL_PIN) !== 0;
  let begun = 0;
  if (isPin) {
    begun = readSeqcountBegin(task, seq);
    if ((begun & 1) !== 0) return 0;
  }
  const first = pages.length;
  task.irqsOff = true;
  rcuReadLock(task);
  while (pages.length - first < nr) {
    const pfn = gupFastPage(task, mm, (vpn + pages.length - first) as Vpn, flags);
    if (pfn === 0) break;
    pages.push(pfn);
  }
  rcuReadUnlock(task);
  task.irqsOff = false;
  const done = pages.length - first;
  if (!isPin) return done;
  if (readSeqcountRetry(task, seq, begun)) {
    for (let i = first; i < pages.length; i++) gupPutFolio(task, pages[i], flags);
    pages.length = first;
    return 0;
  }
  if (task.check !== null) {
    for (let i = 0; i < done; i++) task.check.pinned(task, mm, (vpn + i) as Vpn, pages[first + i]);
  }
  return done;
}

/** gup_fast_pte_range() for one page: the page with its reference, or 0 to leave it to the slow way. */
function gupFastPage(task: Task, mm: MmPtr, vpn: Vpn, flags: number): Sim<Pfn> {
  const none = 0 as Pfn;
  const { heap } = task;
  const pmd = findTable(task, mm, vpn, LEVEL_PMD);
  if (pmd === NO_TABLE) return none;
  const pmdEntry = entryAt(pmd, vpn, LEVEL_PMD);
  const table = readOnceTableEntry(heap, pmdEntry);
  if (table <= NO_TABLE) return none;
  const pteEntry = entryAt(table, vpn, LEVEL_PTE);
  const pte = readOncePte(heap, pteEntry);
  if (!pteIsAccessible(pte) || ((flags & FOLL_WRITE) !== 0 && !pteIsWritable(pte))) return none;
  const pfn = ptePfn(pte);
  if (pfn === zeroPfn(heap) || !tryGrabFolioFast(task, pfn, flags)) return none;
  const changed = entriesChanged(task, pmdEntry, table, pteEntry, pte);
  if (changed || (!pteIsWritable(pte) && gupMustUnshare(task, NO_VMA, flags, pfn))) {
    gupPutFolio(task, pfn, flags);
    return none;
  }
  return pfn;
}

/** Whether the entries say something else than when they were first read. */
function entriesChanged(
  task: Task,
  pmdEntry: PtePtr,
  table: PageTablePtr,
  pteEntry: PtePtr,
  pte: PteVal,
): Sim<boolean> {
  return readOnceTableEntry(task.heap, pmdEntry) !== table || readOncePte(task.heap, pteEntry) !== pte;
}

/** try_grab_folio_fast(): one reference from not-zero, then the rest of a pin. */
function tryGrabFolioFast(task: Task, pfn: Pfn, flags: number): Sim<boolean> {
  if (!folioTryGet(task, pfn)) return false;
  if ((flags & FOLL_PIN) !== 0) folioRefAdd(task, pfn, GUP_PIN_COUNTING_BIAS - 1);
  return true;
}

/** gup_put_folio(): undoes tryGrabFolioFast. */
function gupPutFolio(task: Task, pfn: Pfn, flags: number): Sim<void> {
  folioPutRefs(task, pfn, (flags & FOLL_PIN) !== 0 ? GUP_PIN_COUNTING_BIAS : 1);
}
