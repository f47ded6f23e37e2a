/**
 * struct vm_area_struct. Ranges are [start, end) in virtual page numbers.
 *
 * Guards (Documentation/mm/process_addrs.rst):
 *   start, end, pgoff   mmap write + VMA write + anon_vma root write, the VMA taken out of its interval trees meanwhile
 *   flags               mmap write + VMA write
 *   anonVma 0 -> set    mmap read + page_table_lock (+ root write); set -> 0: mmap write + VMA write + root write
 *   avc list            mmap read + page_table_lock in prepare; mmap write otherwise
 *   lockSeq, refcnt     the per-VMA lock's own words (src/locks/vmaLock.ts)
 *   file                set before the VMA is linked, constant after that
 *   tree node           i_mmap_rwsem of the object for write; start, end and pgoff of a mapping of an object too
 * To read any of them one of mmap read, VMA read, root read suffices. start/end/pgoff have walkers that hold only the root
 * lock, which is why each is a word of its own with its own scheduling point.
 */

import { load, loadAcquire, readOnce, store, storeRelease, writeOnce } from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import { BEFORE_PUBLICATION, type Demand, type FieldGuard, type GuardTable } from './guard.ts';
import type { AddressSpacePtr, AnonVmaPtr, AvcPtr, MmPtr, TreeNodePtr, VmaPtr, Vpn } from './ids.ts';
import { MM } from './mm.ts';
import { TREE_NODE, TREE_NODE_END } from './treeNode.ts';

/** Where the tree node lies in a VMA. */
const VMA_TREE_NODE = 8;

export const VMA = {
  mm: 0,
  start: 1,
  end: 2,
  pgoff: 3,
  flags: 4,
  anonVma: 5,
  avcFirst: 6,
  avcLast: 7,
  lockSeq: 8,
  refcnt: 9,
  /** The object it maps, 0 for private anonymous memory; constant after link. */
  file: 10,
  /** Of a private hugetlb mapping: HPAGE_RESV_*. */
  privateData: 11,
  /** Node of the object's i_mmap tree, whose first four words are the four above. */
  rbParent: VMA_TREE_NODE + TREE_NODE.parent,
  rbLeft: VMA_TREE_NODE + TREE_NODE.left,
  rbRight: VMA_TREE_NODE + TREE_NODE.right,
  keyFirst: VMA_TREE_NODE + TREE_NODE.first,
  keyLast: VMA_TREE_NODE + TREE_NODE.last,
  subtreeLast: VMA_TREE_NODE + TREE_NODE.subtreeLast,
  stamp: VMA_TREE_NODE + TREE_NODE.stamp,
} as const;
export const VMA_WORDS = VMA_TREE_NODE + TREE_NODE_END;
export const VMA_TABLE = fieldTable('vm_area_struct', VMA, VMA_WORDS);

const LOOK: Demand = [['mmap read'], ['VMA read'], ['rmap read']];
const NODE: FieldGuard = { read: [['i_mmap read']], write: [['i_mmap write']] };
const MOVE: FieldGuard = { read: LOOK, write: [['mmap write', 'VMA write', 'rmap write']] };
/** unlink_anon_vmas works on VMAs that munmap has detached, when the mmap lock may be downgraded already. */
const CHAIN: Demand = [['mmap write'], ['mmap read', 'page_table_lock'], ['mmap read', 'VMA detached']];

export const VMA_GUARDS: GuardTable<typeof VMA> = {
  mm: { write: BEFORE_PUBLICATION, lockless: true },
  start: MOVE,
  end: MOVE,
  pgoff: MOVE,
  flags: { read: LOOK, write: [['mmap write', 'VMA write']] },
  anonVma: {
    read: LOOK,
    write: [
      ['mmap read', 'page_table_lock'],
      ['mmap write', 'VMA write'],
      ['mmap read', 'VMA detached', 'rmap write'],
    ],
  },
  avcFirst: { read: CHAIN, write: CHAIN },
  avcLast: { read: CHAIN, write: CHAIN },
  lockSeq: { lockless: true },
  refcnt: { lockless: true },
  file: { write: BEFORE_PUBLICATION },
  rbParent: NODE,
  rbLeft: NODE,
  rbRight: NODE,
  keyFirst: NODE,
  keyLast: NODE,
  subtreeLast: NODE,
  stamp: NODE,
};

/** vm_flags; the numbers are ours. */
export const VM_READ = 1 << 0;
export const VM_WRITE = 1 << 1;
export const VM_EXEC = 1 << 2;
export const VM_SHARED = 1 << 3;
export const VM_ACCOUNT = 1 << 4;
export const VM_NORESERVE = 1 << 5;
export const VM_LOCKED = 1 << 6;
export const VM_LOCKONFAULT = 1 << 7;
export const VM_DONTCOPY = 1 << 8;
export const VM_WIPEONFORK = 1 << 9;
export const VM_MERGEABLE = 1 << 10;
export const VM_SEALED = 1 << 11;
export const VM_GROWSDOWN = 1 << 12;
export const VM_HUGETLB = 1 << 14;
export const VM_SEQ_READ = 1 << 15;
export const VM_RAND_READ = 1 << 16;
/** exec's stack while it is being moved: migration skips it (VM_STACK_INCOMPLETE_SETUP). */
export const VM_STACK_INCOMPLETE_SETUP = 1 << 17;

export function vmaMm(heap: Heap, vma: VmaPtr): Access<MmPtr> {
  return load(heap, vma + VMA.mm) as MmPtr;
}
export function setVmaMm(heap: Heap, vma: VmaPtr, mm: MmPtr): Access<void> {
  store(heap, vma + VMA.mm, mm);
}
/** For lookups under RCU: the object may have been recycled for another mm (vm_mm is re-checked). */
export function readOnceVmaMm(heap: Heap, vma: VmaPtr): Access<MmPtr> {
  return readOnce(heap, vma + VMA.mm) as MmPtr;
}
export function vmaStart(heap: Heap, vma: VmaPtr): Access<Vpn> {
  return load(heap, vma + VMA.start) as Vpn;
}
export function setVmaStart(heap: Heap, vma: VmaPtr, start: Vpn): Access<void> {
  store(heap, vma + VMA.start, start);
}
export function vmaEnd(heap: Heap, vma: VmaPtr): Access<Vpn> {
  return load(heap, vma + VMA.end) as Vpn;
}
export function setVmaEnd(heap: Heap, vma: VmaPtr, end: Vpn): Access<void> {
  store(heap, vma + VMA.end, end);
}
export function vmaPgoff(heap: Heap, vma: VmaPtr): Access<number> {
  return load(heap, vma + VMA.pgoff);
}
export function setVmaPgoff(heap: Heap, vma: VmaPtr, pgoff: number): Access<void> {
  store(heap, vma + VMA.pgoff, pgoff);
}
export function vmaFlags(heap: Heap, vma: VmaPtr): Access<number> {
  return load(heap, vma + VMA.flags);
}
/** For rmap walks, which hold neither the mmap lock nor the VMA's: the kernel reads the page protection made of the flags so. */
export function readOnceVmaFlags(heap: Heap, vma: VmaPtr): Access<number> {
  return readOnce(heap, vma + VMA.flags);
}
/** vm_flags_reset_once(): rmap walks may look. */
export function setVmaFlags(heap: Heap, vma: VmaPtr, flags: number): Access<void> {
  writeOnce(heap, vma + VMA.flags, flags);
}
/** Plain read: one of the locks above is held. */
export function vmaAnonVma(heap: Heap, vma: VmaPtr): Access<AnonVmaPtr> {
  return load(heap, vma + VMA.anonVma) as AnonVmaPtr;
}
/**
 * Lockless read: a neighbour's anon_vma in find_mergeable_anon_vma, a fault under the VMA lock. Who sees the anon_vma sees it
 * initialised: 7.0 leaves that to the address dependency and lacks the store's side, which a later fix added.
 */
export function readOnceVmaAnonVma(heap: Heap, vma: VmaPtr): Access<AnonVmaPtr> {
  return loadAcquire(heap, vma + VMA.anonVma) as AnonVmaPtr;
}
export function setVmaAnonVma(heap: Heap, vma: VmaPtr, anonVma: AnonVmaPtr): Access<void> {
  storeRelease(heap, vma + VMA.anonVma, anonVma);
}
/**
 * True if the VMA has exactly one AVC, so it never went through fork. Lockless look at a neighbour; its own prepare may run
 * meanwhile, hence the marked stores below.
 */
export function readOnceVmaAvcSingular(heap: Heap, vma: VmaPtr): Access<boolean> {
  const first = readOnce(heap, vma + VMA.avcFirst);
  return first !== 0 && first === readOnce(heap, vma + VMA.avcLast);
}
/** The VMA of the process that made the mapping: it has the reservations. */
export const HPAGE_RESV_OWNER = 1 << 0;
/** A page was taken away from this VMA for its owner: what is missing can no longer be faulted in. */
export const HPAGE_RESV_UNMAPPED = 1 << 1;

/** HPAGE_RESV_* of a private hugetlb mapping; mmap write or i_mmap_rwsem write to change. */
export function vmaPrivateData(heap: Heap, vma: VmaPtr): Access<number> {
  return load(heap, vma + VMA.privateData);
}
export function setVmaPrivateData(heap: Heap, vma: VmaPtr, data: number): Access<void> {
  store(heap, vma + VMA.privateData, data);
}
/** The object that a shared or hugetlb VMA maps, 0 for others. */
export function vmaFile(heap: Heap, vma: VmaPtr): Access<AddressSpacePtr> {
  return load(heap, vma + VMA.file) as AddressSpacePtr;
}
/** Before the VMA is linked anywhere. */
export function setVmaFile(heap: Heap, vma: VmaPtr, file: AddressSpacePtr): Access<void> {
  store(heap, vma + VMA.file, file);
}
/** The VMA as a node of its object's tree, and back. */
export function vmaTreeNode(vma: VmaPtr): TreeNodePtr {
  return (vma + VMA_TREE_NODE) as TreeNodePtr;
}
export function treeNodeVma(node: TreeNodePtr): VmaPtr {
  return (node - VMA_TREE_NODE) as VmaPtr;
}
/** Reference count word of the per-VMA lock, for assertions and reports. */
export function peekVmaRefcount(heap: Heap, vma: VmaPtr): number {
  return Atomics.load(heap, vma + VMA.refcnt);
}
/** True while the VMA is write-locked, for assertions and reports: its sequence number is its mm's. */
export function peekVmaWriteLocked(heap: Heap, vma: VmaPtr): boolean {
  return Atomics.load(heap, vma + VMA.lockSeq) === Atomics.load(heap, heap[vma + VMA.mm] + MM.mmLockSeq);
}
/** Pages of the VMA that count as locked, for assertions and reports. */
export function peekLockedPages(heap: Heap, vma: VmaPtr): number {
  return (heap[vma + VMA.flags] & VM_LOCKED) === 0 ? 0 : heap[vma + VMA.end] - heap[vma + VMA.start];
}
/** Head of the same_vma list: the newest AVC. */
export function vmaAvcFirst(heap: Heap, vma: VmaPtr): Access<AvcPtr> {
  return load(heap, vma + VMA.avcFirst) as AvcPtr;
}
export function setVmaAvcFirst(heap: Heap, vma: VmaPtr, avc: AvcPtr): Access<void> {
  writeOnce(heap, vma + VMA.avcFirst, avc);
}
export function vmaAvcLast(heap: Heap, vma: VmaPtr): Access<AvcPtr> {
  return load(heap, vma + VMA.avcLast) as AvcPtr;
}
export function setVmaAvcLast(heap: Heap, vma: VmaPtr, avc: AvcPtr): Access<void> {
  writeOnce(heap, vma + VMA.avcLast, avc);
}
