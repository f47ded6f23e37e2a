/**
 * fork: a child with copies of the parent's VMAs, sharing all private pages read-only. Of shared mappings the child gets the
 * VMAs alone: it finds the pages in their objects.
 *
 * Lock order here: parent's mmapLock(write) > child's (nested) > VMA write of one parent VMA after the other >
 * anon_vma lock, i_mmap_rwsem, ptls.
 *
 * Invariants
 *   FORK-5  A parent VMA is write-locked when its turn comes, before anything of it is copied. Faults on VMAs behind it run
 *           on under their VMA locks meanwhile.
 *   FORK-6  A child VMA is linked into the rmap before entries are copied into it, and behind the parent's: a walk that comes
 *           too early for an entry in the child has met it in the parent.
 *   FORK-7  The parent's mmapLock is kept until its TLBs are flushed: its threads may write to shared pages through old
 *           translations until then, which harms nobody while the child has not run.
 *
 * Kernel: dup_mm(), dup_mmap() in mm/mmap.c and kernel/fork.c. Not modelled: policies, accounting, userfaultfd.
 */

import { EINTR, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, NO_MM, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import {
  MMF_OOM_SKIP,
  MMF_UNSTABLE,
  atomicSetMmFlags,
  copyMmLimits,
  mmDataVm,
  mmMapCount,
  mmTotalVm,
  setMmDataVm,
  setMmMapCount,
  setMmTotalVm,
} from '../layout/mm.ts';
import {
  VM_DONTCOPY,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_WIPEONFORK,
  setVmaAnonVma,
  setVmaFlags,
  setVmaMm,
  setVmaPrivateData,
  vmaFlags,
} from '../layout/vma.ts';
import { mmapWriteLockKillable, mmapWriteLockNested, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { vmaMarkAttached, vmaStartWriteKillable } from '../locks/vmaLock.ts';
import { anonVmaFork } from './anonVmaFork.ts';
import { copyPageRange } from './copyPageRange.ts';
import { freeVmas, listVmas } from './exit.ts';
import { ksmFork } from './ksmSlots.ts';
import { mmAlloc, mmput } from './mmStruct.ts';
import { flushTlbMm } from './tlbFlush.ts';
import { unmapRegion } from './unmapRegion.ts';
import { vmStatAccount } from './vmStat.ts';
import { vmaDup, vmaFree, vmaPages } from './vma.ts';
import { vmaGetFile, vmaLinkFile } from './vmaFile.ts';
import { vmaFind, vmaNext, vmaTreeAppend, vmaTreeDestroy, vmaTreeReserveFor } from './vmaTree.ts';

const FIRST_VPN = 0 as Vpn;
const NO_CEILING = 0 as Vpn;

/** fork() of the running task's address space. @returns the child's mm, -ENOMEM or -EINTR */
export function sysFork(task: Task): Sim<number> {
  return dupMm(task, task.mm);
}

/**
 * dup_mm(): copies an address space; the caller is its user.
 *
 * @locked nothing
 * @returns the new mm with one user, -ENOMEM or -EINTR
 */
export function dupMm(task: Task, oldMm: MmPtr): Sim<number> {
  const mm = mmAlloc(task);
  if (mm === NO_MM) return -ENOMEM;
  copyMmLimits(task.heap, mm, oldMm);
  const error = dupMmap(task, mm, oldMm);
  if (error === 0) return mm;
  mmput(task, mm);
  return error;
}

/** dup_mmap(). @returns 0; or -ENOMEM or -EINTR with no VMA in the child */
function dupMmap(task: Task, mm: MmPtr, oldMm: MmPtr): Sim<number> {
  const { heap } = task;
  if (mmapWriteLockKillable(task, oldMm) !== 0) return -EINTR;
  // Nobody else knows the child, so this cannot wait; rmap walks will find its VMAs, but they take no mmap lock.
  mmapWriteLockNested(task, mm);
  setMmTotalVm(heap, mm, mmTotalVm(heap, oldMm));
  setMmDataVm(heap, mm, mmDataVm(heap, oldMm));
  // All memory the child's tree needs, so that storing a VMA cannot fail when it is linked already.
  let error = vmaTreeReserveFor(task, mm, oldMm);
  if (error === 0) {
    error = dupVmas(task, mm, oldMm);
    if (error === 0) ksmFork(task, mm, oldMm);
    else undoDupVmas(task, mm);
  }
  mmapWriteUnlock(task, mm);
  // After a failure too: entries of the parent were write-protected all the same.
  flushTlbMm(task, oldMm);
  task.check?.forkFlushed(task, oldMm, mm);
  mmapWriteUnlock(task, oldMm);
  return error;
}

/** Copies all VMAs in address order, up to the first that fails. */
function dupVmas(task: Task, mm: MmPtr, oldMm: MmPtr): Sim<number> {
  for (let vma = vmaFind(task, oldMm, FIRST_VPN); vma !== NO_VMA; vma = vmaNext(task, oldMm, vma)) {
    const error = dupVma(task, mm, oldMm, vma);
    if (error !== 0) return error;
  }
  return 0;
}

/** Copies one VMA and its entries. @returns 0, -ENOMEM or -EINTR; a VMA that was stored stays for undoDupVmas */
function dupVma(task: Task, mm: MmPtr, oldMm: MmPtr, vma: VmaPtr): Sim<number> {
  const { heap } = task;
  if (vmaStartWriteKillable(task, oldMm, vma) !== 0) return -EINTR;
  const flags = vmaFlags(heap, vma);
  if ((flags & VM_DONTCOPY) !== 0) {
    vmStatAccount(task, mm, flags, -vmaPages(heap, vma));
    return 0;
  }
  const wiped = (flags & VM_WIPEONFORK) !== 0;
  const child = vmaDup(task, vma);
  if (child === NO_VMA) return -ENOMEM;
  setVmaMm(heap, child, mm);
  // hugetlb_dup_vma_private(): what was promised to the parent was not promised to the child.
  setVmaPrivateData(heap, child, 0);
  if (wiped) {
    setVmaAnonVma(heap, child, NO_ANON_VMA);
  } else if (anonVmaFork(task, child, vma) !== 0) {
    vmaFree(task, child);
    return -ENOMEM;
  }
  setVmaFlags(heap, child, flags & ~(VM_LOCKED | VM_LOCKONFAULT));
  vmaMarkAttached(task, child);
  vmaTreeAppend(task, mm, child);
  setMmMapCount(heap, mm, mmMapCount(heap, mm) + 1);
  vmaGetFile(task, child);
  vmaLinkFile(task, child);
  return wiped ? 0 : copyPageRange(task, child, vma);
}

/** A fork that failed takes back what the child has. @locked both mmapLocks(write) */
function undoDupVmas(task: Task, mm: MmPtr): Sim<void> {
  const { heap } = task;
  atomicSetMmFlags(heap, mm, MMF_OOM_SKIP);
  const vmas = listVmas(task, mm);
  if (vmas.length > 0) {
    unmapRegion(task, mm, vmas, FIRST_VPN, NO_CEILING, true);
    freeVmas(task, mm, vmas);
  }
  vmaTreeDestroy(task, mm);
  // Its pages are gone but it may be looked at until its last user drops it: nothing may be faulted in again.
  atomicSetMmFlags(heap, mm, MMF_UNSTABLE);
}
