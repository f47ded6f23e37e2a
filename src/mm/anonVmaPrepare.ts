/**
 * First write into a private VMA: it gets an anon_vma, a neighbour's if the two could be merged later.
 *
 * Lock order here: mmapLock (read suffices) > anon_vma lock > pageTableLock.
 *
 * Kernel: __anon_vma_prepare(), find_mergeable_anon_vma(), reusable_anon_vma(). Not modelled: files, NUMA policy.
 */

import { ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { mightSleep, type Task } from '../cpu/task.ts';
import { NO_ANON_VMA, NO_AVC, NO_VMA, type AnonVmaPtr, type AvcPtr, type VmaPtr } from '../layout/ids.ts';
import { mmPageTableLock } from '../layout/mm.ts';
import {
  VM_EXEC,
  VM_READ,
  VM_WRITE,
  readOnceVmaAnonVma,
  readOnceVmaAvcSingular,
  setVmaAnonVma,
  vmaAnonVma,
  vmaEnd,
  vmaFlags,
  vmaMm,
  vmaPgoff,
  vmaStart,
} from '../layout/vma.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { anonVmaAlloc, putAnonVma } from './anonVma.ts';
import { avcAlloc, avcAssign, avcFree, avcInsert } from './anonVmaChain.ts';
import { addActiveVma, addChild } from './anonVmaCounters.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite } from './anonVmaLock.ts';
import { vmaNext, vmaPrev } from './vmaTree.ts';

/** What may differ between two VMAs that share an anon_vma: mprotect may make them equal again. */
const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;

/**
 * anon_vma_prepare(): makes sure that the VMA has an anon_vma.
 *
 * @locked mmapLock (read suffices: several faults may prepare one VMA)
 * @returns 0 or -ENOMEM
 */
export function anonVmaPrepare(task: Task, vma: VmaPtr): Sim<number> {
  const { heap } = task;
  mightSleep(task, 'anon_vma_prepare');
  if (readOnceVmaAnonVma(heap, vma) !== NO_ANON_VMA) return 0;
  const avc = avcAlloc(task);
  if (avc === NO_AVC) return -ENOMEM;
  let anonVma = findMergeableAnonVma(task, vma);
  const isNew = anonVma === NO_ANON_VMA;
  if (isNew) {
    anonVma = anonVmaAlloc(task);
    if (anonVma === NO_ANON_VMA) {
      avcFree(task, avc);
      return -ENOMEM;
    }
  }
  if (attachAnonVma(task, vma, anonVma, avc, isNew)) return 0;
  // Another fault on this VMA was faster: its anon_vma is as good as ours.
  if (isNew) putAnonVma(task, anonVma);
  avcFree(task, avc);
  return 0;
}

/** Publishes `anonVma` as the VMA's own. @returns false if the VMA has one by now */
function attachAnonVma(task: Task, vma: VmaPtr, anonVma: AnonVmaPtr, avc: AvcPtr, isNew: boolean): Sim<boolean> {
  const { heap } = task;
  const pageTableLock = mmPageTableLock(vmaMm(heap, vma));
  // A new anon_vma is locked too: a walker with a stale pointer to what this object was before may be in its tree.
  anonVmaLockWrite(task, anonVma);
  // The mmap lock is held for read only, so it is this lock that keeps two faults apart.
  spinLock(task, pageTableLock);
  const attached = vmaAnonVma(heap, vma) === NO_ANON_VMA;
  if (attached) {
    if (isNew) addChild(task, anonVma, 1); // a root is its own child
    addActiveVma(task, anonVma, 1);
    task.check?.guardedWrite(task, 'vmaAnonVma', vma);
    setVmaAnonVma(heap, vma, anonVma);
    avcAssign(task, vma, avc, anonVma);
    avcInsert(task, avc, vma, anonVma);
  }
  spinUnlock(task, pageTableLock);
  anonVmaUnlockWrite(task, anonVma);
  return attached;
}

/** find_mergeable_anon_vma(): the next VMA's anon_vma, or the previous one's, or 0. */
function findMergeableAnonVma(task: Task, vma: VmaPtr): Sim<AnonVmaPtr> {
  const mm = vmaMm(task.heap, vma);
  const next = vmaNext(task, mm, vma);
  if (next !== NO_VMA) {
    const anonVma = reusableAnonVma(task, next, vma, next);
    if (anonVma !== NO_ANON_VMA) return anonVma;
  }
  const prev = vmaPrev(task, mm, vma);
  return prev !== NO_VMA ? reusableAnonVma(task, prev, prev, vma) : NO_ANON_VMA;
}

/**
 * reusable_anon_vma(): the anon_vma of `old`, one of the neighbours `low` and `high`, if both may share it. Only one that
 * never went through fork: sharing an anon_vma says that the chains are equal, and the other VMA will get just this link.
 */
function reusableAnonVma(task: Task, old: VmaPtr, low: VmaPtr, high: VmaPtr): Sim<AnonVmaPtr> {
  const { heap } = task;
  if (!anonVmaCompatible(task, low, high)) return NO_ANON_VMA;
  // Read once: the neighbour may be prepared by another fault right now.
  const anonVma = readOnceVmaAnonVma(heap, old);
  return anonVma !== NO_ANON_VMA && readOnceVmaAvcSingular(heap, old) ? anonVma : NO_ANON_VMA;
}

/** anon_vma_compatible(): adjacent, equal but for access rights, page offsets continuous. */
function anonVmaCompatible(task: Task, low: VmaPtr, high: VmaPtr): Sim<boolean> {
  const { heap } = task;
  const border = vmaEnd(heap, low);
  if (border !== vmaStart(heap, high)) return false;
  if (((vmaFlags(heap, low) ^ vmaFlags(heap, high)) & ~VM_ACCESS_FLAGS) !== 0) return false;
  return vmaPgoff(heap, high) === vmaPgoff(heap, low) + border - vmaStart(heap, low);
}
