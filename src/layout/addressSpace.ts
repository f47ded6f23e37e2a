/**
 * struct address_space, and of inode and file what belongs to it: the object that a shared mapping maps, its pages by their
 * offsets, and the VMAs that map it.
 *
 * Guards: the tree of VMAs under iMmapRwsem; slots of the page index change under iPagesLock and have lockless readers inside
 * RCU; refcount is atomic (one for each VMA); nrPages and levels are constant.
 * Page index: a radix tree of 64-way nodes whose height is fixed by the object's size. Nodes are freed with the object.
 */

import { fetchAdd, load, readOnce, store, writeOnce } from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import { BEFORE_PUBLICATION, type GuardTable } from './guard.ts';
import type { AddressSpacePtr, Pfn, RwSemPtr, SpinLockPtr, TreeRootPtr, XaNodePtr } from './ids.ts';
import { RWSEM_WORDS, SPIN_WORDS } from './lockWords.ts';

const afterLocks = RWSEM_WORDS + SPIN_WORDS;

/** Words of a reservation map. */
const RESERVED_WORDS = 16;

export const ADDRESS_SPACE = {
  iMmapRwsem: 0,
  iPagesLock: RWSEM_WORDS,
  /** References of the file: one for each VMA, one while it is being made. */
  refcount: afterLocks,
  /** i_size in pages. */
  nrPages: afterLocks + 1,
  /** Root of the interval tree of VMAs (treeNode.ts): two words. */
  iMmap: afterLocks + 2,
  insertions: afterLocks + 3,
  /** Page index: top node, and the number of its levels. */
  pages: afterLocks + 4,
  levels: afterLocks + 5,
  /** Number of pages in the index (mapping->nrpages). */
  cached: afterLocks + 6,
  /** AS_MM_ALL_LOCKS. */
  allLocksMark: afterLocks + 7,
  /** 1: made of huge pages. */
  isHugetlb: afterLocks + 8,
  /**
   * Reservation map of a hugetlb object, a bit for each huge page; hugetlb_lock. Of a shared one: reserved or allocated. Of a
   * private one: the reservation is used up.
   */
  reserved: afterLocks + 9,
  /** Read-held by faults, write-held by who takes entries away (hugetlb_vma_lock, here one for all VMAs of the object). */
  hugetlbVmaLock: afterLocks + 9 + RESERVED_WORDS,
} as const;
export const ADDRESS_SPACE_WORDS = ADDRESS_SPACE.hugetlbVmaLock + RWSEM_WORDS;
export const ADDRESS_SPACE_TABLE = fieldTable('address_space', ADDRESS_SPACE, ADDRESS_SPACE_WORDS);

/** Slots of the index are xchg'ed or marked; what they lead to is looked up inside RCU. */
export const ADDRESS_SPACE_GUARDS: GuardTable<typeof ADDRESS_SPACE> = {
  nrPages: { write: BEFORE_PUBLICATION },
  levels: { write: BEFORE_PUBLICATION },
  iMmap: { read: [['i_mmap read'], ['no reference']], write: [['i_mmap write']] },
};

/** A node of the page index: 64 slots, pages in the lowest level, nodes above. */
export const XA_SLOTS = 64;
export const XA_NODE_WORDS = XA_SLOTS;
export const XA_NODE_TABLE = fieldTable('xa_node', { slots: 0 }, XA_NODE_WORDS);

/** Objects are smaller than this many pages. */
export const MAX_OBJECT_PAGES = XA_SLOTS ** 3;

/** Levels of index nodes that an object of `nrPages` pages needs. */
function indexLevels(nrPages: number): number {
  if (nrPages <= XA_SLOTS) return 1;
  return nrPages <= XA_SLOTS ** 2 ? 2 : 3;
}

/** Address of the slot for `index` in a node of `level` (0 holds pages). */
export function xaSlot(node: XaNodePtr, index: number, level: number): number {
  return node + (Math.floor(index / XA_SLOTS ** level) % XA_SLOTS);
}

export function iMmapRwsem(mapping: AddressSpacePtr): RwSemPtr {
  return (mapping + ADDRESS_SPACE.iMmapRwsem) as RwSemPtr;
}
/** The i_pages lock (xa_lock). */
export function iPagesLock(mapping: AddressSpacePtr): SpinLockPtr {
  return (mapping + ADDRESS_SPACE.iPagesLock) as SpinLockPtr;
}
/** Root of the tree of VMAs. */
export function iMmapTree(mapping: AddressSpacePtr): TreeRootPtr {
  return (mapping + ADDRESS_SPACE.iMmap) as TreeRootPtr;
}
/** Clears a fresh object and gives it its size. One step: nobody can reach it yet. */
export function initAddressSpace(heap: Heap, mapping: AddressSpacePtr, nrPages: number): Access<void> {
  heap.fill(0, mapping, mapping + ADDRESS_SPACE_WORDS);
  heap[mapping + ADDRESS_SPACE.refcount] = 1;
  heap[mapping + ADDRESS_SPACE.nrPages] = nrPages;
  heap[mapping + ADDRESS_SPACE.levels] = indexLevels(nrPages);
}
/** Adds to the references; returns the new count. */
export function atomicAddFileRefcount(heap: Heap, mapping: AddressSpacePtr, delta: number): Access<number> {
  return fetchAdd(heap, mapping + ADDRESS_SPACE.refcount, delta) + delta;
}
/** i_size in pages. Constant. */
export function addressSpacePages(heap: Heap, mapping: AddressSpacePtr): number {
  return heap[mapping + ADDRESS_SPACE.nrPages];
}
/** Levels of the page index. Constant. */
export function addressSpaceLevels(heap: Heap, mapping: AddressSpacePtr): number {
  return heap[mapping + ADDRESS_SPACE.levels];
}
/** Counts pages of the index. @returns the new number; i_pages lock held */
export function addCachedPages(heap: Heap, mapping: AddressSpacePtr, delta: number): Access<number> {
  return (heap[mapping + ADDRESS_SPACE.cached] += delta);
}
/** Pages of the index. Exact for the last user. */
export function cachedPages(heap: Heap, mapping: AddressSpacePtr): Access<number> {
  return load(heap, mapping + ADDRESS_SPACE.cached);
}
/** The word that holds the top node: as a slot of its own. */
export function topSlot(mapping: AddressSpacePtr): number {
  return mapping + ADDRESS_SPACE.pages;
}
/** A slot that holds a node, 0 when empty. */
export function readOnceXaNode(heap: Heap, slot: number): Access<XaNodePtr> {
  return readOnce(heap, slot) as XaNodePtr;
}
/** A slot that holds a page, 0 when empty. */
export function readOnceXaPage(heap: Heap, slot: number): Access<Pfn> {
  return readOnce(heap, slot) as Pfn;
}
/** Fills or empties a slot; i_pages lock held. */
export function writeOnceXaSlot(heap: Heap, slot: number, value: number): Access<void> {
  writeOnce(heap, slot, value);
}
/** Empties all slots of a fresh node. One step: nobody can reach it yet. */
export function clearXaNode(heap: Heap, node: XaNodePtr): Access<void> {
  heap.fill(0, node, node + XA_NODE_WORDS);
}
export function addressSpaceAllLocksMark(heap: Heap, mapping: AddressSpacePtr): Access<number> {
  return load(heap, mapping + ADDRESS_SPACE.allLocksMark);
}
export function setAddressSpaceAllLocksMark(heap: Heap, mapping: AddressSpacePtr, mark: number): Access<void> {
  store(heap, mapping + ADDRESS_SPACE.allLocksMark, mark);
}
/** True for an object of huge pages. Constant. */
export function isHugetlbObject(heap: Heap, mapping: AddressSpacePtr): boolean {
  return heap[mapping + ADDRESS_SPACE.isHugetlb] !== 0;
}
/** Makes a fresh object one of huge pages. */
export function setHugetlbObject(heap: Heap, mapping: AddressSpacePtr): Access<void> {
  heap[mapping + ADDRESS_SPACE.isHugetlb] = 1;
}
export function hugetlbVmaLock(mapping: AddressSpacePtr): RwSemPtr {
  return (mapping + ADDRESS_SPACE.hugetlbVmaLock) as RwSemPtr;
}
/** Bit of the reservation map for the huge page number `index`; hugetlb_lock held. */
export function reservationBit(heap: Heap, mapping: AddressSpacePtr, index: number): Access<boolean> {
  return (heap[mapping + ADDRESS_SPACE.reserved + (index >> 5)] & (1 << (index & 31))) !== 0;
}
/** Sets or clears that bit; hugetlb_lock held. */
export function setReservationBit(heap: Heap, mapping: AddressSpacePtr, index: number, value: boolean): Access<void> {
  const at = mapping + ADDRESS_SPACE.reserved + (index >> 5);
  const bit = 1 << (index & 31);
  heap[at] = value ? heap[at] | bit : heap[at] & ~bit;
}
