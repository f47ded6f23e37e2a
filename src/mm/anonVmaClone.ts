/**
 * Copying a VMA's edges: the copy is linked into every anon_vma tree that the source is in, so that walks for the pages
 * they share, or are about to share, find both.
 *
 * Lock order here: mmapLock(write) > anon_vma lock. AVCs are allocated before the lock is taken: reclaim, which an
 * allocation may enter, takes anon_vma locks.
 *
 * Kernel: anon_vma_clone(), maybe_reuse_anon_vma(), cleanup_partial_anon_vmas() of 7.0. Before, AVCs were allocated under
 * the lock, which it dropped when it had to wait for memory.
 */

import { ENOMEM } from '../base/errno.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { avcAnonVma, avcSameVmaNext, avcSameVmaPrev } from '../layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type AnonVmaPtr, type AvcPtr, type VmaPtr } from '../layout/ids.ts';
import { setVmaAnonVma, vmaAnonVma, vmaAvcFirst, vmaAvcLast } from '../layout/vma.ts';
import { avcAlloc, avcAssign, avcFree, avcInsert, avcUnchain } from './anonVmaChain.ts';
import { addActiveVma, anonVmaIsReusable } from './anonVmaCounters.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite, locksWholeTree } from './anonVmaLock.ts';

/** Why a VMA is copied (enum vma_operation). Only a forked copy gets another anon_vma than its source. */
export type VmaOperation = 'fork' | 'split' | 'remap' | 'mergeUnfaulted';

/**
 * anon_vma_clone(): links `dst` to all anon_vmas of `src`. After 'fork' dst->anon_vma is the abandoned ancestor it may
 * reuse, or 0; otherwise it is the source's, as the caller has set it.
 *
 * @locked mmapLock(write) of both mms; `dst` write-locked if faults can find it
 * @returns 0, or -ENOMEM with `dst` linked to nothing and without an anon_vma
 */
export function anonVmaClone(task: Task, dst: VmaPtr, src: VmaPtr, op: VmaOperation): Sim<number> {
  const { heap } = task;
  const anonVma = vmaAnonVma(heap, src);
  if (anonVma === NO_ANON_VMA) return 0;
  assert(vmaAvcFirst(heap, dst) === NO_AVC, 'anon_vma_clone: the target has a chain');
  assert(vmaAnonVma(heap, dst) === (op === 'fork' ? NO_ANON_VMA : anonVma), 'anon_vma_clone: wrong anon_vma in target');
  if (op === 'mergeUnfaulted') {
    assert(vmaAvcFirst(heap, src) === vmaAvcLast(heap, src), 'anon_vma_clone: merging with a VMA that was forked');
  }
  if (!copyChain(task, dst, src)) {
    freeChain(task, dst);
    setVmaAnonVma(heap, dst, NO_ANON_VMA);
    return -ENOMEM;
  }
  if (locksWholeTree(task.rules)) {
    anonVmaLockWrite(task, anonVma);
    linkChain(task, dst, anonVma, op);
    anonVmaUnlockWrite(task, anonVma);
  } else {
    linkChainOneByOne(task, dst, anonVma, op);
  }
  return 0;
}

/** Gives `dst` an AVC for each of `src`, in no tree yet. @returns false without memory, with a part of them done */
function copyChain(task: Task, dst: VmaPtr, src: VmaPtr): Sim<boolean> {
  const { heap } = task;
  // Each new AVC goes to the head. So walking from the tail keeps the order, newest first and root last; 7.0 walks from
  // the head and reverses it at each copy.
  const reversed = task.rules.anonVma.cloneOrder === 'reversed';
  let at = reversed ? vmaAvcFirst(heap, src) : vmaAvcLast(heap, src);
  while (at !== NO_AVC) {
    const avc = avcAlloc(task);
    if (avc === NO_AVC) return false;
    avcAssign(task, dst, avc, avcAnonVma(heap, at));
    at = reversed ? avcSameVmaNext(heap, at) : avcSameVmaPrev(heap, at);
  }
  return true;
}

/** cleanup_partial_anon_vmas(): frees AVCs that never were in a tree. */
function freeChain(task: Task, vma: VmaPtr): Sim<void> {
  for (;;) {
    const avc = vmaAvcFirst(task.heap, vma);
    if (avc === NO_AVC) return;
    avcUnchain(task, vma, avc);
    avcFree(task, avc);
  }
}

/** Links a copied chain under the lock of the whole tree. @locked root lock for write */
function linkChain(task: Task, dst: VmaPtr, srcAnonVma: AnonVmaPtr, op: VmaOperation): Sim<void> {
  const { heap } = task;
  for (let avc = firstToLink(task, dst); avc !== NO_AVC; avc = nextToLink(task, avc)) {
    const anonVma = avcAnonVma(heap, avc);
    avcInsert(task, avc, dst, anonVma);
    if (op === 'fork' && vmaAnonVma(heap, dst) === NO_ANON_VMA) maybeReuse(task, dst, srcAnonVma, anonVma);
  }
  if (op !== 'fork') addActiveVma(task, srcAnonVma, 1);
}

/** maybe_reuse_anon_vma(): a forked VMA takes over an anon_vma that nobody uses. */
function maybeReuse(task: Task, dst: VmaPtr, srcAnonVma: AnonVmaPtr, anonVma: AnonVmaPtr): Sim<void> {
  // Never the parent's own, or each page of the child would be looked for in the parent; never the root, for its self link
  // and one real child make two.
  if (anonVma === srcAnonVma || !anonVmaIsReusable(task.heap, anonVma, task.rules)) return;
  setVmaAnonVma(task.heap, dst, anonVma);
  addActiveVma(task, anonVma, 1);
}

/** linkChain() in the kernel of 2010: each anon_vma, and what it counts, under its own lock; none in between. */
function linkChainOneByOne(task: Task, dst: VmaPtr, srcAnonVma: AnonVmaPtr, op: VmaOperation): Sim<void> {
  const { heap } = task;
  for (let avc = firstToLink(task, dst); avc !== NO_AVC; avc = nextToLink(task, avc)) {
    const anonVma = avcAnonVma(heap, avc);
    anonVmaLockWrite(task, anonVma);
    avcInsert(task, avc, dst, anonVma);
    if (op === 'fork' && vmaAnonVma(heap, dst) === NO_ANON_VMA) maybeReuse(task, dst, srcAnonVma, anonVma);
    if (op !== 'fork' && anonVma === srcAnonVma) addActiveVma(task, anonVma, 1);
    anonVmaUnlockWrite(task, anonVma);
  }
}

/** Chains are linked in the order in which they were copied before 7.0, and along the list since. */
function firstToLink(task: Task, vma: VmaPtr): Sim<AvcPtr> {
  const reversed = task.rules.anonVma.cloneOrder === 'reversed';
  return reversed ? vmaAvcFirst(task.heap, vma) : vmaAvcLast(task.heap, vma);
}

function nextToLink(task: Task, avc: AvcPtr): Sim<AvcPtr> {
  const reversed = task.rules.anonVma.cloneOrder === 'reversed';
  return reversed ? avcSameVmaNext(task.heap, avc) : avcSameVmaPrev(task.heap, avc);
}
