/**
 * Words that the whole machine shares: the RCU grace-period counter, mm_all_locks_mutex, number generators, the table
 * of folio wait queues.
 */

import { fetchAdd } from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import { HEADER } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import type { MutexPtr, Pfn, SpinLockPtr } from './ids.ts';
import { MUTEX_WORDS, SPIN_WORDS } from './lockWords.ts';

const afterMutex = 4 + MUTEX_WORDS;
/** Mutexes of the hugetlb fault mutex table. */
export const HUGETLB_FAULT_MUTEXES = 4;
const hugetlbMutexes = afterMutex + SPIN_WORDS + 4;
const afterHugetlb = hugetlbMutexes + HUGETLB_FAULT_MUTEXES * MUTEX_WORDS;
const afterKsmMutex = afterHugetlb + MUTEX_WORDS;
const afterKsmLocks = afterKsmMutex + SPIN_WORDS;

export const GLOBAL = {
  /** Number of the current RCU grace period; starts at 1. */
  rcuPeriod: 0,
  nextAsid: 1,
  nextProcess: 2,
  mmAllLocksMutex: 4,
  hugetlbLock: afterMutex,
  /** The pool of huge pages: free ones, and how many of those are promised. */
  hugetlbFree: afterMutex + SPIN_WORDS,
  hugetlbReserved: afterMutex + SPIN_WORDS + 1,
  /** Places of contents that no huge page uses: bit n for the n-th. */
  hugetlbPlaces: afterMutex + SPIN_WORDS + 2,
  /** Promises that mremap of a part of a mapping made nobody's. The kernel does not know them; observers must. */
  hugetlbStranded: afterMutex + SPIN_WORDS + 3,
  hugetlbFaultMutexes: hugetlbMutexes,
  /** KSM's words: layout/ksm.ts. */
  ksmThreadMutex: afterHugetlb,
  ksmMmlistLock: afterKsmMutex,
  /** The list of mm_slots: next and previous, as in a slot. */
  ksmMmHead: afterKsmLocks,
  /** ksm_scan: the slot at which the scan is (the head between two passes), page, link to the next rmap_item, passes. */
  ksmScanSlot: afterKsmLocks + 2,
  ksmScanVpn: afterKsmLocks + 3,
  ksmScanLink: afterKsmLocks + 4,
  ksmSeqnr: afterKsmLocks + 5,
  ksmStableRoot: afterKsmLocks + 6,
  ksmUnstableRoot: afterKsmLocks + 7,
  ksmRun: afterKsmLocks + 8,
  /** Most mappings that one KSM page may have by merging. */
  ksmMaxPageSharing: afterKsmLocks + 9,
} as const;
export const GLOBAL_WORDS = GLOBAL.ksmMaxPageSharing + 1;
export const GLOBAL_TABLE = fieldTable('globals', GLOBAL, GLOBAL_WORDS);

/** A bucket of the folio wait table: its lock, then head and tail of the waiting tasks. */
export const WAIT_BUCKET = { lock: 0, head: SPIN_WORDS, tail: SPIN_WORDS + 1 } as const;
export const WAIT_BUCKET_WORDS = SPIN_WORDS + 2;

/** Address of a global word. */
export function globalAt(heap: Heap, field: number): number {
  return heap[HEADER.globalBase] + field;
}

/** mm_all_locks_mutex. */
export function mmAllLocksMutex(heap: Heap): MutexPtr {
  return globalAt(heap, GLOBAL.mmAllLocksMutex) as MutexPtr;
}

/** A number never given before, for GLOBAL.nextAsid or GLOBAL.nextProcess. */
export function atomicNextNumber(heap: Heap, field: number): Access<number> {
  return fetchAdd(heap, globalAt(heap, field), 1);
}

/** Bucket of the hashed wait table for a folio; unrelated folios may share one. */
export function waitBucket(heap: Heap, pfn: Pfn): number {
  const hash = Math.imul(pfn, 0x9e37_79b1) >>> 8;
  return heap[HEADER.waitTableBase] + (hash % heap[HEADER.waitTableBuckets]) * WAIT_BUCKET_WORDS;
}

/** Lock of a bucket. */
export function waitBucketLock(bucket: number): SpinLockPtr {
  return (bucket + WAIT_BUCKET.lock) as SpinLockPtr;
}
