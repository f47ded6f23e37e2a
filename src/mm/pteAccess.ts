/**
 * Changing entries of level 0: the set_pte_at family. Each is one step together with the report to the check hook, and
 * each needs the ptl of the entry's table. The hardware may set A and D in a present entry at any moment, hence the swaps.
 *
 * Kernel: include/linux/pgtable.h, arch/x86/include/asm/pgtable.h.
 */

import type { Access, Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, PtePtr, PteVal, Vpn } from '../layout/ids.ts';
import { atomicClearPteFlags, readOncePte, writeOncePte, xchgPte } from '../layout/pageTable.ts';
import { PTE_NONE, PTE_WRITE, pteClear, pteIsAccessible } from '../layout/pte.ts';
import { flushTlbPage } from './tlbFlush.ts';

/** set_pte_at(). @locked ptl */
export function setPteAt(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr, value: PteVal): Access<void> {
  if (task.check !== null) task.check.pteSet(task, mm, vpn, pte, readOncePte(task.heap, pte), value);
  writeOncePte(task.heap, pte, value);
}

/** ptep_get_and_clear(). Returns the entry with all that the hardware did to it. @locked ptl */
export function ptepGetAndClear(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr): Access<PteVal> {
  if (task.check !== null) task.check.pteSet(task, mm, vpn, pte, readOncePte(task.heap, pte), PTE_NONE);
  return xchgPte(task.heap, pte, PTE_NONE);
}

/** ptep_clear_flush(): when it returns no CPU translates through the old entry. @locked ptl */
export function ptepClearFlush(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr): Sim<PteVal> {
  const old = ptepGetAndClear(task, mm, vpn, pte);
  if (pteIsAccessible(old)) flushTlbPage(task, mm, vpn);
  return old;
}

/** ptep_set_wrprotect(): atomic, so that A and D set meanwhile survive. No flush: that is the caller's. @locked ptl */
export function ptepSetWrprotect(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr): Access<void> {
  if (task.check !== null) {
    const before = readOncePte(task.heap, pte);
    task.check.pteSet(task, mm, vpn, pte, before, pteClear(before, PTE_WRITE));
  }
  atomicClearPteFlags(task.heap, pte, PTE_WRITE);
}
