/**
 * Page faults of user code: find and lock the VMA, then repair the entry. A fault that returns 0 promises nothing but progress: the
 * access is tried again.
 *
 * Lock order here: VMA lock (tried, never waited for), or mmapLock(read); then what the handlers take.
 *
 * Invariants
 *   FAULT-3  The entry is first read without its lock; whoever acts on that value compares it again under the ptl.
 *   FAULT-4  With only the VMA locked nobody blocks on mmapLock (a writer waits for VMA readers while it holds it).
 *
 * Kernel: do_user_addr_fault() in arch/x86/mm/fault.c, handle_pte_fault() in mm/memory.c. Not modelled: stack growth in faults,
 * NUMA hinting, transparent huge pages, swap-in, dropping mmapLock during a wait.
 */

import { assert, fail } from '../base/assert.ts';
import { EINTR } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, NO_TABLE, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { LEVEL_PTE, entryAt, readOncePte, tableLock } from '../layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_YOUNG,
  pteIsMigration,
  pteIsNone,
  pteIsPresent,
  pteIsProtnone,
  pteIsWritable,
  pteSet,
} from '../layout/pte.ts';
import { VM_HUGETLB, VM_WRITE, vmaFile, vmaFlags } from '../layout/vma.ts';
import { mmapReadLockKillable, mmapReadUnlock } from '../locks/mmapLock.ts';
import { spinLock } from '../locks/spinLock.ts';
import { vmaEndRead } from '../locks/vmaLock.ts';
import { doAnonymousPage } from './anonFault.ts';
import { doWpPage } from './cow.ts';
import { doFault } from './fileFault.ts';
import {
  BUS_ADRERR,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_VMA_LOCK,
  FAULT_FLAG_WRITE,
  FAULT_OOM,
  SEGV_ACCERR,
  SEGV_MAPERR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from './faultFlags.ts';
import { hugetlbFault } from './hugetlbFault.ts';
import { migrationEntryWait } from './migrationEntryWait.ts';
import { vmaIsAccessible } from './pageProt.ts';
import { pteAlloc } from './pageTable.ts';
import { setPteAt } from './pteAccess.ts';
import { pteOffsetMap, pteUnmap, pteUnmapUnlock } from './pteLock.ts';
import { lockVmaUnderRcu } from './vma.ts';
import { vmaLookup } from './vmaTree.ts';

/**
 * do_user_addr_fault(): an access of the task's own address space could not be translated.
 * @returns 0 (try the access again), SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR, FAULT_OOM or -EINTR
 */
export function handleUserFault(task: Task, vpn: Vpn, write: boolean): Sim<number> {
  const { mm } = task;
  const flags = write ? FAULT_FLAG_WRITE : 0;
  if (task.rules.fault.perVmaLock) {
    const locked = lockVmaUnderRcu(task, mm, vpn);
    if (locked !== NO_VMA) {
      const result = faultUnderVmaLock(task, mm, locked, vpn, flags);
      if (result !== VM_FAULT_RETRY) return result;
    }
  }
  if (mmapReadLockKillable(task, mm) !== 0) return -EINTR;
  const vma = vmaLookup(task, mm, vpn);
  let result = SEGV_MAPERR;
  if (vma !== NO_VMA) {
    result = accessIsAllowed(task, vma, flags)
      ? userFaultResult(handleMmFault(task, mm, vma, vpn, flags))
      : SEGV_ACCERR;
  }
  mmapReadUnlock(task, mm);
  return result;
}

/** The fault with the VMA read-locked, which it unlocks. VM_FAULT_RETRY: to be done again under mmapLock. */
function faultUnderVmaLock(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<number> {
  if (!accessIsAllowed(task, vma, flags)) {
    vmaEndRead(task, vma);
    return SEGV_ACCERR;
  }
  const fault = handleMmFault(task, mm, vma, vpn, flags | FAULT_FLAG_VMA_LOCK);
  if (fault === VM_FAULT_RETRY) return fault;
  vmaEndRead(task, vma);
  return userFaultResult(fault);
}

/** !access_error(): an accessible mapping can always be read. */
function accessIsAllowed(task: Task, vma: VmaPtr, flags: number): Sim<boolean> {
  const vmFlags = vmaFlags(task.heap, vma);
  return (flags & FAULT_FLAG_WRITE) === 0 ? vmaIsAccessible(vmFlags) : (vmFlags & VM_WRITE) !== 0;
}

function userFaultResult(fault: number): number {
  if (fault === 0) return 0;
  if (fault === VM_FAULT_OOM) return FAULT_OOM;
  if (fault === VM_FAULT_SIGBUS) return BUS_ADRERR;
  return fail(`fault result ${fault} under mmapLock`);
}

/**
 * handle_mm_fault(): makes the entry of `vpn` fit for what `flags` ask, or says why not. The access itself was checked.
 * @locked mmapLock or, with FAULT_FLAG_VMA_LOCK, the VMA
 * @returns 0 (look again) or VM_FAULT_*; after VM_FAULT_RETRY the VMA is not locked any more
 */
export function handleMmFault(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<number> {
  const { heap } = task;
  if ((vmaFlags(heap, vma) & VM_HUGETLB) !== 0) return hugetlbFault(task, mm, vma, vpn, flags);
  const table = pteOffsetMap(task, mm, vpn);
  if (table === NO_TABLE) {
    if (pteAlloc(task, mm, vpn) === NO_TABLE) return VM_FAULT_OOM;
    return doPteMissing(task, mm, vma, vpn, flags);
  }
  const pte = entryAt(table, vpn, LEVEL_PTE);
  const orig = readOncePte(heap, pte);
  if (!pteIsPresent(orig)) {
    pteUnmap(task);
    if (pteIsNone(orig)) return doPteMissing(task, mm, vma, vpn, flags);
    assert(pteIsMigration(orig), 'fault on an entry of unknown type');
    migrationEntryWait(task, mm, vpn);
    return 0;
  }
  // KSM unshares pages in whatever mapping.
  const expected = !pteIsProtnone(orig) || !vmaIsAccessible(vmaFlags(heap, vma));
  assert(expected, 'fault on an entry without access in an accessible mapping');
  spinLock(task, tableLock(table));
  // The table may have been emptied and unlinked since; then the entry differs too.
  if (readOncePte(heap, pte) === orig && (flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE)) !== 0) {
    if (!pteIsWritable(orig)) return doWpPage(task, mm, vma, vpn, flags, table, orig);
    // Somebody else repaired it; A and D are set here because the hardware would only do the same.
    const entry = pteSet(orig, PTE_YOUNG | PTE_DIRTY);
    if ((flags & FAULT_FLAG_WRITE) !== 0 && entry !== orig) setPteAt(task, mm, vpn, pte, entry);
  }
  pteUnmapUnlock(task, table);
  return 0;
}

/** do_pte_missing(). */
function doPteMissing(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<number> {
  if (vmaFile(task.heap, vma) === NO_ADDRESS_SPACE) return doAnonymousPage(task, mm, vma, vpn, flags);
  return doFault(task, mm, vma, vpn, flags);
}
