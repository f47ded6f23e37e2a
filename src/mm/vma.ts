/**
 * Life of a VMA object, and looking one up without the mmap lock.
 *
 * The cache is type-safe by RCU: a freed VMA may be handed out again at once, even to another mm, while somebody who found
 * it under RCU still looks at it. What he may rely on: the memory stays a VMA, and its reference count is 0 unless it is
 * attached, so vmaStartRead() either fails or leaves him with a VMA that nobody can free - perhaps not the one he
 * looked for, hence the checks afterwards.
 *
 * Lock order here: RCU > VMA read lock (which never waits).
 *
 * Kernel: vm_area_alloc(), vm_area_dup(), vm_area_free() in mm/vma_init.c, lock_vma_under_rcu() in mm/mmap_lock.c. Not
 * modelled: vm_ops, mempolicy, userfaultfd context, anon_vma name.
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access, Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, NO_ANON_VMA, NO_AVC, NO_VMA, type MmPtr, type VmaPtr, type Vpn } from '../layout/ids.ts';
import {
  setVmaAnonVma,
  setVmaAvcFirst,
  setVmaAvcLast,
  setVmaEnd,
  setVmaFile,
  setVmaFlags,
  setVmaMm,
  setVmaPgoff,
  setVmaPrivateData,
  setVmaStart,
  vmaAnonVma,
  vmaAvcFirst,
  vmaAvcLast,
  vmaEnd,
  vmaFile,
  vmaFlags,
  vmaMm,
  vmaPgoff,
  vmaPrivateData,
  vmaStart,
} from '../layout/vma.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { vmaEndRead, vmaLockInit, vmaStartRead } from '../locks/vmaLock.ts';
import { vmaLookup } from './vmaTree.ts';

/** A detached VMA of `mm` with an empty range (vm_area_alloc). @returns the VMA, or 0 when there is no memory */
export function vmaAlloc(task: Task, mm: MmPtr): Sim<VmaPtr> {
  const vma = kmemCacheAlloc(task, CACHES.vma) as VmaPtr;
  if (vma !== NO_VMA) initVma(task.heap, vma, mm);
  return vma;
}

/**
 * A detached copy of `vma`: range, flags, object and anon_vma, but an empty chain (vm_area_dup). The caller clones the chain and
 * takes a reference on the object (vmaGetFile) before anybody sees the copy.
 *
 * @returns the copy, or 0 when there is no memory
 * @locked mmap lock(write)
 */
export function vmaDup(task: Task, vma: VmaPtr): Sim<VmaPtr> {
  const copy = kmemCacheAlloc(task, CACHES.vma) as VmaPtr;
  if (copy !== NO_VMA) copyVmaFields(task.heap, copy, vma);
  return copy;
}

/** Gives a detached VMA back; its slot may be reused at once (vm_area_free). */
export function vmaFree(task: Task, vma: VmaPtr): Sim<void> {
  kmemCacheFree(task, CACHES.vma, vma);
}

/** Range of a VMA that is in no tree yet: one step, nobody can see it (vma_set_range). */
export function initVmaRange(heap: Heap, vma: VmaPtr, start: Vpn, end: Vpn, pgoff: number): Access<void> {
  setVmaStart(heap, vma, start);
  setVmaEnd(heap, vma, end);
  setVmaPgoff(heap, vma, pgoff);
}

/** Pages of a VMA (vma_pages). One step: the range is stable under the locks that a caller must hold. */
export function vmaPages(heap: Heap, vma: VmaPtr): Access<number> {
  return vmaEnd(heap, vma) - vmaStart(heap, vma);
}

/** True when the VMA went through a fork as a child: it is linked to more than one anon_vma. @locked mmap lock(write) */
export function vmaIsForkChild(heap: Heap, vma: VmaPtr): Access<boolean> {
  return vmaAnonVma(heap, vma) !== NO_ANON_VMA && vmaAvcFirst(heap, vma) !== vmaAvcLast(heap, vma);
}

/**
 * Finds the VMA that contains `vpn` and takes its read lock without the mmap lock (lock_vma_under_rcu). Never waits.
 *
 * @returns the read-locked VMA, or 0 when there is none or it is being changed: the caller falls back to the mmap lock
 */
export function lockVmaUnderRcu(task: Task, mm: MmPtr, vpn: Vpn): Sim<VmaPtr> {
  rcuReadLock(task);
  let vma = vmaLookup(task, mm, vpn);
  if (vma !== NO_VMA && !vmaStartRead(task, mm, vma)) vma = NO_VMA;
  if (vma !== NO_VMA && !isVmaAt(task, vma, mm, vpn)) {
    vmaEndRead(task, vma);
    vma = NO_VMA;
  }
  rcuReadUnlock(task);
  return vma;
}

/** Between lookup and lock the object may have become another VMA, of this mm or another, or have been moved or cut. */
function isVmaAt(task: Task, vma: VmaPtr, mm: MmPtr, vpn: Vpn): Sim<boolean> {
  const { heap } = task;
  return vmaMm(heap, vma) === mm && vmaStart(heap, vma) <= vpn && vpn < vmaEnd(heap, vma);
}

/** One step: whoever still looks at the recycled object sees a reference count of 0 before, during and after. */
function initVma(heap: Heap, vma: VmaPtr, mm: MmPtr): Access<void> {
  setVmaMm(heap, vma, mm);
  initVmaRange(heap, vma, 0 as Vpn, 0 as Vpn, 0);
  setVmaFlags(heap, vma, 0);
  setVmaAnonVma(heap, vma, NO_ANON_VMA);
  setVmaAvcFirst(heap, vma, NO_AVC);
  setVmaAvcLast(heap, vma, NO_AVC);
  setVmaFile(heap, vma, NO_ADDRESS_SPACE);
  setVmaPrivateData(heap, vma, 0);
  vmaLockInit(heap, vma);
}

function copyVmaFields(heap: Heap, to: VmaPtr, from: VmaPtr): Access<void> {
  initVma(heap, to, vmaMm(heap, from));
  initVmaRange(heap, to, vmaStart(heap, from), vmaEnd(heap, from), vmaPgoff(heap, from));
  setVmaFlags(heap, to, vmaFlags(heap, from));
  setVmaAnonVma(heap, to, vmaAnonVma(heap, from));
  setVmaFile(heap, to, vmaFile(heap, from));
  setVmaPrivateData(heap, to, vmaPrivateData(heap, from));
}
