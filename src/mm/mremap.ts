/**
 * mremap(2) below the system call: which of its many forms is asked for, what the VMA must satisfy, what is unmapped first.
 *
 * Lock order here: mmapLock(write) throughout, but for shrinking in place, which downgrades and releases it.
 *
 * Invariants
 *   MREMAP-1  vrm.mmapLocked is the truth about the mmap lock at every return.
 *   MREMAP-2  vrm.vma is not used after an unmapping without a new lookup.
 *   MREMAP-3  A check that fails leaves everything as it was. There is no way back behind the first unmapping: a later
 *             failure leaves the destination unmapped, the tail cut off, or the earlier VMAs of a batch moved.
 *
 * Kernel: check_prep_vma(), mremap_to(), mremap_at(), expand_vma(), shrink_vma(), remap_move() in mm/mremap.c (6.18). Not
 * modelled: special mappings, RLIMIT_AS and RLIMIT_DATA, page offsets that wrap.
 */

import { assertNever, fail } from '../base/assert.ts';
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { HUGE_PAGES } from '../layout/page.ts';
import { VM_HUGETLB, VM_LOCKED, VM_SEALED, VM_SHARED, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { moveVma, vrmSetNewAddr, vrmStatAccount } from './mremapMove.ts';
import { doMunmap } from './munmap.ts';
import { vmaExpandable } from './placement.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from './syscallFlags.ts';
import { vmaMergeExtend } from './vmaMerge.ts';
import { mlockFutureOk } from './vmStat.ts';
import { vmaFindRange, vmaLookup } from './vmaTree.ts';
import { vrmImpliesNewAddr, vrmSetType, type VmaRemap } from './vrm.ts';

/**
 * Carries a checked request out.
 *
 * @returns the page number of the result or a negative errno; vrm.mmapLocked says whether the lock is still held
 * @locked mmapLock(write), recorded in vrm.mmapLocked
 */
export function doMremap(task: Task, vrm: VmaRemap): Sim<number> {
  const moveOnly = (vrm.flags & MREMAP_FIXED) !== 0 && vrm.oldLen === vrm.newLen;
  if (moveOnly && task.rules.mremap.multiVma) return remapMove(task, vrm);
  vrm.vma = vmaLookup(task, vrm.mm, vrm.addr);
  const error = checkPrepVma(task, vrm);
  if (error !== 0) return error;
  return vrmImpliesNewAddr(vrm) ? mremapTo(task, vrm) : mremapAt(task, vrm);
}

/** What the VMA must satisfy, and what is asked of it (check_prep_vma). @returns 0, -EFAULT, -EPERM, -EINVAL or -EAGAIN */
function checkPrepVma(task: Task, vrm: VmaRemap): Sim<number> {
  const { heap } = task;
  const { vma, addr } = vrm;
  if (vma === NO_VMA) return -EFAULT;
  if ((vmaFlags(heap, vma) & VM_SEALED) !== 0) return -EPERM;
  const isHugetlb = (vmaFlags(heap, vma) & VM_HUGETLB) !== 0;
  if (isHugetlb && !alignHugetlb(vrm)) return -EINVAL;
  vrmSetType(vrm);
  if (!vrmImpliesNewAddr(vrm)) vrm.newAddr = addr;
  if (vrm.type !== 'expand' && !vrmImpliesNewAddr(vrm)) return 0;
  // Length 0 duplicates a mapping, which means something for shared memory only.
  if (vrm.oldLen === 0 && (vmaFlags(heap, vma) & VM_SHARED) === 0) return -EINVAL;
  // VM_DONTEXPAND, which every hugetlb mapping is.
  if (isHugetlb && (vrm.flags & MREMAP_DONTUNMAP) !== 0) return -EINVAL;
  const { newLen } = vrm;
  const oldLen = vrm.type === 'shrink' ? newLen : vrm.oldLen;
  if (oldLen > vmaEnd(heap, vma) - addr) return -EFAULT;
  if (newLen === oldLen) return 0;
  if ((vmaFlags(heap, vma) & VM_LOCKED) === 0) return 0;
  vrm.populateExpand = true;
  return mlockFutureOk(task, vrm.mm, vrm.delta) ? 0 : -EAGAIN;
}

/** Rounds the lengths up to huge pages (align_hugetlb). False for a misaligned address, given or not asked for, and for growth. */
function alignHugetlb(vrm: VmaRemap): boolean {
  vrm.oldLen = Math.ceil(vrm.oldLen / HUGE_PAGES) * HUGE_PAGES;
  vrm.newLen = Math.ceil(vrm.newLen / HUGE_PAGES) * HUGE_PAGES;
  if (vrm.addr % HUGE_PAGES !== 0 || vrm.newAddr % HUGE_PAGES !== 0) return false;
  return vrm.newLen <= vrm.oldLen;
}

/** To another address, given or to be found, whatever the lengths (mremap_to). */
function mremapTo(task: Task, vrm: VmaRemap): Sim<number> {
  if ((vrm.flags & MREMAP_FIXED) !== 0) {
    const error = doMunmap(task, vrm.mm, vrm.newAddr, vrm.newLen, false);
    vrm.vma = NO_VMA;
    if (error !== 0) return error;
    // The destination may have been another part of the same VMA.
    vrm.vma = vmaLookup(task, vrm.mm, vrm.addr);
    if (vrm.vma === NO_VMA) return -EFAULT;
  }
  if (vrm.type === 'shrink') {
    const error = shrinkVma(task, vrm, false);
    if (error !== 0) return error;
    vrm.oldLen = vrm.newLen;
  }
  const error = vrmSetNewAddr(task, vrm);
  return error === 0 ? moveVma(task, vrm) : error;
}

/** At its place if possible (mremap_at). */
function mremapAt(task: Task, vrm: VmaRemap): Sim<number> {
  switch (vrm.type) {
    case 'noResize':
      return vrm.addr;
    case 'shrink': {
      const error = shrinkVma(task, vrm, true);
      return error === 0 ? vrm.addr : error;
    }
    case 'expand':
      return expandVma(task, vrm);
    case 'invalid':
      return fail('mremap: the type of the request was not computed');
    default:
      return assertNever(vrm.type);
  }
}

/**
 * Cuts the tail off, over several VMAs and holes if need be (shrink_vma).
 *
 * @param dropLock release the mmap lock on success; otherwise the VMA is looked up again
 */
function shrinkVma(task: Task, vrm: VmaRemap, dropLock: boolean): Sim<number> {
  const error = doMunmap(task, vrm.mm, (vrm.addr + vrm.newLen) as Vpn, vrm.delta, dropLock);
  vrm.vma = NO_VMA;
  if (error !== 0) return error;
  if (dropLock) {
    vrm.mmapLocked = false;
    return 0;
  }
  vrm.vma = vmaLookup(task, vrm.mm, vrm.addr);
  return vrm.vma === NO_VMA ? -EFAULT : 0;
}

/** Grows in place if nothing is in the way, else moves if that is allowed (expand_vma). */
function expandVma(task: Task, vrm: VmaRemap): Sim<number> {
  const toEnd = vmaEnd(task.heap, vrm.vma) - vrm.addr === vrm.oldLen;
  if (toEnd && vmaExpandable(task, vrm.mm, vrm.vma, vrm.delta)) {
    const grown = vmaMergeExtend(task, vrm.mm, vrm.vma, vrm.delta);
    if (grown === NO_VMA) return -ENOMEM;
    vrm.vma = grown;
    vrmStatAccount(task, vrm, vrm.delta);
    return vrm.addr;
  }
  if ((vrm.flags & MREMAP_MAYMOVE) === 0) return -ENOMEM;
  const error = vrmSetNewAddr(task, vrm);
  return error === 0 ? moveVma(task, vrm) : error;
}

/**
 * Moves every VMA of [addr, addr + oldLen) to the same offset at the new address; gaps stay gaps, and what is mapped
 * opposite to them stays (remap_move).
 *
 * @returns the new place of the first VMA; -EFAULT if nothing is mapped at addr itself; or the error of a VMA, the ones before
 *          it then moved
 */
function remapMove(task: Task, vrm: VmaRemap): Sim<number> {
  const start = vrm.addr;
  const end = start + vrm.oldLen;
  let target: number = vrm.newAddr;
  let lastEnd = 0;
  let result = -EFAULT;
  let seen = false;
  let vma = vmaFindRange(task, vrm.mm, start, end);
  while (vma !== NO_VMA) {
    const vmaFirst = vmaStart(task.heap, vma);
    const vmaLast = vmaEnd(task.heap, vma);
    if (!seen && start < vmaFirst) return -EFAULT;
    vrm.newAddr = (seen ? target + (vmaFirst - lastEnd) : target) as Vpn;
    const moved = movePiece(task, vrm, vma, Math.max(vmaFirst, start), Math.min(vmaLast, end));
    if (moved < 0) return moved;
    if (!seen) result = moved;
    seen = true;
    target = moved + vrm.newLen;
    lastEnd = vmaLast;
    // The range may end inside of this VMA, and a merge may since have made one that reaches over both.
    vma = lastEnd < end ? vmaFindRange(task, vrm.mm, lastEnd, end) : NO_VMA;
  }
  return result;
}

/** One VMA's share [from, to) of a batch, as a request of its own. */
function movePiece(task: Task, vrm: VmaRemap, vma: VmaPtr, from: number, to: number): Sim<number> {
  vrm.vma = vma;
  vrm.addr = from as Vpn;
  vrm.oldLen = to - from;
  vrm.newLen = vrm.oldLen;
  const error = checkPrepVma(task, vrm);
  return error === 0 ? mremapTo(task, vrm) : error;
}
