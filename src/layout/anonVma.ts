/**
 * struct anon_vma and struct anon_vma_chain (the edge VMA <-> anon_vma).
 *
 * Guards: root and parent are set before the anon_vma is linked anywhere (root has a lockless reader in
 * folio_lock_anon_vma_read); refcount is atomic; numChildren, numActiveVmas, degree and the tree under the root's rwsem for
 * write (2.6.34 design: the anon_vma's own spinlock). AVC: vma and anonVma constant after link; same_vma links as
 * vma->anon_vma_chain; tree links under the root's rwsem for write.
 * Only the root's rwsem is ever used. The cache is type-safe by RCU: locks are initialised once at boot, never by an
 * allocation, because a walker with a stale pointer may be at them.
 */

import { fetchAdd, load, readOnce, store, writeOnce, cas } from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import { BEFORE_PUBLICATION, type Demand, type FieldGuard, type GuardTable } from './guard.ts';
import type { AnonVmaPtr, AvcPtr, RwSemPtr, SpinLockPtr, TreeNodePtr, TreeRootPtr, VmaPtr } from './ids.ts';
import { RWSEM_WORDS, SPIN_WORDS } from './lockWords.ts';
import { TREE_NODE, TREE_NODE_END } from './treeNode.ts';

const afterLocks = RWSEM_WORDS + SPIN_WORDS;

export const ANON_VMA = {
  rwsem: 0,
  lock: RWSEM_WORDS,
  root: afterLocks,
  refcount: afterLocks + 1,
  numChildren: afterLocks + 2,
  numActiveVmas: afterLocks + 3,
  parent: afterLocks + 4,
  /** Root of the interval tree (treeNode.ts): two words. */
  rbRoot: afterLocks + 5,
  insertions: afterLocks + 6,
  /** Historic: VMAs using it + child anon_vmas (3.19 .. 5.19). */
  degree: afterLocks + 7,
  /** The "already locked" bit of mm_take_all_locks (bit 0 of the kernel's rb root). */
  allLocksMark: afterLocks + 8,
} as const;
export const ANON_VMA_WORDS = 24;
export const ANON_VMA_TABLE = fieldTable('anon_vma', ANON_VMA, ANON_VMA_WORDS);

const TREE: FieldGuard = { read: [['rmap read']], write: [['rmap write']] };
const COUNTER: FieldGuard = { read: [['rmap write'], ['empty tree']], write: [['rmap write']] };

export const ANON_VMA_GUARDS: GuardTable<typeof ANON_VMA> = {
  rwsem: { lockless: true },
  lock: { lockless: true },
  root: { write: BEFORE_PUBLICATION, lockless: true },
  refcount: { lockless: true },
  numChildren: COUNTER,
  numActiveVmas: COUNTER,
  degree: COUNTER,
  parent: { write: BEFORE_PUBLICATION },
  rbRoot: { read: [['rmap read'], ['empty tree']], write: [['rmap write']] },
  allLocksMark: { read: [['mm_all_locks_mutex']], write: [['mm_all_locks_mutex', 'rmap write']] },
};

export const AVC = {
  vma: 0,
  anonVma: 1,
  sameVmaNext: 2,
  sameVmaPrev: 3,
  rbParent: TREE_NODE.parent,
  rbLeft: TREE_NODE.left,
  rbRight: TREE_NODE.right,
  /**
   * Cached keys: [pgoff, last] of the VMA when the node was inserted (CONFIG_DEBUG_VM_RB); [0, ANON_VMA_LIST_LAST] under
   * rules in which an anon_vma keeps a list instead of a tree.
   */
  pgoff: TREE_NODE.first,
  last: TREE_NODE.last,
  subtreeLast: TREE_NODE.subtreeLast,
  /** Order of insertion into this anon_vma's tree: ties of equal pgoff are visited in this order. */
  stamp: TREE_NODE.stamp,
} as const;
export const AVC_WORDS = TREE_NODE_END;

const SAME_VMA: Demand = [['mmap write'], ['mmap read', 'page_table_lock'], ['mmap read', 'VMA detached']];

export const AVC_GUARDS: GuardTable<typeof AVC> = {
  vma: { write: BEFORE_PUBLICATION },
  anonVma: { write: BEFORE_PUBLICATION },
  sameVmaNext: { read: SAME_VMA, write: SAME_VMA },
  sameVmaPrev: { read: SAME_VMA, write: SAME_VMA },
  rbParent: TREE,
  rbLeft: TREE,
  rbRight: TREE,
  pgoff: TREE,
  last: TREE,
  subtreeLast: TREE,
  stamp: TREE,
};
/** `last` of a node without a key: overlaps every page offset. */
export const ANON_VMA_LIST_LAST = 0x7fff_ffff;
export const AVC_TABLE = fieldTable('anon_vma_chain', AVC, AVC_WORDS);

export function anonVmaRwSem(anonVma: AnonVmaPtr): RwSemPtr {
  return (anonVma + ANON_VMA.rwsem) as RwSemPtr;
}
export function anonVmaSpinLock(anonVma: AnonVmaPtr): SpinLockPtr {
  return (anonVma + ANON_VMA.lock) as SpinLockPtr;
}
export function readOnceAnonVmaRoot(heap: Heap, anonVma: AnonVmaPtr): Access<AnonVmaPtr> {
  return readOnce(heap, anonVma + ANON_VMA.root) as AnonVmaPtr;
}
export function setAnonVmaRoot(heap: Heap, anonVma: AnonVmaPtr, root: AnonVmaPtr): Access<void> {
  writeOnce(heap, anonVma + ANON_VMA.root, root);
}
export function anonVmaParent(heap: Heap, anonVma: AnonVmaPtr): Access<AnonVmaPtr> {
  return load(heap, anonVma + ANON_VMA.parent) as AnonVmaPtr;
}
export function setAnonVmaParent(heap: Heap, anonVma: AnonVmaPtr, parent: AnonVmaPtr): Access<void> {
  store(heap, anonVma + ANON_VMA.parent, parent);
}
export function readOnceAnonVmaRefcount(heap: Heap, anonVma: AnonVmaPtr): Access<number> {
  return readOnce(heap, anonVma + ANON_VMA.refcount);
}
export function setAnonVmaRefcount(heap: Heap, anonVma: AnonVmaPtr, count: number): Access<void> {
  writeOnce(heap, anonVma + ANON_VMA.refcount, count);
}
/** Adds to the reference count; returns the new count. */
export function atomicAddAnonVmaRefcount(heap: Heap, anonVma: AnonVmaPtr, delta: number): Access<number> {
  return fetchAdd(heap, anonVma + ANON_VMA.refcount, delta) + delta;
}
/** One try of atomic_inc_not_zero(); returns what the count was. */
export function cmpxchgAnonVmaRefcount(
  heap: Heap,
  anonVma: AnonVmaPtr,
  expected: number,
  desired: number,
): Access<number> {
  return cas(heap, anonVma + ANON_VMA.refcount, expected, desired);
}
export function anonVmaNumChildren(heap: Heap, anonVma: AnonVmaPtr): Access<number> {
  return load(heap, anonVma + ANON_VMA.numChildren);
}
export function setAnonVmaNumChildren(heap: Heap, anonVma: AnonVmaPtr, count: number): Access<void> {
  store(heap, anonVma + ANON_VMA.numChildren, count);
}
export function anonVmaNumActiveVmas(heap: Heap, anonVma: AnonVmaPtr): Access<number> {
  return load(heap, anonVma + ANON_VMA.numActiveVmas);
}
export function setAnonVmaNumActiveVmas(heap: Heap, anonVma: AnonVmaPtr, count: number): Access<void> {
  store(heap, anonVma + ANON_VMA.numActiveVmas, count);
}
export function anonVmaDegree(heap: Heap, anonVma: AnonVmaPtr): Access<number> {
  return load(heap, anonVma + ANON_VMA.degree);
}
export function setAnonVmaDegree(heap: Heap, anonVma: AnonVmaPtr, degree: number): Access<void> {
  store(heap, anonVma + ANON_VMA.degree, degree);
}
export function anonVmaRbRoot(heap: Heap, anonVma: AnonVmaPtr): Access<AvcPtr> {
  return load(heap, anonVma + ANON_VMA.rbRoot) as AvcPtr;
}
/** Root of the anon_vma's interval tree. */
export function anonVmaTree(anonVma: AnonVmaPtr): TreeRootPtr {
  return (anonVma + ANON_VMA.rbRoot) as TreeRootPtr;
}
export function anonVmaAllLocksMark(heap: Heap, anonVma: AnonVmaPtr): Access<number> {
  return load(heap, anonVma + ANON_VMA.allLocksMark);
}
export function setAnonVmaAllLocksMark(heap: Heap, anonVma: AnonVmaPtr, mark: number): Access<void> {
  store(heap, anonVma + ANON_VMA.allLocksMark, mark);
}
export function avcVma(heap: Heap, avc: AvcPtr): Access<VmaPtr> {
  return load(heap, avc + AVC.vma) as VmaPtr;
}
export function avcAnonVma(heap: Heap, avc: AvcPtr): Access<AnonVmaPtr> {
  return load(heap, avc + AVC.anonVma) as AnonVmaPtr;
}
/** Both ends of the edge; before the AVC is linked anywhere. Clears the rest of its words. */
export function initAvc(heap: Heap, avc: AvcPtr, vma: VmaPtr, anonVma: AnonVmaPtr): Access<void> {
  heap.fill(0, avc, avc + AVC_WORDS);
  store(heap, avc + AVC.vma, vma);
  store(heap, avc + AVC.anonVma, anonVma);
}
export function avcSameVmaNext(heap: Heap, avc: AvcPtr): Access<AvcPtr> {
  return load(heap, avc + AVC.sameVmaNext) as AvcPtr;
}
export function setAvcSameVmaNext(heap: Heap, avc: AvcPtr, next: AvcPtr): Access<void> {
  store(heap, avc + AVC.sameVmaNext, next);
}
export function avcSameVmaPrev(heap: Heap, avc: AvcPtr): Access<AvcPtr> {
  return load(heap, avc + AVC.sameVmaPrev) as AvcPtr;
}
export function setAvcSameVmaPrev(heap: Heap, avc: AvcPtr, prev: AvcPtr): Access<void> {
  store(heap, avc + AVC.sameVmaPrev, prev);
}
/** The AVC as a node of its anon_vma's tree. */
export function avcTreeNode(avc: AvcPtr): TreeNodePtr {
  return avc as number as TreeNodePtr;
}
/** The AVC that a node of an anon_vma's tree is, 0 for none. */
export function treeNodeAvc(node: TreeNodePtr): AvcPtr {
  return node as number as AvcPtr;
}
