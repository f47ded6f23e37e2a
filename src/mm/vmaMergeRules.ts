/**
 * When two descriptions of memory may become one VMA.
 *
 * The anon_vma rule in one sentence: equal anon_vmas always match; if only one side has one, the merged VMA gets it, which
 * is allowed unless that side went through fork as a child - its chain is long, and linking ever more memory to it makes
 * every rmap walk of the whole family longer.
 *
 * Kernel: is_mergeable_vma(), is_mergeable_anon_vma(), can_vma_merge_before() and kin in mm/vma.c (6.18 form). Not
 * modelled: mempolicy, userfaultfd, names, close hooks, flags that merging ignores.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  NO_ADDRESS_SPACE,
  NO_ANON_VMA,
  NO_VMA,
  type AddressSpacePtr,
  type AnonVmaPtr,
  type MmPtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { VM_HUGETLB, vmaAnonVma, vmaEnd, vmaFile, vmaFlags, vmaPgoff, vmaStart } from '../layout/vma.ts';
import { vmaIsForkChild, vmaPages } from './vma.ts';

/**
 * One attempt to merge (struct vma_merge_struct, vmg): the range [start, end) is to get these attributes; where it lies
 * next to a VMA that has them already, that VMA grows instead.
 */
export interface VmaMerge {
  readonly mm: MmPtr;

  /** Neighbours and the VMA that contains the range, if it is an existing one; 0 where there is none. */
  prev: VmaPtr;
  middle: VmaPtr;
  next: VmaPtr;

  /** The range and its attributes. A merge widens the range to that of the resulting VMA. */
  start: Vpn;
  end: Vpn;
  pgoff: number;
  readonly flags: number;
  readonly anonVma: AnonVmaPtr;
  /** The object it maps. A new shared mapping has none yet: its own object will be another than any neighbour's. */
  readonly file: AddressSpacePtr;
  /** The VMA that mremap copies into the range, whose anon_vma must reach the target. */
  copiedFrom: VmaPtr;

  /** How the merge is done: who grows, who goes, whose start moves. */
  target: VmaPtr;
  removeMiddle: boolean;
  removeNext: boolean;
  adjustMiddleStart: boolean;
  adjustNextStart: boolean;

  /** Outcome: declined and failed are different things. */
  state: 'start' | 'noMerge' | 'outOfMemory' | 'merged';
}

/** A merge attempt for a range with attributes of its own (VMG_STATE). */
export function vmgForRange(mm: MmPtr, start: Vpn, end: Vpn, pgoff: number, flags: number): VmaMerge {
  return {
    mm,
    prev: NO_VMA,
    middle: NO_VMA,
    next: NO_VMA,
    start,
    end,
    pgoff,
    flags,
    anonVma: NO_ANON_VMA,
    file: NO_ADDRESS_SPACE,
    copiedFrom: NO_VMA,
    target: NO_VMA,
    removeMiddle: false,
    removeNext: false,
    adjustMiddleStart: false,
    adjustNextStart: false,
    state: 'start',
  };
}

/** A merge attempt for [start, end) with the attributes of `vma`, continued to that range (VMG_VMA_STATE). */
export function vmgForVma(task: Task, mm: MmPtr, vma: VmaPtr, start: Vpn, end: Vpn): Sim<VmaMerge> {
  const { heap } = task;
  const pgoff = vmaPgoff(heap, vma) + (start - vmaStart(heap, vma));
  const vmg = vmgForRange(mm, start, end, pgoff, vmaFlags(heap, vma));
  return { ...vmg, middle: vma, anonVma: vmaAnonVma(heap, vma), file: vmaFile(heap, vma) };
}

/** True if `vmg.prev` may grow over the range (can_vma_merge_left). @locked mmapLock(write) */
export function canMergeLeft(task: Task, vmg: VmaMerge): Sim<boolean> {
  const { heap } = task;
  const { prev } = vmg;
  if (prev === NO_VMA || vmaEnd(heap, prev) !== vmg.start) return false;
  if (!attributesMatch(task, vmg, prev) || !anonVmasMatch(task, vmg, prev)) return false;
  return vmaPgoff(heap, prev) + vmaPages(heap, prev) === vmg.pgoff;
}

/**
 * True if `vmg.next` may grow down over the range; when the left side merges too, the neighbours must also match each
 * other, for both may have had no quarrel with a range without an anon_vma (can_vma_merge_right).
 *
 * @locked mmapLock(write)
 */
export function canMergeRight(task: Task, vmg: VmaMerge, mergesLeft: boolean): Sim<boolean> {
  const { heap } = task;
  const { next } = vmg;
  if (next === NO_VMA || vmaStart(heap, next) !== vmg.end) return false;
  if (!attributesMatch(task, vmg, next) || !anonVmasMatch(task, vmg, next)) return false;
  if (vmaPgoff(heap, next) !== vmg.pgoff + (vmg.end - vmg.start)) return false;
  if (!mergesLeft) return true;
  const left = vmaAnonVma(heap, vmg.prev);
  const right = vmaAnonVma(heap, next);
  return left === NO_ANON_VMA || right === NO_ANON_VMA || left === right;
}

/** Equal flags and the same object (is_mergeable_vma). */
function attributesMatch(task: Task, vmg: VmaMerge, target: VmaPtr): Sim<boolean> {
  // VM_SPECIAL: among others what must not be expanded.
  if ((vmg.flags & VM_HUGETLB) !== 0) return false;
  return vmaFlags(task.heap, target) === vmg.flags && vmaFile(task.heap, target) === vmg.file;
}

/** The anon_vma rule between the range and the neighbour that would grow over it (is_mergeable_anon_vma). */
function anonVmasMatch(task: Task, vmg: VmaMerge, target: VmaPtr): Sim<boolean> {
  const { heap } = task;
  const own = vmaAnonVma(heap, target);
  if (own === vmg.anonVma) return true;
  if (own === NO_ANON_VMA) return !isForkChild(task, vmg.middle) && !isForkChild(task, vmg.copiedFrom);
  return vmg.anonVma === NO_ANON_VMA && !isForkChild(task, target);
}

function isForkChild(task: Task, vma: VmaPtr): Sim<boolean> {
  return vma !== NO_VMA && vmaIsForkChild(task.heap, vma);
}
