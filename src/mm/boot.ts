/**
 * Booting the simulated kernel on a fresh arena: what must exist before the first task runs.
 *
 * Locks inside objects of type-safe caches are initialised here, once for all objects (the caches' constructors): an allocation
 * never touches them, for somebody with a stale pointer may be holding one. All other locks are initialised when their object
 * is allocated. The TLBs' locks are the hardware's: all zero is right, and no class, for lockdep does not see them.
 */

import { load, writeOnce } from '../arena/access.ts';
import { CACHES, HEADER } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabAlloc, slabObjects } from '../arena/slab.ts';
import { assert } from '../base/assert.ts';
import type { Access } from '../base/sim.ts';
import { anonVmaRwSem, anonVmaSpinLock } from '../layout/anonVma.ts';
import {
  GLOBAL,
  HUGETLB_FAULT_MUTEXES,
  WAIT_BUCKET_WORDS,
  globalAt,
  mmAllLocksMutex,
  waitBucketLock,
} from '../layout/globals.ts';
import { bootHugetlbPool, hugetlbFaultMutexAt, hugetlbLock } from '../layout/hugetlb.ts';
import type { AnonVmaPtr } from '../layout/ids.ts';
import { initKsm, ksmMmlistLock, ksmThreadMutex } from '../layout/ksm.ts';
import {
  CLASS_ANON_VMA_RWSEM,
  CLASS_ANON_VMA_SPIN,
  CLASS_FOLIO_WAIT_TABLE,
  CLASS_HUGETLB_FAULT_MUTEX,
  CLASS_HUGETLB_LOCK,
  CLASS_KSM_MMLIST_LOCK,
  CLASS_KSM_THREAD_MUTEX,
  CLASS_MM_ALL_LOCKS_MUTEX,
} from '../layout/lockClass.ts';
import {
  PG_reserved,
  PG_uptodate,
  clearPageContents,
  pfnAt,
  setPageFlags,
  setPageRefcount,
  setZeroPfn,
} from '../layout/page.ts';
import { mutexInit } from '../locks/mutex.ts';
import { rwSemInit } from '../locks/rwSem.ts';
import { spinLockInit } from '../locks/spinLock.ts';

/** Boots a machine that createMachine made. To be called once, before any task exists. */
export function bootMachine(heap: Heap): Access<void> {
  bootGlobals(heap);
  bootKsm(heap);
  bootAnonVmas(heap);
  bootWaitTable(heap);
  bootZeroPage(heap);
  bootHugetlb(heap);
}

/** Numbers start at 1: 0 means none everywhere. */
function bootGlobals(heap: Heap): Access<void> {
  for (const counter of [GLOBAL.rcuPeriod, GLOBAL.nextAsid, GLOBAL.nextProcess])
    writeOnce(heap, globalAt(heap, counter), 1);
  mutexInit(heap, mmAllLocksMutex(heap), CLASS_MM_ALL_LOCKS_MUTEX);
}

/** ksm_init(), and what is initialised statically in mm/ksm.c. */
function bootKsm(heap: Heap): Access<void> {
  mutexInit(heap, ksmThreadMutex(heap), CLASS_KSM_THREAD_MUTEX);
  spinLockInit(heap, ksmMmlistLock(heap), CLASS_KSM_MMLIST_LOCK);
  initKsm(heap);
}

/** anon_vma_ctor(). */
function bootAnonVmas(heap: Heap): Access<void> {
  for (const object of slabObjects(heap, CACHES.anonVma)) {
    rwSemInit(heap, anonVmaRwSem(object as AnonVmaPtr), CLASS_ANON_VMA_RWSEM);
    spinLockInit(heap, anonVmaSpinLock(object as AnonVmaPtr), CLASS_ANON_VMA_SPIN);
  }
}

/** pagecache_init(): the locks of the folio wait queues. */
function bootWaitTable(heap: Heap): Access<void> {
  const first = load(heap, HEADER.waitTableBase);
  const buckets = load(heap, HEADER.waitTableBuckets);
  for (let i = 0; i < buckets; i++) {
    spinLockInit(heap, waitBucketLock(first + i * WAIT_BUCKET_WORDS), CLASS_FOLIO_WAIT_TABLE);
  }
}

/** hugetlb_init(): the locks, and a pool whose pages are all free. */
function bootHugetlb(heap: Heap): Access<void> {
  spinLockInit(heap, hugetlbLock(heap), CLASS_HUGETLB_LOCK);
  for (let i = 0; i < HUGETLB_FAULT_MUTEXES; i++) {
    mutexInit(heap, hugetlbFaultMutexAt(heap, i), CLASS_HUGETLB_FAULT_MUTEX);
  }
  bootHugetlbPool(heap);
}

/** The zero page is frame 1: mapped without count, never freed, never migrated. */
function bootZeroPage(heap: Heap): Access<void> {
  const page = slabAlloc(heap, 0, CACHES.frame);
  assert(page !== 0, 'boot: no frame for the zero page');
  const pfn = pfnAt(heap, page);
  setPageRefcount(heap, pfn, 1);
  setPageFlags(heap, pfn, PG_reserved | PG_uptodate);
  clearPageContents(heap, pfn);
  setZeroPfn(heap, pfn);
}
