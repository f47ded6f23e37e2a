/**
 * madvise(2): the checks on the arguments, the lock that each advice needs, and the walk over the VMAs.
 *
 *   what changes flags of the VMA      mmapLock(write), madviseFlags.ts
 *   what discards contents             the VMA's read lock if one VMA covers the range, else mmapLock(read); madviseDiscard.ts
 *   what only touches pages            mmapLock(read), populate.ts
 *
 * Lock order here: as above; the VMA's read lock is tried, never waited for.
 *
 * Invariants
 *   MADV-1  A hole does not end the work: what is mapped behind it is treated, and the answer is -ENOMEM all the same. An
 *           error of a VMA does end it, with what lies before done.
 *   MADV-2  What was unmapped or cleaned is flushed before the call returns, but with the VMA's lock already dropped: the
 *           gather's references keep the pages until then.
 *
 * Kernel: do_madvise(), madvise_walk_vmas(), madvise_lock(), can_madvise_modify() in mm/madvise.c (6.18). Not modelled: advice
 * on dumps, huge pages, files, guard regions, cold pages and memory failures, which is refused; userfaultfd; swap-in by
 * MADV_WILLNEED (there is no swap).
 */

import { EINTR, EINVAL, ENOMEM, EPERM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { VM_HUGETLB, VM_SEALED, VM_SHARED, VM_WRITE, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapReadLock, mmapReadUnlock, mmapWriteLockKillable, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { vmaEndRead } from '../locks/vmaLock.ts';
import { madviseDiscard } from './madviseDiscard.ts';
import { madviseFlags } from './madviseFlags.ts';
import { tlbFinishMmu, tlbGatherMmu, type MmuGather } from './mmuGather.ts';
import { faultinPageRange } from './populate.ts';
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NORMAL,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from './syscallFlags.ts';
import { addrToVpn, isMisaligned, pageAlign, wrapAddress } from './userSpace.ts';
import { lockVmaUnderRcu } from './vma.ts';
import { vmaFindRange } from './vmaTree.ts';

/** One call: the whole range, and the gather of advice that unmaps or cleans. */
interface Madvise {
  readonly mm: MmPtr;
  readonly advice: number;
  readonly start: Vpn;
  readonly end: Vpn;
  readonly tlb: MmuGather | null;
}

/** madvise(2). @returns 0, -EINVAL, -EINTR, -EPERM, -ENOMEM, -EAGAIN or -EFAULT; after most of them part of the work is done */
export function sysMadvise(task: Task, addr: number, len: number, advice: number): Sim<number> {
  if (!isKnown(advice) || isMisaligned(addr)) return -EINVAL;
  const bytes = pageAlign(len);
  if (len !== 0 && bytes === 0) return -EINVAL;
  const end = wrapAddress(addr + bytes);
  if (end < addr) return -EINVAL;
  if (end === addr) return 0;
  const madv: Madvise = { mm: task.mm, advice, start: addrToVpn(addr), end: addrToVpn(end), tlb: null };
  if (changesFlags(advice)) return underWriteLock(task, madv);
  return discards(advice) ? discardRange(task, madv) : touchPages(task, madv);
}

function changesFlags(advice: number): boolean {
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
      return true;
    default:
      return false;
  }
}

function discards(advice: number): boolean {
  return advice === MADV_DONTNEED || advice === MADV_DONTNEED_LOCKED || advice === MADV_FREE;
}

/** madvise_behavior_valid(), for what is modelled. */
function isKnown(advice: number): boolean {
  const touches = advice === MADV_WILLNEED || advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE;
  return touches || changesFlags(advice) || discards(advice);
}

function underWriteLock(task: Task, madv: Madvise): Sim<number> {
  if (mmapWriteLockKillable(task, madv.mm) !== 0) return -EINTR;
  const error = walkVmas(task, madv);
  mmapWriteUnlock(task, madv.mm);
  return error;
}

function touchPages(task: Task, madv: Madvise): Sim<number> {
  const { mm, advice, start, end } = madv;
  mmapReadLock(task, mm);
  const error =
    advice === MADV_WILLNEED
      ? walkVmas(task, madv)
      : faultinPageRange(task, mm, start, end, advice === MADV_POPULATE_WRITE);
  mmapReadUnlock(task, mm);
  return error;
}

/** Discards under the VMA's own lock if that suffices (try_vma_read_lock), and flushes at the end. */
function discardRange(task: Task, { mm, advice, start, end }: Madvise): Sim<number> {
  const tlb = tlbGatherMmu(task, mm, false);
  const madv: Madvise = { mm, advice, start, end, tlb };
  const vma = task.rules.madvise.perVmaLock ? lockVmaUnderRcu(task, mm, start) : NO_VMA;
  if (vma !== NO_VMA) {
    const isEnough = vmaEnd(task.heap, vma) >= end;
    const result = isEnough ? madviseVma(task, madv, vma, start, end) : 0;
    vmaEndRead(task, vma);
    if (isEnough) {
      tlbFinishMmu(task, tlb);
      return Math.min(result, 0);
    }
  }
  mmapReadLock(task, mm);
  const error = walkVmas(task, madv);
  tlbFinishMmu(task, tlb);
  mmapReadUnlock(task, mm);
  return error;
}

/** VMA by VMA in address order (madvise_walk_vmas). @locked mmapLock, as the advice needs it */
function walkVmas(task: Task, madv: Madvise): Sim<number> {
  const { heap } = task;
  let at = madv.start;
  let unmapped = 0;
  while (at < madv.end) {
    const vma = vmaFindRange(task, madv.mm, at, madv.end);
    if (vma === NO_VMA) return -ENOMEM;
    const first = vmaStart(heap, vma);
    if (at < first) {
      unmapped = -ENOMEM;
      at = first;
    }
    const last = vmaEnd(heap, vma);
    const result = madviseVma(task, madv, vma, at, last < madv.end ? last : madv.end);
    if (result < 0) return result;
    // The VMA may have merged with one that reaches further: that part has the flags already.
    at = vmaEnd(heap, result as VmaPtr);
  }
  return unmapped;
}

/**
 * One VMA's share of the range (madvise_vma_behavior).
 *
 * @returns the VMA that covers the range now, or an error
 * @locked as the advice needs it
 */
function madviseVma(task: Task, madv: Madvise, vma: VmaPtr, start: Vpn, end: Vpn): Sim<number> {
  const { advice, mm } = madv;
  if (!canMadviseModify(task, vma, advice)) return -EPERM;
  if (changesFlags(advice)) return madviseFlags(task, mm, vma, start, end, advice);
  if (madv.tlb === null) return vma;
  const error = madviseDiscard(task, madv.tlb, vma, start, end, advice);
  return error === 0 ? vma : error;
}

/**
 * can_madvise_modify(): what is sealed must keep its contents, unless who asks could overwrite them anyway. Only private
 * anonymous memory has no other copy of them.
 */
function canMadviseModify(task: Task, vma: VmaPtr, advice: number): Sim<boolean> {
  const flags = vmaFlags(task.heap, vma);
  if ((flags & VM_SEALED) === 0) return true;
  if (!discards(advice) && advice !== MADV_DONTFORK && advice !== MADV_WIPEONFORK) return true;
  return (flags & (VM_SHARED | VM_HUGETLB)) !== 0 || (flags & VM_WRITE) !== 0;
}
