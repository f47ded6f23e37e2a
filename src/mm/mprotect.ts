/**
 * mprotect(2) below the system call: VMA by VMA in address order, applied as it goes.
 *
 * Lock order here: mmapLock(write) > VMA write > anon_vma root(write), ptl.
 *
 * Invariants
 *   MPROTECT-1  The TLBs are flushed after the page-table locks are dropped but before mmapLock is.
 *   MPROTECT-2  Accounting sticks: memory that was writable and written keeps VM_ACCOUNT when it becomes read-only, for its
 *               pages are still there. Only a VMA that was never written gives it back.
 *
 * Kernel: mprotect_fixup(), do_mprotect_pkey() in mm/mprotect.c. Not modelled: pkeys, missing VM_MAY* rights (private
 * anonymous memory has them all), RLIMIT_DATA, commit charge.
 */

import { EINVAL, ENOMEM, EPERM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_NORESERVE,
  VM_READ,
  VM_SEALED,
  VM_SHARED,
  VM_WRITE,
  setVmaFlags,
  vmaAnonVma,
  vmaEnd,
  vmaFlags,
  vmaStart,
} from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { changeProtection } from './changeProtection.ts';
import { hugetlbChangeProtection } from './hugetlbRange.ts';
import { vmFlagsOfProt } from './mmap.ts';
import { tlbFinishMmu, tlbGatherMmu, type MmuGather } from './mmuGather.ts';
import { populateVmaPageRange } from './populate.ts';
import { PROT_GROWSDOWN, PROT_GROWSUP } from './syscallFlags.ts';
import { vmaModifyFlags } from './vmaModify.ts';
import { vmStatAccount } from './vmStat.ts';
import { vmaFindRange, vmaPrev } from './vmaTree.ts';

const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;

/**
 * Gives [start, start + nrPages) the protection `prot`; PROT_GROWSDOWN extends the range to the start of the stack.
 *
 * @returns 0; -ENOMEM for a hole or without memory, -EPERM for a sealed VMA, VMAs before it then changed; -EINVAL for growing
 *          what does not grow
 * @locked mmapLock(write)
 */
export function doMprotect(task: Task, mm: MmPtr, start: Vpn, nrPages: number, prot: number): Sim<number> {
  const { heap } = task;
  const end = (start + nrPages) as Vpn;
  const first = vmaFindRange(task, mm, start, end);
  if (first === NO_VMA) return -ENOMEM;
  let from = start;
  if ((prot & PROT_GROWSDOWN) !== 0) {
    from = vmaStart(heap, first);
    if ((vmaFlags(heap, first) & VM_GROWSDOWN) === 0) return -EINVAL;
  } else {
    if (vmaStart(heap, first) > start) return -ENOMEM;
    if ((prot & PROT_GROWSUP) !== 0) return -EINVAL;
  }
  const tlb = tlbGatherMmu(task, mm, false);
  const error = protectVmas(task, mm, tlb, from, end, vmFlagsOfProt(prot));
  tlbFinishMmu(task, tlb);
  return error;
}

/** The range from VMA to VMA, until a hole or an error. */
function protectVmas(task: Task, mm: MmPtr, tlb: MmuGather, start: Vpn, end: Vpn, access: number): Sim<number> {
  const { heap } = task;
  let at = start;
  while (at < end) {
    const vma = vmaFindRange(task, mm, at, end);
    if (vma === NO_VMA || vmaStart(heap, vma) > at) return -ENOMEM;
    const vmaLast = vmaEnd(heap, vma);
    const to = vmaLast < end ? vmaLast : end;
    const error = mprotectFixup(task, mm, tlb, vma, at, to, access);
    if (error !== 0) return error;
    at = to;
  }
  return 0;
}

/**
 * One VMA's share of the range.
 *
 * @returns 0; -EPERM, even if nothing is to change; or -ENOMEM, protection then unchanged, but the VMA may be split
 * @locked mmapLock(write)
 */
function mprotectFixup(
  task: Task,
  mm: MmPtr,
  tlb: MmuGather,
  vma: VmaPtr,
  start: Vpn,
  end: Vpn,
  access: number,
): Sim<number> {
  const { heap } = task;
  const oldFlags = vmaFlags(heap, vma);
  if ((oldFlags & VM_SEALED) !== 0) return -EPERM;
  let newFlags = (oldFlags & ~VM_ACCESS_FLAGS) | access;
  if (newFlags === oldFlags) return 0;
  if ((newFlags & VM_WRITE) !== 0) {
    if ((oldFlags & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE)) === 0) newFlags |= VM_ACCOUNT;
  } else if ((oldFlags & VM_ACCOUNT) !== 0 && vmaAnonVma(heap, vma) === NO_ANON_VMA) {
    newFlags &= ~VM_ACCOUNT;
  }
  const prev = start > vmaStart(heap, vma) ? vma : vmaPrev(task, mm, vma);
  const modified = vmaModifyFlags(task, mm, prev, vma, start, end, newFlags);
  if (modified < 0) return modified;
  const target = modified as VmaPtr;
  vmaStartWrite(task, mm, target);
  task.check?.guardedWrite(task, 'vmaFlags', target);
  setVmaFlags(heap, target, newFlags);
  if ((newFlags & VM_HUGETLB) !== 0) hugetlbChangeProtection(task, target, start, end, newFlags);
  else changeProtection(task, tlb, target, start, end, newFlags, (newFlags & VM_WRITE) !== 0);
  const becomesWritable = (newFlags & VM_WRITE) !== 0 && (oldFlags & (VM_WRITE | VM_SHARED)) === 0;
  // What is locked shall not fault later for having been shared: copies are made now. Failures show at the access.
  if (becomesWritable && (oldFlags & VM_LOCKED) !== 0) populateVmaPageRange(task, mm, target, start, end);
  vmStatAccount(task, mm, oldFlags, -(end - start));
  vmStatAccount(task, mm, newFlags, end - start);
  return 0;
}
