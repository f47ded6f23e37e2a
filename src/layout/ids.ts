/** The branded numbers of the simulated machine. A pointer is a word index into the heap; 0 is the null pointer. */

import type { Brand } from '../base/brand.ts';

/** Page frame number; 0 is no frame. */
export type Pfn = Brand<number, 'Pfn'>;
/** Virtual page number, relative to the start of the user address space; 31 bits. */
export type Vpn = Brand<number, 'Vpn'>;
/** One page-table entry, as stored. */
export type PteVal = Brand<number, 'PteVal'>;
/** Word index of one page-table entry. */
export type PtePtr = Brand<number, 'PtePtr'>;
/** A page-table page of any level. */
export type PageTablePtr = Brand<number, 'PageTablePtr'>;
export type MmPtr = Brand<number, 'MmPtr'>;
export type VmaPtr = Brand<number, 'VmaPtr'>;
/** One node of a VMA tree: a sorted block of ranges. */
export type VmaNodePtr = Brand<number, 'VmaNodePtr'>;
export type AnonVmaPtr = Brand<number, 'AnonVmaPtr'>;
/** An anon_vma_chain: the edge between a VMA and an anon_vma. */
export type AvcPtr = Brand<number, 'AvcPtr'>;
/** What a shared mapping maps: the kernel's file, inode and address_space in one. */
export type AddressSpacePtr = Brand<number, 'AddressSpacePtr'>;
/** A node of the page index of an object. */
export type XaNodePtr = Brand<number, 'XaNodePtr'>;
/** KSM: its record of an mm, of one page of an mm, of one merged page; and the links that the latter two have as tree nodes. */
export type KsmMmSlotPtr = Brand<number, 'KsmMmSlotPtr'>;
export type RmapItemPtr = Brand<number, 'RmapItemPtr'>;
export type StableNodePtr = Brand<number, 'StableNodePtr'>;
/** A node of an interval tree, and the two words of the tree's root. */
export type TreeNodePtr = Brand<number, 'TreeNodePtr'>;
export type TreeRootPtr = Brand<number, 'TreeRootPtr'>;
/** Words of the task that runs on a CPU. */
export type TaskPtr = Brand<number, 'TaskPtr'>;
/** Any lock; its family says how to use it. */
export type SpinLockPtr = Brand<number, 'SpinLockPtr'>;
export type RwSemPtr = Brand<number, 'RwSemPtr'>;
export type MutexPtr = Brand<number, 'MutexPtr'>;
export type SeqCountPtr = Brand<number, 'SeqCountPtr'>;
/** Tasks are numbered from 1; 0 is nobody. */
export type TaskId = Brand<number, 'TaskId'>;
/** Index of a row of LOCK_CLASSES. */
export type LockClassId = Brand<number, 'LockClassId'>;

export const NO_PFN = 0 as Pfn;
export const NO_MM = 0 as MmPtr;
export const NO_VMA = 0 as VmaPtr;
export const NO_ANON_VMA = 0 as AnonVmaPtr;
export const NO_AVC = 0 as AvcPtr;
export const NO_TABLE = 0 as PageTablePtr;
export const NO_ADDRESS_SPACE = 0 as AddressSpacePtr;
export const NO_XA_NODE = 0 as XaNodePtr;
export const NO_KSM_SLOT = 0 as KsmMmSlotPtr;
export const NO_RMAP_ITEM = 0 as RmapItemPtr;
export const NO_STABLE_NODE = 0 as StableNodePtr;
export const NO_TREE_NODE = 0 as TreeNodePtr;
export const NO_NODE = 0 as VmaNodePtr;
