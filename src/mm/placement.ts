/**
 * Where a mapping goes: at the fixed address, at the hint if that is free, else as high as possible in the mm's window.
 *
 * The window stands for a process whose address space is otherwise full: a hint outside it counts as occupied, and so does
 * the space behind its end for a mapping that wants to grow. MAP_FIXED may leave it upwards.
 *
 * Kernel: get_unmapped_area(), generic_get_unmapped_area_topdown(), thp_get_unmapped_area_vmflags() in mm/mmap.c and
 * mm/huge_memory.c, vm_start_gap(). Not modelled: the bottom-up fallback (nothing free is outside the window), LSM minimum.
 */

import { EINVAL, ENOMEM, EPERM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import { mmMmapEnd, mmMmapFirst } from '../layout/mm.ts';
import { HUGE_PAGES } from '../layout/page.ts';
import { VM_GROWSDOWN, vmaEnd, vmaFlags, vmaStart } from '../layout/vma.ts';
import { MMAP_MIN_VPN, NULL_VPN, TASK_END, TASK_PAGES } from './userSpace.ts';
import { vmaFind, vmaFindRange, vmaLookup, vmaTreeGapBelow } from './vmaTree.ts';

/** Pages kept free below a stack by placement (stack_guard_gap). */
const STACK_GUARD_GAP = 256;
/** Pages of mmap_min_addr, below which nothing is placed. */
const MMAP_MIN_PAGES = 1;

/** What is to be placed, and how. */
export interface PlacementRequest {
  /** The hint is a demand. */
  readonly fixed: boolean;
  /** Private anonymous memory. */
  readonly anonymous: boolean;
  /** Whole huge pages at their boundaries. */
  readonly huge?: boolean;
}

/**
 * Chooses the page number for `nrPages` pages, or checks the fixed one.
 *
 * @param hint page number wished for or, if `fixed`, demanded; NULL_VPN without a wish
 * @returns the page number, or -ENOMEM (too large, no room), -EINVAL (misaligned), -EPERM (below mmap_min_addr)
 * @locked mmapLock(write)
 */
export function getUnmappedArea(
  task: Task,
  mm: MmPtr,
  hint: Vpn,
  nrPages: number,
  { fixed, anonymous, huge = false }: PlacementRequest,
): Sim<number> {
  if (nrPages > TASK_PAGES - MMAP_MIN_PAGES) return -ENOMEM;
  if (huge && fixed && hint % HUGE_PAGES !== 0) return -EINVAL;
  if (fixed) return checkFixed(hint, nrPages);
  if (huge) return placeHuge(task, mm, hint, nrPages);
  if (hint !== NULL_VPN && hintIsFree(task, mm, hint, nrPages)) return hint;
  const low = mmMmapFirst(task.heap, mm);
  const high = mmMmapEnd(task.heap, mm);
  if (anonymous && hint === NULL_VPN && nrPages % HUGE_PAGES === 0) {
    const area = topDown(task, mm, low, high, nrPages + HUGE_PAGES);
    if (area >= 0) return area % HUGE_PAGES === 0 ? area + HUGE_PAGES : Math.ceil(area / HUGE_PAGES) * HUGE_PAGES;
  }
  return topDown(task, mm, low, high, nrPages);
}

/** hugetlb_get_unmapped_area(): room to align in is looked for together with the room itself. */
function placeHuge(task: Task, mm: MmPtr, hint: Vpn, nrPages: number): Sim<number> {
  const aligned = (Math.ceil(hint / HUGE_PAGES) * HUGE_PAGES) as Vpn;
  if (hint !== NULL_VPN && hintIsFree(task, mm, aligned, nrPages)) return aligned;
  const area = topDown(task, mm, mmMmapFirst(task.heap, mm), mmMmapEnd(task.heap, mm), nrPages + HUGE_PAGES - 1);
  return area < 0 ? area : Math.ceil(area / HUGE_PAGES) * HUGE_PAGES;
}

/** True if the VMA can grow upwards by `nrPages`; the guard gap of a stack behind it does not count (vma_expandable). */
export function vmaExpandable(task: Task, mm: MmPtr, vma: VmaPtr, nrPages: number): Sim<boolean> {
  const { heap } = task;
  const end = vmaEnd(heap, vma);
  if (end + nrPages > mmMmapEnd(heap, mm)) return false;
  return vmaFindRange(task, mm, end, end + nrPages) === NO_VMA;
}

/** Addresses below page number 0 exist in the kernel, not here. */
function checkFixed(vpn: number, nrPages: number): number {
  if (vpn > TASK_END - nrPages) return -ENOMEM;
  if (!Number.isInteger(vpn)) return -EINVAL;
  if (vpn < MMAP_MIN_VPN) return -EPERM;
  return vpn < 0 ? -ENOMEM : vpn;
}

function hintIsFree(task: Task, mm: MmPtr, hint: Vpn, nrPages: number): Sim<boolean> {
  if (hint < mmMmapFirst(task.heap, mm) || hint + nrPages > mmMmapEnd(task.heap, mm)) return false;
  const next = vmaFind(task, mm, hint);
  return next === NO_VMA || hint + nrPages <= startGap(task, next);
}

/** Highest room for `nrPages` in [low, high), clear of the guard gaps of stacks. @returns its start or -ENOMEM */
function topDown(task: Task, mm: MmPtr, low: Vpn, high: Vpn, nrPages: number): Sim<number> {
  let limit: number = high;
  for (;;) {
    const end = vmaTreeGapBelow(task, mm, low, limit as Vpn, nrPages);
    if (end < 0) return -ENOMEM;
    const next = vmaLookup(task, mm, end as Vpn);
    const gapEnd = next === NO_VMA ? end : Math.min(end, startGap(task, next));
    if (gapEnd === end) return end - nrPages;
    limit = gapEnd;
  }
}

/** Where the room below a VMA ends (vm_start_gap). */
function startGap(task: Task, vma: VmaPtr): Sim<number> {
  const start = vmaStart(task.heap, vma);
  return (vmaFlags(task.heap, vma) & VM_GROWSDOWN) === 0 ? start : start - STACK_GUARD_GAP;
}
