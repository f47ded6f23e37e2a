/**
 * Loads and stores of user code: TLB, then the hardware walk, then a fault, and again.
 *
 * The CPU holds its own TLB lock across one access (translation, walk and the load or store itself). A flush takes that lock,
 * so it waits for the access under way as an interrupt waits for the end of an instruction; that is also what keeps
 * tables from being freed under a walk, which takes no other lock and is not inside RCU.
 *
 * Invariants
 *   TLB-2  The CPU is in the mm's cpumask before it reads any table (pairs with TLB-1).
 *   TLB-3  A and D are set by compare-and-swap on the entry the walk read: never in an entry that changed since.
 *   TLB-4  An entry that does not allow the access is looked up again in the tables before it counts as a fault.
 *
 * Counterpart: the processor (Intel SDM vol. 3, 4.10). Not modelled: paging-structure caches, speculative walks.
 */

import { slabGeneration } from '../arena/slab.ts';
import { assert } from '../base/assert.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access, Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_MM, NO_TABLE, type MmPtr, type PteVal, type Vpn } from '../layout/ids.ts';
import { atomicSetMmCpumask, mmAsid, readOnceMmCpumask } from '../layout/mm.ts';
import {
  HUGE_PAGES,
  hugePageContent,
  pageAt,
  pageContent,
  setHugePageContent,
  setPageContent,
} from '../layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, cmpxchgPte, entryAt, readOncePte, readOnceTableEntry } from '../layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_NONE,
  PTE_PRESENT,
  PTE_WRITE,
  PTE_YOUNG,
  pteIsAccessible,
  pteIsHuge,
  pteIsWritable,
  ptePfn,
  pteSet,
} from '../layout/pte.ts';
import { clearTlbSlot, setTlbSlot, tlbLock, tlbSlot, tlbSlotAsid, tlbSlotPte, tlbSlotVpn } from '../layout/tlb.ts';
import { hwLock, hwUnlock } from '../locks/hwLock.ts';
import { handleUserFault } from './fault.ts';
import { findTable } from './pageTable.ts';

export { BUS_ADRERR, FAULT_OOM, SEGV_ACCERR, SEGV_MAPERR } from './faultFlags.ts';

/** What a TLB entry must show for a load, and for a store: D set, else the walk has to set it. */
const READ_NEEDS = PTE_PRESENT;
const WRITE_NEEDS = PTE_PRESENT | PTE_WRITE | PTE_DIRTY;

/**
 * Loads word `word` of page `vpn` of the task's address space into task.loaded.
 * @returns 0, or SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR, FAULT_OOM, -EINTR (killed while it waited)
 */
export function userRead(task: Task, vpn: Vpn, word: number): Sim<number> {
  const { heap, mm } = task;
  assert(mm !== NO_MM, 'a kernel thread has no user memory');
  const lock = tlbLock(heap, task.cpu);
  for (;;) {
    hwLock(task, lock);
    const pte = translate(task, mm, vpn, READ_NEEDS);
    if (pte !== PTE_NONE) {
      task.loaded = loadWord(heap, pte, vpn, word);
      if (task.check !== null) task.check.userAccess(task, mm, vpn, pte, false, word, task.loaded);
      hwUnlock(task, lock);
      return 0;
    }
    hwUnlock(task, lock);
    const fault = handleUserFault(task, vpn, false);
    if (fault !== 0) return fault;
  }
}

/** Stores `value` into word `word` of page `vpn`; results as userRead. */
export function userWrite(task: Task, vpn: Vpn, word: number, value: number): Sim<number> {
  const { heap, mm } = task;
  assert(mm !== NO_MM, 'a kernel thread has no user memory');
  const lock = tlbLock(heap, task.cpu);
  for (;;) {
    hwLock(task, lock);
    const pte = translate(task, mm, vpn, WRITE_NEEDS);
    if (pte !== PTE_NONE) {
      storeWord(heap, pte, vpn, word, value);
      if (task.check !== null) task.check.userAccess(task, mm, vpn, pte, true, word, value);
      hwUnlock(task, lock);
      return 0;
    }
    hwUnlock(task, lock);
    const fault = handleUserFault(task, vpn, true);
    if (fault !== 0) return fault;
  }
}

/**
 * Translation of `vpn` that has the flags `needs`, from the TLB or the tables; PTE_NONE if there is none.
 * @locked TLB lock of this CPU
 */
function translate(task: Task, mm: MmPtr, vpn: Vpn, needs: number): Sim<PteVal> {
  const { heap } = task;
  const slot = tlbSlot(heap, task.cpu, vpn);
  const asid = mmAsid(heap, mm);
  const hit = tlbSlotAsid(heap, slot) === asid && tlbSlotVpn(heap, slot) === vpn;
  if (hit) {
    const cached = tlbSlotPte(heap, slot);
    if ((cached & needs) === needs) return cached;
  }
  const cpu = 1 << task.cpu;
  if ((readOnceMmCpumask(heap, mm) & cpu) === 0) atomicSetMmCpumask(heap, mm, cpu);
  const pte = hardwareWalk(task, mm, vpn, needs === WRITE_NEEDS);
  if (pte !== PTE_NONE) setTlbSlot(heap, slot, asid, vpn, pte, slabGeneration(heap, pageAt(heap, ptePfn(pte))));
  // A page fault drops the entry that caused it, else a stale read-only entry would fault for ever.
  else if (hit) clearTlbSlot(heap, slot);
  return pte;
}

/** The memory behind a translation: of a huge page, the part that belongs to `vpn`. */
function loadWord(heap: Heap, pte: PteVal, vpn: Vpn, word: number): Access<number> {
  if (pteIsHuge(pte)) return hugePageContent(heap, ptePfn(pte), vpn % HUGE_PAGES, word);
  return pageContent(heap, ptePfn(pte), word);
}

function storeWord(heap: Heap, pte: PteVal, vpn: Vpn, word: number, value: number): Access<void> {
  if (pteIsHuge(pte)) setHugePageContent(heap, ptePfn(pte), vpn % HUGE_PAGES, word, value);
  else setPageContent(heap, ptePfn(pte), word, value);
}

/** Reads the tables and sets A (and D for a store). Returns the entry as it is then, or PTE_NONE for a fault. */
function hardwareWalk(task: Task, mm: MmPtr, vpn: Vpn, write: boolean): Sim<PteVal> {
  const { heap } = task;
  const pmd = findTable(task, mm, vpn, LEVEL_PMD);
  if (pmd === NO_TABLE) return PTE_NONE;
  const pmdEntry = entryAt(pmd, vpn, LEVEL_PMD);
  const table = readOnceTableEntry(heap, pmdEntry);
  if (table === NO_TABLE) return PTE_NONE;
  // Negative: the PMD entry maps a huge page itself.
  const at = table < NO_TABLE ? pmdEntry : entryAt(table, vpn, LEVEL_PTE);
  for (;;) {
    const pte = readOncePte(heap, at);
    if (!pteIsAccessible(pte) || (write && !pteIsWritable(pte))) return PTE_NONE;
    const used = pteSet(pte, write ? PTE_YOUNG | PTE_DIRTY : PTE_YOUNG);
    if (used === pte || cmpxchgPte(heap, at, pte, used) === pte) return used;
  }
}
