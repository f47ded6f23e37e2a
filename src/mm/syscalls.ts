/**
 * The memory system calls of the task's own address space: byte addresses and lengths in, a byte address, 0 or a negative
 * errno out. Numbers up to 2^64 are taken as the 64-bit arguments they stand for.
 *
 * Here are the checks on parameters alone and the mmap lock around the work. All waits for that lock are killable.
 *
 * Kernel: sys_mmap(), sys_munmap(), sys_mprotect(), sys_mremap(); check_mremap_params() in mm/mremap.c. Only anonymous
 * memory: mappings of other kinds, and flags with an effect that is not modelled, are refused with -EINVAL.
 */

import { EINTR, EINVAL, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, type AddressSpacePtr, type MmPtr, type Vpn } from '../layout/ids.ts';
import { mmMaxMapCount, racyMmMapCount } from '../layout/mm.ts';
import { HUGE_PAGES } from '../layout/page.ts';
import { mmapWriteLockKillable, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { doMmap } from './mmap.ts';
import { doMprotect } from './mprotect.ts';
import { doMremap } from './mremap.ts';
import { doMunmap } from './munmap.ts';
import { fput, hugetlbFileSetup } from './shmem.ts';
import { faultInPages } from './populate.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  PROT_READ,
  PROT_SEM,
  PROT_WRITE,
} from './syscallFlags.ts';
import { TASK_SIZE, addrToVpn, isMisaligned, pageAlign, pagesOf, vpnToAddr, wrapAddress } from './userSpace.ts';
import { initVrm } from './vrm.ts';

const MAP_TYPE = MAP_SHARED | MAP_PRIVATE;
const MAP_SUPPORTED =
  MAP_TYPE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_HUGETLB | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE;
const PROT_GROWS = PROT_GROWSDOWN | PROT_GROWSUP;
const PROT_KNOWN = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWS;
const MREMAP_KNOWN = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
/** Maps that moving to a given place may need for a moment, checked before the destination is unmapped. */
const REMAP_TO_HEADROOM = 5;

/** mmap(2). @returns the address of the mapping, -EINTR, -EINVAL, -ENOMEM, -EPERM, -EEXIST or -EAGAIN */
export function sysMmap(task: Task, addr: number, len: number, prot: number, flags: number): Sim<number> {
  const { mm } = task;
  const type = flags & MAP_TYPE;
  if (type === 0 || type === MAP_TYPE) return -EINVAL;
  if ((flags & MAP_ANONYMOUS) === 0 || (flags & ~MAP_SUPPORTED) !== 0) return -EINVAL;
  const isHuge = (flags & MAP_HUGETLB) !== 0;
  const pages = isHuge ? Math.ceil(pagesOf(len) / HUGE_PAGES) * HUGE_PAGES : pagesOf(len);
  const file = isHuge ? hugetlbFileSetup(task, pages) : NO_ADDRESS_SPACE;
  if (isHuge && file === NO_ADDRESS_SPACE) return -ENOMEM;
  const start = mmapLocked(task, mm, addr, len, pages, prot, flags, file);
  // The mapping has its own reference.
  if (isHuge) fput(task, file);
  if (start < 0) return start;
  if ((flags & (MAP_POPULATE | MAP_LOCKED)) !== 0) faultInPages(task, mm, start as Vpn, (start + pages) as Vpn);
  return vpnToAddr(start);
}

/** vm_mmap_pgoff() without populating. @returns the page number of the mapping, or a negative errno */
function mmapLocked(
  task: Task,
  mm: MmPtr,
  addr: number,
  len: number,
  pages: number,
  prot: number,
  flags: number,
  file: AddressSpacePtr,
): Sim<number> {
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const vpn = fixed ? addrToVpn(addr) : (Math.floor(addrToVpn(addr)) as Vpn);
  const start = len === 0 ? -EINVAL : doMmap(task, mm, vpn, pages, prot, flags, file);
  mmapWriteUnlock(task, mm);
  return start;
}

/** munmap(2). @returns 0, -EINTR, -EINVAL, -EPERM or -ENOMEM */
export function sysMunmap(task: Task, addr: number, len: number): Sim<number> {
  const { mm } = task;
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const error = doMunmap(task, mm, addrToVpn(addr), pagesOf(len), true);
  if (error !== 0) mmapWriteUnlock(task, mm);
  return error;
}

/** mprotect(2). @returns 0, -EINTR, -EINVAL, -EPERM or -ENOMEM */
export function sysMprotect(task: Task, addr: number, len: number, prot: number): Sim<number> {
  const { mm } = task;
  if ((prot & PROT_GROWS) === PROT_GROWS || isMisaligned(addr)) return -EINVAL;
  if (len === 0) return 0;
  const end = wrapAddress(addr + pageAlign(len));
  if (end <= addr) return -ENOMEM;
  if ((prot & ~PROT_KNOWN) !== 0) return -EINVAL;
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const error = doMprotect(task, mm, addrToVpn(addr), pagesOf(len), prot);
  mmapWriteUnlock(task, mm);
  return error;
}

/** mremap(2). @returns the address of the result, -EINTR, -EINVAL, -EFAULT, -ENOMEM, -EAGAIN or -EPERM */
export function sysMremap(
  task: Task,
  addr: number,
  oldLen: number,
  newLen: number,
  flags: number,
  newAddr: number,
): Sim<number> {
  const { mm } = task;
  const error = checkMremapParams(task, addr, pageAlign(oldLen), pageAlign(newLen), flags, newAddr);
  if (error !== 0) return error;
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const vrm = initVrm(mm, addrToVpn(addr), pagesOf(oldLen), pagesOf(newLen), flags, addrToVpn(newAddr));
  vrm.mmapLocked = true;
  const result = doMremap(task, vrm);
  if (vrm.mmapLocked) mmapWriteUnlock(task, mm);
  if (result < 0) return result;
  if (vrm.populateExpand) {
    faultInPages(task, mm, (vrm.newAddr + vrm.oldLen) as Vpn, (vrm.newAddr + vrm.newLen) as Vpn);
  }
  return vpnToAddr(result);
}

/** What can be said before any lock is taken; lengths are whole pages. @returns 0, -EINVAL or -ENOMEM */
function checkMremapParams(
  task: Task,
  addr: number,
  oldLen: number,
  newLen: number,
  flags: number,
  newAddr: number,
): Sim<number> {
  if ((flags & ~MREMAP_KNOWN) !== 0 || isMisaligned(addr)) return -EINVAL;
  if (newLen === 0 || newLen > TASK_SIZE) return -EINVAL;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) === 0) return 0;
  if (newAddr > TASK_SIZE - newLen || isMisaligned(newAddr)) return -EINVAL;
  if ((flags & MREMAP_MAYMOVE) === 0) return -EINVAL;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && oldLen !== newLen) return -EINVAL;
  if (wrapAddress(addr + oldLen) > newAddr && newAddr + newLen > addr) return -EINVAL;
  // Racy, as in the kernel: a hint that saves most callers from losing the destination to a move that then fails.
  if (racyMmMapCount(task.heap, task.mm) >= mmMaxMapCount(task.heap, task.mm) - REMAP_TO_HEADROOM) return -ENOMEM;
  return 0;
}
