/**
 * exec's temporary stack. It is built at the top of the address space, where arguments are copied into it before the layout of
 * the new program is known, and moved down to its place afterwards - inside one VMA, which for a while covers both places.
 *
 *   before    ........................|stack page|      pgoff p
 *   widened   |---------------------------------|      start is new, pgoff still p: index now leads to the new place
 *   moved     entries follow, without rmap locks
 *   after     |stack page|.......................      pgoff p
 *
 * Lock order here: mmapLock(write) > VMA write > anon_vma root(write) for the two changes of range > ptls.
 *
 * Invariants
 *   STACK-1  From widening to the last moved entry an rmap walk computes the new address of a page whose entry is still at
 *            the old one. No lock covers that time; VM_STACK_INCOMPLETE_SETUP tells migration to leave such a VMA alone.
 *
 * Kernel: create_init_stack_vma(), relocate_vma_down() in mm/vma_exec.c (shift_arg_pages() before), setup_arg_pages() in
 * fs/exec.c. Not modelled: growing the temporary stack page by page, its final growth, protection changes.
 */

import { EFAULT, EINTR, ENOMEM } from '../base/errno.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_NODE, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import {
  VM_ACCOUNT,
  VM_GROWSDOWN,
  VM_READ,
  VM_STACK_INCOMPLETE_SETUP,
  VM_WRITE,
  setVmaFlags,
  vmaEnd,
  vmaFlags,
  vmaPgoff,
  vmaStart,
} from '../layout/vma.ts';
import { mmapWriteLockKillable, mmapWriteUnlock } from '../locks/mmapLock.ts';
import { vmaStartWrite } from '../locks/vmaLock.ts';
import { tlbFinishMmu, tlbGatherMmu } from './mmuGather.ts';
import { movePageTables } from './movePageTables.ts';
import { freePgtables } from './pageTable.ts';
import { initVmaRange, vmaAlloc, vmaFree } from './vma.ts';
import { vmaStoreNew } from './vmaAdjust.ts';
import { vmaExpand, vmaShrink } from './vmaExpand.ts';
import { vmgForRange } from './vmaMergeRules.ts';
import { vmStatAccount } from './vmStat.ts';
import { vmaFind, vmaFindRange, vmaLookup, vmaNext, vmaTreePrealloc } from './vmaTree.ts';

const TEMPORARY_STACK_FLAGS = VM_READ | VM_WRITE | VM_GROWSDOWN | VM_ACCOUNT | VM_STACK_INCOMPLETE_SETUP;

/**
 * Maps a temporary stack of `nrPages` pages that ends at `top` in the task's address space (create_init_stack_vma). The
 * caller writes its pages next.
 *
 * @returns 0, -EINTR, or -ENOMEM without memory or if something is mapped there
 */
export function createInitStackVma(task: Task, top: Vpn, nrPages: number): Sim<number> {
  const { heap, mm } = task;
  const start = (top - nrPages) as Vpn;
  assert(start >= 0 && start < top, 'exec: no room for the temporary stack');
  const vma = vmaAlloc(task, mm);
  if (vma === NO_VMA) return -ENOMEM;
  initVmaRange(heap, vma, start, top, start);
  setVmaFlags(heap, vma, TEMPORARY_STACK_FLAGS);
  let error = mmapWriteLockKillable(task, mm) !== 0 ? -EINTR : 0;
  if (error === 0) {
    error = insertVma(task, mm, vma);
    mmapWriteUnlock(task, mm);
  }
  if (error !== 0) vmaFree(task, vma);
  return error;
}

/**
 * Moves the temporary stack that begins at `start` down by `shift` pages and makes it an ordinary stack (setup_arg_pages).
 *
 * @returns 0; -EINTR; -EFAULT if something else is mapped on the way; -ENOMEM. After -EINTR and -EFAULT nothing has changed;
 *          after -ENOMEM the pages may be at both places, and the address space is only fit for exit, as in exec.
 */
export function execShiftStack(task: Task, start: Vpn, shift: number): Sim<number> {
  const { heap, mm } = task;
  if (mmapWriteLockKillable(task, mm) !== 0) return -EINTR;
  const vma = vmaLookup(task, mm, start);
  assert(vma !== NO_VMA && vmaStart(heap, vma) === start, 'exec: there is no temporary stack');
  assert((vmaFlags(heap, vma) & VM_STACK_INCOMPLETE_SETUP) !== 0, 'exec: the stack is not temporary');
  const error = shift > 0 ? relocateVmaDown(task, mm, vma, shift) : 0;
  if (error === 0) {
    vmaStartWrite(task, mm, vma);
    task.check?.guardedWrite(task, 'vmaFlags', vma);
    setVmaFlags(heap, vma, vmaFlags(heap, vma) & ~VM_STACK_INCOMPLETE_SETUP);
  }
  mmapWriteUnlock(task, mm);
  return error;
}

/** insert_vm_struct(). @returns 0 or -ENOMEM */
function insertVma(task: Task, mm: MmPtr, vma: VmaPtr): Sim<number> {
  const { heap } = task;
  const start = vmaStart(heap, vma);
  const end = vmaEnd(heap, vma);
  if (vmaFindRange(task, mm, start, end) !== NO_VMA) return -ENOMEM;
  const node = vmaTreePrealloc(task, mm);
  if (node === NO_NODE) return -ENOMEM;
  vmaStartWrite(task, mm, vma);
  vmaStoreNew(task, mm, node, vma);
  vmStatAccount(task, mm, TEMPORARY_STACK_FLAGS, end - start);
  return 0;
}

/** Moves a VMA and its pages down by `shift` pages (relocate_vma_down). @locked mmapLock(write) */
function relocateVmaDown(task: Task, mm: MmPtr, vma: VmaPtr, shift: number): Sim<number> {
  const { heap } = task;
  const oldStart = vmaStart(heap, vma);
  const oldEnd = vmaEnd(heap, vma);
  const pgoff = vmaPgoff(heap, vma);
  const nrPages = oldEnd - oldStart;
  const newStart = (oldStart - shift) as Vpn;
  const newEnd = (oldEnd - shift) as Vpn;
  assert(newStart >= 0, 'exec: the stack would leave the address space');
  if (vmaFind(task, mm, newStart) !== vma) return -EFAULT;
  const vmg = { ...vmgForRange(mm, newStart, oldEnd, pgoff, vmaFlags(heap, vma)), target: vma };
  if (vmaExpand(task, vmg) !== 0) return -ENOMEM;
  const moved = movePageTables(task, {
    mm,
    oldVma: vma,
    newVma: vma,
    oldStart,
    newStart,
    nrPages,
    needRmapLocks: false,
    forStack: true,
  });
  if (moved !== nrPages) return -ENOMEM;
  const tlb = tlbGatherMmu(task, mm, false);
  const next = vmaNext(task, mm, vma);
  const ceiling = next === NO_VMA ? (0 as Vpn) : vmaStart(heap, next);
  // Where the two places overlap, what lies below newEnd is in use again.
  freePgtables(task, tlb, mm, newEnd > oldStart ? newEnd : oldStart, oldEnd, newEnd, ceiling);
  tlbFinishMmu(task, tlb);
  return vmaShrink(task, mm, vma, newStart, newEnd, pgoff);
}
