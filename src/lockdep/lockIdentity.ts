/**
 * Which object a lock lies in: its slab generation tells whether a remembered lock is still the same one, its class makes
 * a report readable where the caller only had an address.
 */

import { CACHE, CACHES, CACHE_NAMES, cacheAt, type CacheName } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabGeneration } from '../arena/slab.ts';
import { ANON_VMA } from '../layout/anonVma.ts';
import { GLOBAL, globalAt } from '../layout/globals.ts';
import type { LockClassId } from '../layout/ids.ts';
import {
  CLASS_ANON_VMA_RWSEM,
  CLASS_ANON_VMA_SPIN,
  CLASS_KSM_MMLIST_LOCK,
  CLASS_KSM_THREAD_MUTEX,
  CLASS_MMAP_LOCK,
  CLASS_MM_ALL_LOCKS_MUTEX,
  CLASS_NONE,
  CLASS_PAGE_TABLE_LOCK,
  CLASS_PMD_LOCK,
  CLASS_PTE_LOCK,
  CLASS_VM_LOCK,
} from '../layout/lockClass.ts';
import { MM } from '../layout/mm.ts';
import { LEVEL_PMD, TABLE } from '../layout/pageTable.ts';
import { VMA } from '../layout/vma.ts';

interface CacheRange {
  readonly name: CacheName;
  readonly first: number;
  readonly stride: number;
  readonly end: number;
}

/** What is known of a lock by its address alone. */
export interface LockIdentity {
  /** Changes when the object the lock lies in is freed or allocated; 0 for locks that live for ever. */
  readonly generation: (lock: number) => number;
  /** CLASS_NONE when nothing is known to lie there. */
  readonly classAt: (lock: number) => LockClassId;
}

/** Identity of the locks of the simulated kernel, by the objects of the arena's caches. */
export function arenaIdentity(heap: Heap): LockIdentity {
  const ranges: readonly CacheRange[] = CACHE_NAMES.map((name) => {
    const at = cacheAt(CACHES[name]);
    const first = heap[at + CACHE.base];
    const stride = heap[at + CACHE.stride];
    return { name, first, stride, end: first + heap[at + CACHE.count] * stride };
  });
  return {
    generation(lock) {
      for (const { first, stride, end } of ranges) {
        if (lock >= first && lock < end) return slabGeneration(heap, lock - ((lock - first) % stride));
      }
      return 0;
    },
    classAt(lock) {
      if (lock === globalAt(heap, GLOBAL.mmAllLocksMutex)) return CLASS_MM_ALL_LOCKS_MUTEX;
      if (lock === globalAt(heap, GLOBAL.ksmThreadMutex)) return CLASS_KSM_THREAD_MUTEX;
      if (lock === globalAt(heap, GLOBAL.ksmMmlistLock)) return CLASS_KSM_MMLIST_LOCK;
      const range = ranges.find(({ first, end }) => lock >= first && lock < end);
      return range === undefined
        ? CLASS_NONE
        : classInObject(heap, range.name, lock, (lock - range.first) % range.stride);
    },
  };
}

function classInObject(heap: Heap, cache: CacheName, lock: number, offset: number): LockClassId {
  if (cache === 'pageTable' && offset === TABLE.lock) {
    return heap[lock - offset + TABLE.level] === LEVEL_PMD ? CLASS_PMD_LOCK : CLASS_PTE_LOCK;
  }
  return CLASS_OF_FIELD[cache]?.get(offset) ?? CLASS_NONE;
}

const CLASS_OF_FIELD: Partial<Record<CacheName, ReadonlyMap<number, LockClassId>>> = {
  mm: new Map([
    [MM.mmapLock, CLASS_MMAP_LOCK],
    [MM.pageTableLock, CLASS_PAGE_TABLE_LOCK],
  ]),
  vma: new Map([[VMA.refcnt, CLASS_VM_LOCK]]),
  anonVma: new Map([
    [ANON_VMA.rwsem, CLASS_ANON_VMA_RWSEM],
    [ANON_VMA.lock, CLASS_ANON_VMA_SPIN],
  ]),
};
