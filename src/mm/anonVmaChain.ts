/**
 * The edges between VMAs and anon_vmas. An AVC lies on its VMA's list (newest at the head) and in its anon_vma's interval
 * tree, where rmap walks find the VMA.
 *
 * Lock order here: none; callers hold the mmap lock for the list and the anon_vma's lock for the tree.
 *
 * Invariants
 *   AVC-1  All AVCs of a VMA lead to anon_vmas of one root.
 *   AVC-2  start, end and pgoff of a VMA change only while its AVCs are out of their trees.
 *
 * Kernel: anon_vma_chain_alloc(), anon_vma_chain_assign(), anon_vma_interval_tree_pre_update_vma() and post_update.
 * The list of VMAs that an anon_vma kept before 3.7 is a tree here in which no node has a key: all overlap everything and
 * are met in order of insertion.
 */

import type { Heap } from '../arena/heap.ts';
import { CACHES } from '../arena/header.ts';
import type { Access, Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import {
  ANON_VMA_LIST_LAST,
  anonVmaTree,
  avcAnonVma,
  avcSameVmaNext,
  avcSameVmaPrev,
  avcTreeNode,
  initAvc,
  setAvcSameVmaNext,
  setAvcSameVmaPrev,
} from '../layout/anonVma.ts';
import { NO_AVC, type AnonVmaPtr, type AvcPtr, type VmaPtr } from '../layout/ids.ts';
import { setVmaAvcFirst, setVmaAvcLast, vmaAvcFirst, vmaEnd, vmaPgoff, vmaStart } from '../layout/vma.ts';
import type { Rules } from '../rules/rules.ts';
import { locksWholeTree } from './anonVmaLock.ts';
import { intervalTreeInsert, intervalTreeRemove } from './intervalTree.ts';

/** anon_vma_chain_alloc(). @returns 0 without memory */
export function avcAlloc(task: Task): Sim<AvcPtr> {
  return kmemCacheAlloc(task, CACHES.anonVmaChain) as AvcPtr;
}

/** anon_vma_chain_free(): the AVC is on no list and in no tree. */
export function avcFree(task: Task, avc: AvcPtr): Sim<void> {
  kmemCacheFree(task, CACHES.anonVmaChain, avc);
}

/** anon_vma_chain_assign(): sets both ends and puts the AVC at the head of the VMA's list; walks do not see it yet. */
export function avcAssign(task: Task, vma: VmaPtr, avc: AvcPtr, anonVma: AnonVmaPtr): Sim<void> {
  initAvc(task.heap, avc, vma, anonVma);
  addToChainHead(task.heap, vma, avc);
}

/** Takes the AVC off its VMA's list. */
export function avcUnchain(task: Task, vma: VmaPtr, avc: AvcPtr): Sim<void> {
  removeFromChain(task.heap, vma, avc);
}

/**
 * Puts an assigned AVC into its anon_vma's tree: rmap walks see the VMA from here on.
 *
 * @locked the anon_vma's lock for write
 */
export function avcInsert(task: Task, avc: AvcPtr, vma: VmaPtr, anonVma: AnonVmaPtr): Sim<void> {
  const { heap } = task;
  task.check?.guardedWrite(task, 'anonVma', anonVma);
  if (!keepsTree(task.rules)) {
    intervalTreeInsert(heap, anonVmaTree(anonVma), avcTreeNode(avc), 0, ANON_VMA_LIST_LAST);
    return;
  }
  const first = vmaPgoff(heap, vma);
  const pages = vmaEnd(heap, vma) - vmaStart(heap, vma);
  intervalTreeInsert(heap, anonVmaTree(anonVma), avcTreeNode(avc), first, first + pages - 1);
}

/**
 * Takes an AVC out of its anon_vma's tree: rmap walks do not see the VMA any more.
 *
 * @locked the anon_vma's lock for write
 */
export function avcRemove(task: Task, avc: AvcPtr, anonVma: AnonVmaPtr): Sim<void> {
  task.check?.guardedWrite(task, 'anonVma', anonVma);
  intervalTreeRemove(task.heap, anonVmaTree(anonVma), avcTreeNode(avc));
}

/**
 * Takes the VMA's AVCs out of their trees, so that its range may change.
 *
 * @locked mmapLock(write), VMA write, root lock for write
 */
export function intervalTreePreUpdate(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  if (!keepsTree(task.rules)) return;
  for (let avc = vmaAvcFirst(heap, vma); avc !== NO_AVC; avc = avcSameVmaNext(heap, avc)) {
    avcRemove(task, avc, avcAnonVma(heap, avc));
  }
}

/**
 * Puts the VMA's AVCs back under its new range. Among equal keys they now come last.
 *
 * @locked as intervalTreePreUpdate, the root lock held since
 */
export function intervalTreePostUpdate(task: Task, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  if (!keepsTree(task.rules)) return;
  for (let avc = vmaAvcFirst(heap, vma); avc !== NO_AVC; avc = avcSameVmaNext(heap, avc)) {
    avcInsert(task, avc, vma, avcAnonVma(heap, avc));
  }
}

/**
 * True if VMAs are found by their keys. Keys demand that whoever changes a VMA's range holds the lock of every tree the
 * VMA is in: one lock per root, taken by vma_adjust. Under older rules an anon_vma keeps a plain list.
 */
function keepsTree(rules: Rules): boolean {
  return locksWholeTree(rules) && rules.vmaAdjust.rmapLock === 'root';
}

/** list_add(): one step, for the lockless look at a neighbour's chain reads both ends together. */
function addToChainHead(heap: Heap, vma: VmaPtr, avc: AvcPtr): Access<void> {
  const next = vmaAvcFirst(heap, vma);
  setAvcSameVmaNext(heap, avc, next);
  setAvcSameVmaPrev(heap, avc, NO_AVC);
  if (next === NO_AVC) setVmaAvcLast(heap, vma, avc);
  else setAvcSameVmaPrev(heap, next, avc);
  setVmaAvcFirst(heap, vma, avc);
}

function removeFromChain(heap: Heap, vma: VmaPtr, avc: AvcPtr): Access<void> {
  const next = avcSameVmaNext(heap, avc);
  const prev = avcSameVmaPrev(heap, avc);
  if (prev === NO_AVC) setVmaAvcFirst(heap, vma, next);
  else setAvcSameVmaNext(heap, prev, next);
  if (next === NO_AVC) setVmaAvcLast(heap, vma, prev);
  else setAvcSameVmaPrev(heap, next, prev);
}
