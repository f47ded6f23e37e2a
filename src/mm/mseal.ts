/**
 * mseal(2): from now on nobody may unmap, move, replace or re-protect the range, nor discard its contents without the right to
 * write them. There is no way back; the checks are in munmapVmas.ts, mremap.ts, mprotect.ts and madvise.ts.
 *
 * Lock order here: mmapLock(write) > VMA write > anon_vma root(write).
 *
 * Kernel: do_mseal(), mseal_apply() in mm/mseal.c (6.17 form).
 */

import { EINTR, EINVAL, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { VM_SEALED, setVmaFlags, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { mmapWriteLockKillable, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { addrToVpn, isMisaligned, pageAlign, wrapAddress } from './userSpace.ts';
import { vmaModifyFlags } from './vmaModify.ts';
import { vmaLookup, vmaPrev } from './vmaTree.ts';

/**
 * mseal(2); no flag has a meaning yet.
 *
 * @returns 0; -EINVAL, -EINTR; -ENOMEM for a hole, nothing then sealed, or without memory, VMAs before then sealed
 */
export function sysMseal(task: Task, addr: number, len: number, flags: number): Sim<number> {
  const { mm } = task;
  if (flags !== 0 || isMisaligned(addr)) return -EINVAL;
  const bytes = pageAlign(len);
  if (len !== 0 && bytes === 0) return -EINVAL;
  const end = wrapAddress(addr + bytes);
  if (end < addr) return -EINVAL;
  if (end === addr) return 0;
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const [first, last] = [addrToVpn(addr), addrToVpn(end)];
  const error = rangeContainsUnmapped(task, mm, first, last) ? -ENOMEM : msealApply(task, mm, first, last);
  mmapWriteUnlock(task, mm);
  return error;
}

/** @locked mmapLock(write) */
function rangeContainsUnmapped(task: Task, mm: MmPtr, start: Vpn, end: Vpn): Sim<boolean> {
  let at = start;
  while (at < end) {
    const vma = vmaLookup(task, mm, at);
    if (vma === NO_VMA) return true;
    at = vmaEnd(task.heap, vma);
  }
  return false;
}

/**
 * Seals VMA by VMA (mseal_apply). What is sealed already is left as it is, and so does not merge.
 *
 * @returns 0 or -ENOMEM
 * @locked mmapLock(write)
 */
function msealApply(task: Task, mm: MmPtr, start: Vpn, end: Vpn): Sim<number> {
  const { heap } = task;
  let at = start;
  while (at < end) {
    let vma = vmaLookup(task, mm, at);
    const flags = vmaFlags(heap, vma) | VM_SEALED;
    if (flags !== vmaFlags(heap, vma)) {
      const last = vmaEnd(heap, vma);
      const prev = at > vmaStart(heap, vma) ? vma : vmaPrev(task, mm, vma);
      const modified = vmaModifyFlags(task, mm, prev, vma, at, last < end ? last : end, flags);
      if (modified < 0) return modified;
      vma = modified as VmaPtr;
      vmaStartWrite(task, mm, vma);
      setVmaFlags(heap, vma, flags);
    }
    at = vmaEnd(heap, vma);
  }
  return 0;
}
