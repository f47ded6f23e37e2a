/**
 * mmap(2) below the system call, for anonymous memory, private or shared.
 *
 *   set-up     VMAs that are in the way are cut out, detached and their pages unmapped, but they stay in the tree
 *   merge      a neighbour grows over the range, overwriting them in the tree; or a new VMA is stored there
 *   complete   what was replaced is accounted and freed
 *
 * Lock order here: mmapLock(write) > VMA write > i_mmap_rwsem(write) or anon_vma root(write).
 *
 * Invariants
 *   MMAP-1  The range is never without an owner in the tree when it had one before: no other mapping can slip in, not even
 *           for a reader that holds only RCU. Except when a new VMA cannot be allocated: then a hole is left, because the
 *           pages are gone already.
 *
 * Kernel: do_mmap() in mm/mmap.c, __mmap_region() in mm/vma.c. Not modelled: files, MAP_GROWSDOWN, address-space limits,
 * commit charge.
 */

import { EAGAIN, EEXIST, ENOMEM, EPERM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  NO_ADDRESS_SPACE,
  NO_NODE,
  NO_VMA,
  type AddressSpacePtr,
  type MmPtr,
  type VmaNodePtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { mmLockedVm, mmMapCount, mmMaxMapCount, setMmLockedVm } from '../layout/mm.ts';
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_HUGETLB,
  VM_LOCKED,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  setVmaFile,
  setVmaFlags,
} from '../layout/vma.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { hugetlbReservePages } from './hugetlbReserve.ts';
import {
  clearMunmapPtes,
  completeMunmapVmas,
  gatherMunmapVmas,
  initVmaMunmap,
  reattachVmas,
  type VmaMunmap,
} from './munmapVmas.ts';
import { getUnmappedArea } from './placement.ts';
import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_SHARED,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from './syscallFlags.ts';
import { getFile, shmemZeroSetup } from './shmem.ts';
import { initVmaRange, vmaAlloc, vmaFree, vmaPages } from './vma.ts';
import { vmaStoreNew } from './vmaAdjust.ts';
import { vmaClose, vmaLinkFile } from './vmaFile.ts';
import { vmaMergeNewRange } from './vmaMerge.ts';
import { vmgForRange } from './vmaMergeRules.ts';
import { canDoMlock, mlockFutureOk, vmStatAccount } from './vmStat.ts';
import { vmaFind, vmaFindBelow, vmaFindRange, vmaTreeCancel, vmaTreePrealloc, vmaTreeStore } from './vmaTree.ts';

/**
 * Maps `nrPages` pages of anonymous memory (do_mmap), private unless MAP_SHARED is given.
 *
 * @param file the object of huge pages to map, 0 for ordinary memory
 * @param vpn page number demanded or wished for, NULL_VPN without a wish
 * @returns the page number of the mapping, or -ENOMEM, -EINVAL, -EPERM, -EEXIST, -EAGAIN
 * @locked mmapLock(write)
 */
export function doMmap(
  task: Task,
  mm: MmPtr,
  vpn: Vpn,
  nrPages: number,
  prot: number,
  flags: number,
  file: AddressSpacePtr = NO_ADDRESS_SPACE,
): Sim<number> {
  const { heap } = task;
  if (nrPages === 0) return -ENOMEM;
  if (mmMapCount(heap, mm) > mmMaxMapCount(heap, mm)) return -ENOMEM;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const shared = (flags & MAP_SHARED) !== 0;
  const huge = file !== NO_ADDRESS_SPACE;
  const at = getUnmappedArea(task, mm, vpn, nrPages, { fixed, anonymous: !shared, huge });
  if (at < 0) return at;
  const noReplace = (flags & MAP_FIXED_NOREPLACE) !== 0;
  if (noReplace && vmaFindRange(task, mm, at, at + nrPages) !== NO_VMA) return -EEXIST;
  if ((flags & MAP_LOCKED) !== 0) {
    if (!canDoMlock(task, mm)) return -EPERM;
    if (!mlockFutureOk(task, mm, nrPages)) return -EAGAIN;
  }
  const kind = vmFlagsOfProt(prot) | vmFlagsOfMap(flags) | (huge ? VM_HUGETLB : 0) | (shared ? VM_SHARED : 0);
  // Offsets of private anonymous memory are those of its address; an object begins at 0.
  const pgoff = shared || huge ? 0 : at;
  return mmapRegion(task, { mm, start: at as Vpn, nrPages, pgoff, flags: accountable(kind), file });
}

/** Access bits of a mapping with this protection (calc_vm_prot_bits). */
export function vmFlagsOfProt(prot: number): number {
  let flags = 0;
  if ((prot & PROT_READ) !== 0) flags |= VM_READ;
  if ((prot & PROT_WRITE) !== 0) flags |= VM_WRITE;
  if ((prot & PROT_EXEC) !== 0) flags |= VM_EXEC;
  return flags;
}

/** What else of the arguments becomes a property of the mapping (calc_vm_flag_bits). */
function vmFlagsOfMap(flags: number): number {
  // Huge pages are never swapped: there is nothing to lock.
  const locked = (flags & (MAP_LOCKED | MAP_HUGETLB)) === MAP_LOCKED ? VM_LOCKED : 0;
  return ((flags & MAP_NORESERVE) === 0 ? 0 : VM_NORESERVE) | locked;
}

/** Writable private memory, but for huge pages, counts against the commit limit unless it is mapped with MAP_NORESERVE. */
function accountable(flags: number): number {
  const matters = VM_WRITE | VM_NORESERVE | VM_SHARED | VM_HUGETLB;
  return (flags & matters) === VM_WRITE ? flags | VM_ACCOUNT : flags;
}

/** A mapping to be made (struct mmap_state). */
interface NewMapping {
  readonly mm: MmPtr;
  readonly start: Vpn;
  readonly nrPages: number;
  readonly pgoff: number;
  readonly flags: number;
  /** The object of huge pages, or 0. */
  readonly file: AddressSpacePtr;
}

/** Puts a mapping at [start, start + nrPages), replacing what is there (__mmap_region). */
function mmapRegion(task: Task, map: NewMapping): Sim<number> {
  const { mm, start, nrPages, pgoff, flags } = map;
  const end = (start + nrPages) as Vpn;
  const vms = initVmaMunmap(mm, vmaFindRange(task, mm, start, end), start, end, false);
  let holeNode = NO_NODE;
  if (vms.vma !== NO_VMA) {
    const error = gatherMunmapVmas(task, vms);
    if (error !== 0) return error;
    holeNode = setUpReplacement(task, vms);
    if (holeNode === NO_NODE) return -ENOMEM;
  }
  const vmg = vmgForRange(mm, start, end, pgoff, flags);
  vmg.prev = vms.vma === NO_VMA ? vmaFindBelow(task, mm, start) : vms.prev;
  vmg.next = vms.vma === NO_VMA ? vmaFind(task, mm, end) : vms.next;
  if (vmaMergeNewRange(task, vmg) === NO_VMA && newVma(task, map, end) !== 0) {
    if (holeNode !== NO_NODE) leaveHole(task, vms, holeNode);
    return -ENOMEM;
  }
  if (holeNode !== NO_NODE) {
    vmaTreeCancel(task, holeNode);
    completeMunmapVmas(task, vms);
  }
  vmStatAccount(task, mm, flags, nrPages);
  if ((flags & VM_LOCKED) !== 0) setMmLockedVm(task.heap, mm, mmLockedVm(task.heap, mm) + nrPages);
  return start;
}

/**
 * Empties the gathered VMAs of the range. Once their pages are gone only a hole can be left if the rest fails; the kernel
 * insists on the memory for that (__GFP_NOFAIL), here it is reserved beforehand.
 *
 * @returns the block for the hole; or 0 without memory, all VMAs attached and untouched but for splits
 */
function setUpReplacement(task: Task, vms: VmaMunmap): Sim<VmaNodePtr> {
  const node = vmaTreePrealloc(task, vms.mm);
  if (node === NO_NODE) reattachVmas(task, vms);
  else cleanUpArea(task, vms);
  return node;
}

/** vms_clean_up_area(): what the replaced VMAs were promised is free for the new one. */
function cleanUpArea(task: Task, vms: VmaMunmap): Sim<void> {
  clearMunmapPtes(task, vms, true);
  for (const vma of vms.vmas) vmaClose(task, vma);
}

/** The replaced VMAs cannot come back: the unmapping is completed (vms_abort_munmap_vmas). */
function leaveHole(task: Task, vms: VmaMunmap, node: VmaNodePtr): Sim<void> {
  vmaTreeStore(task, vms.mm, node, vms.start, vms.end, NO_VMA);
  completeMunmapVmas(task, vms);
}

/** A VMA of its own for the range (__mmap_new_vma). @returns 0 or -ENOMEM */
function newVma(task: Task, map: NewMapping, end: Vpn): Sim<number> {
  const { heap } = task;
  const { mm, start, pgoff, flags } = map;
  const vma: VmaPtr = vmaAlloc(task, mm);
  if (vma === NO_VMA) return -ENOMEM;
  initVmaRange(heap, vma, start, end, pgoff);
  setVmaFlags(heap, vma, flags);
  const node = vmaTreePrealloc(task, mm);
  const error = node === NO_NODE ? -ENOMEM : setUpObject(task, vma, map);
  if (error !== 0) {
    if (node !== NO_NODE) vmaTreeCancel(task, node);
    vmaFree(task, vma);
    return error;
  }
  vmaStartWrite(task, mm, vma);
  vmaStoreNew(task, mm, node, vma);
  vmaLinkFile(task, vma);
  return 0;
}

/** A shared mapping gets an object of its own, which nothing else will ever be mapped to. @returns 0 or -ENOMEM */
function setUpObject(task: Task, vma: VmaPtr, { flags, file }: NewMapping): Sim<number> {
  if (file !== NO_ADDRESS_SPACE) return setUpHugetlb(task, vma, file);
  if ((flags & VM_SHARED) === 0) return 0;
  const mapping = shmemZeroSetup(task, vmaPages(task.heap, vma));
  if (mapping === NO_ADDRESS_SPACE) return -ENOMEM;
  setVmaFile(task.heap, vma, mapping);
  return 0;
}

/** hugetlbfs_file_mmap(): the mapping reserves its pages. @returns 0 or -ENOMEM */
function setUpHugetlb(task: Task, vma: VmaPtr, file: AddressSpacePtr): Sim<number> {
  setVmaFile(task.heap, vma, file);
  if (hugetlbReservePages(task, vma) !== 0) return -ENOMEM;
  getFile(task, file);
  return 0;
}
