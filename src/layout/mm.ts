/**
 * struct mm_struct. Guards: vmaTree, mapCount, totalVm, lockedVm, dataVm under mmapLock write (the tree is read under RCU or
 * any mmap hold); pgd and upper entries under pageTableLock; counters with `atomic` verbs have no lock.
 */

import {
  fetchAdd,
  load,
  racyLoad,
  readOnce,
  store,
  writeOnce,
  storeRelease,
  loadAcquire,
  fetchAnd,
  fetchOr,
  cas,
} from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import type { FieldGuard, GuardTable } from './guard.ts';
import type { KsmMmSlotPtr, MmPtr, PageTablePtr, RwSemPtr, SeqCountPtr, SpinLockPtr, VmaNodePtr, Vpn } from './ids.ts';
import { RWSEM_WORDS, SPIN_WORDS } from './lockWords.ts';

const afterSem = RWSEM_WORDS;
const afterPtl = afterSem + SPIN_WORDS;

export const MM = {
  mmapLock: 0,
  pageTableLock: afterSem,
  /** Sequence count: odd while mmapLock is write-held; equality with a VMA's lockSeq means write-locked. */
  mmLockSeq: afterPtl,
  /** The writer that waits for VMA readers to drain: task pointer or 0 (rcuwait, one waiter). */
  vmaWriterWait: afterPtl + 1,
  writeProtectSeq: afterPtl + 2,
  vmaTree: afterPtl + 3,
  pgd: afterPtl + 4,
  flags: afterPtl + 5,
  users: afterPtl + 6,
  count: afterPtl + 7,
  mapCount: afterPtl + 8,
  totalVm: afterPtl + 9,
  dataVm: afterPtl + 10,
  lockedVm: afterPtl + 11,
  anonPages: afterPtl + 12,
  pgtables: afterPtl + 13,
  tlbFlushPending: afterPtl + 14,
  /** Batched flushes of reclaim and migration: number requested in the low half, flushed in the high half. */
  tlbFlushBatched: afterPtl + 15,
  /** Bit n: CPU n may hold TLB entries of this mm. */
  cpumask: afterPtl + 16,
  memlockLimit: afterPtl + 17,
  /** Address-space number: tags TLB entries; never reused while the machine lives. */
  asid: afterPtl + 18,
  /** Number of the process, for reports and for the harness. */
  process: afterPtl + 19,
  /** Window of placement: free ranges are looked for in [mmapFirst, mmapEnd). */
  mmapFirst: afterPtl + 20,
  mmapEnd: afterPtl + 21,
  /** sysctl_max_map_count, per mm so that a test can lower it. */
  maxMapCount: afterPtl + 22,
  /** Pages that MREMAP_DONTUNMAP left counted in lockedVm for ever. The kernel does not know them; observers must. */
  strandedLockedVm: afterPtl + 23,
  /** MM_SHMEMPAGES. */
  shmemPages: afterPtl + 26,
  /** KSM's record of the mm, 0 if it has none; under ksm_mmlist_lock. The kernel has a hash table for it. */
  ksmSlot: afterPtl + 27,
} as const;
export const MM_WORDS = 40;
export const MM_TABLE = fieldTable('mm_struct', MM, MM_WORDS);

const ACCOUNTING: FieldGuard = { read: [['mmap read']], write: [['mmap read']] };

/** What a lockless VMA lookup of another mm may touch of a recycled one: whom to wake (vma_end_read). */
export const MM_GUARDS: GuardTable<typeof MM> = {
  mmLockSeq: { write: [['mmap write']], lockless: true },
  vmaWriterWait: { write: [['mmap write']], lockless: true },
  writeProtectSeq: { read: [['mmap write']], write: [['mmap write']] },
  vmaTree: { write: [['mmap write']] },
  pgd: { write: [['no reference']] },
  mapCount: { read: [['mmap read']], write: [['mmap write']] },
  // After munmap has downgraded the lock; downgraders exclude each other.
  totalVm: ACCOUNTING,
  dataVm: ACCOUNTING,
  lockedVm: ACCOUNTING,
};

/** mm->flags. */
export const MMF_HAS_PINNED = 1 << 0;
export const MMF_OOM_SKIP = 1 << 1;
export const MMF_UNSTABLE = 1 << 2;
/** KSM has a record of the mm. */
export const MMF_VM_MERGEABLE = 1 << 3;

export function mmMmapLock(mm: MmPtr): RwSemPtr {
  return (mm + MM.mmapLock) as RwSemPtr;
}
export function mmPageTableLock(mm: MmPtr): SpinLockPtr {
  return (mm + MM.pageTableLock) as SpinLockPtr;
}
export function mmWriteProtectSeq(mm: MmPtr): SeqCountPtr {
  return (mm + MM.writeProtectSeq) as SeqCountPtr;
}
export function readOnceMmLockSeq(heap: Heap, mm: MmPtr): Access<number> {
  return loadAcquire(heap, mm + MM.mmLockSeq);
}
export function setMmLockSeq(heap: Heap, mm: MmPtr, seq: number): Access<void> {
  storeRelease(heap, mm + MM.mmLockSeq, seq);
}
/** Root of the VMA tree; published with release, read under RCU or an mmap hold. */
export function mmVmaTree(heap: Heap, mm: MmPtr): Access<VmaNodePtr> {
  return loadAcquire(heap, mm + MM.vmaTree) as VmaNodePtr;
}
export function setMmVmaTree(heap: Heap, mm: MmPtr, node: VmaNodePtr): Access<void> {
  storeRelease(heap, mm + MM.vmaTree, node);
}
export function mmPgd(heap: Heap, mm: MmPtr): Access<PageTablePtr> {
  return load(heap, mm + MM.pgd) as PageTablePtr;
}
export function setMmPgd(heap: Heap, mm: MmPtr, pgd: PageTablePtr): Access<void> {
  store(heap, mm + MM.pgd, pgd);
}
export function readOnceMmFlags(heap: Heap, mm: MmPtr): Access<number> {
  return readOnce(heap, mm + MM.flags);
}
export function atomicSetMmFlags(heap: Heap, mm: MmPtr, bits: number): Access<number> {
  return fetchOr(heap, mm + MM.flags, bits);
}
export function atomicClearMmFlags(heap: Heap, mm: MmPtr, bits: number): Access<number> {
  return fetchAnd(heap, mm + MM.flags, ~bits);
}
export function mmKsmSlot(heap: Heap, mm: MmPtr): Access<KsmMmSlotPtr> {
  return load(heap, mm + MM.ksmSlot) as KsmMmSlotPtr;
}
export function setMmKsmSlot(heap: Heap, mm: MmPtr, slot: KsmMmSlotPtr): Access<void> {
  store(heap, mm + MM.ksmSlot, slot);
}
export function mmMapCount(heap: Heap, mm: MmPtr): Access<number> {
  return load(heap, mm + MM.mapCount);
}
/** mremap looks before it takes the mmap lock, to refuse early what would fail half way; who holds the lock looks again. */
export function racyMmMapCount(heap: Heap, mm: MmPtr): Access<number> {
  return racyLoad(heap, mm + MM.mapCount);
}
export function setMmMapCount(heap: Heap, mm: MmPtr, count: number): Access<void> {
  store(heap, mm + MM.mapCount, count);
}
export function mmTotalVm(heap: Heap, mm: MmPtr): Access<number> {
  return load(heap, mm + MM.totalVm);
}
export function setMmTotalVm(heap: Heap, mm: MmPtr, pages: number): Access<void> {
  store(heap, mm + MM.totalVm, pages);
}
export function mmDataVm(heap: Heap, mm: MmPtr): Access<number> {
  return load(heap, mm + MM.dataVm);
}
export function setMmDataVm(heap: Heap, mm: MmPtr, pages: number): Access<void> {
  store(heap, mm + MM.dataVm, pages);
}
export function mmLockedVm(heap: Heap, mm: MmPtr): Access<number> {
  return load(heap, mm + MM.lockedVm);
}
export function setMmLockedVm(heap: Heap, mm: MmPtr, pages: number): Access<void> {
  store(heap, mm + MM.lockedVm, pages);
}
export function addMmStrandedLockedVm(heap: Heap, mm: MmPtr, pages: number): Access<void> {
  heap[mm + MM.strandedLockedVm] += pages;
}
/** Locked pages that VMAs account for, for assertions and reports. */
export function peekMmLockedVm(heap: Heap, mm: MmPtr): number {
  return heap[mm + MM.lockedVm] - heap[mm + MM.strandedLockedVm];
}
export function mmMemlockLimit(heap: Heap, mm: MmPtr): Access<number> {
  return load(heap, mm + MM.memlockLimit);
}
export function setMmMemlockLimit(heap: Heap, mm: MmPtr, pages: number): Access<void> {
  store(heap, mm + MM.memlockLimit, pages);
}
export function mmMmapFirst(heap: Heap, mm: MmPtr): Access<Vpn> {
  return load(heap, mm + MM.mmapFirst) as Vpn;
}
export function mmMmapEnd(heap: Heap, mm: MmPtr): Access<Vpn> {
  return load(heap, mm + MM.mmapEnd) as Vpn;
}
/** Sets the window of placement; one step, before anybody maps anything. */
export function setMmMmapWindow(heap: Heap, mm: MmPtr, first: Vpn, end: Vpn): Access<void> {
  heap[mm + MM.mmapFirst] = first;
  heap[mm + MM.mmapEnd] = end;
}
export function mmMaxMapCount(heap: Heap, mm: MmPtr): Access<number> {
  return load(heap, mm + MM.maxMapCount);
}
export function setMmMaxMapCount(heap: Heap, mm: MmPtr, count: number): Access<void> {
  store(heap, mm + MM.maxMapCount, count);
}
/** What a forked mm inherits beside its mappings: limits and placement window. One step: nobody can reach `to` yet. */
export function copyMmLimits(heap: Heap, to: MmPtr, from: MmPtr): Access<void> {
  for (const field of [MM.memlockLimit, MM.mmapFirst, MM.mmapEnd, MM.maxMapCount])
    heap[to + field] = heap[from + field];
}
/** MM_ANONPAGES: present anonymous entries and migration entries. Returns the new value. */
export function atomicAddMmAnonPages(heap: Heap, mm: MmPtr, delta: number): Access<number> {
  return fetchAdd(heap, mm + MM.anonPages, delta) + delta;
}
/** MM_SHMEMPAGES: present entries of pages of objects and their migration entries. Returns the new value. */
export function atomicAddMmShmemPages(heap: Heap, mm: MmPtr, delta: number): Access<number> {
  return fetchAdd(heap, mm + MM.shmemPages, delta) + delta;
}
/** Page-table pages of the mm. Returns the new value. */
export function atomicAddMmPgtables(heap: Heap, mm: MmPtr, delta: number): Access<number> {
  return fetchAdd(heap, mm + MM.pgtables, delta) + delta;
}
/** mm_users: tasks and kernel threads that use the address space. Returns the new value. */
export function atomicAddMmUsers(heap: Heap, mm: MmPtr, delta: number): Access<number> {
  return fetchAdd(heap, mm + MM.users, delta) + delta;
}
export function readOnceMmUsers(heap: Heap, mm: MmPtr): Access<number> {
  return readOnce(heap, mm + MM.users);
}
/** One try of mmget_not_zero(); returns what the count was. */
export function cmpxchgMmUsers(heap: Heap, mm: MmPtr, expected: number, desired: number): Access<number> {
  return cas(heap, mm + MM.users, expected, desired);
}
/** mm_count: references on the struct itself. Returns the new value. */
export function atomicAddMmCount(heap: Heap, mm: MmPtr, delta: number): Access<number> {
  return fetchAdd(heap, mm + MM.count, delta) + delta;
}
/** Open mmu_gathers. Returns the new value. */
export function atomicAddMmTlbFlushPending(heap: Heap, mm: MmPtr, delta: number): Access<number> {
  return fetchAdd(heap, mm + MM.tlbFlushPending, delta) + delta;
}
export function readOnceMmTlbFlushPending(heap: Heap, mm: MmPtr): Access<number> {
  return readOnce(heap, mm + MM.tlbFlushPending);
}
export function readOnceMmTlbFlushBatched(heap: Heap, mm: MmPtr): Access<number> {
  return readOnce(heap, mm + MM.tlbFlushBatched);
}
export function cmpxchgMmTlbFlushBatched(heap: Heap, mm: MmPtr, expected: number, desired: number): Access<number> {
  return cas(heap, mm + MM.tlbFlushBatched, expected, desired);
}
export function readOnceMmCpumask(heap: Heap, mm: MmPtr): Access<number> {
  return readOnce(heap, mm + MM.cpumask);
}
export function atomicSetMmCpumask(heap: Heap, mm: MmPtr, bits: number): Access<number> {
  return fetchOr(heap, mm + MM.cpumask, bits);
}
/** Constant after mm_init. */
export function mmAsid(heap: Heap, mm: MmPtr): Access<number> {
  return load(heap, mm + MM.asid);
}
export function setMmProcess(heap: Heap, mm: MmPtr, process: number): Access<void> {
  writeOnce(heap, mm + MM.process, process);
}
/** Zeroes every word of a fresh mm and gives it its address-space number. One step: nobody can reach it yet. */
export function clearMm(heap: Heap, mm: MmPtr, asid: number): Access<void> {
  heap.fill(0, mm, mm + MM_WORDS);
  heap[mm + MM.asid] = asid;
}
