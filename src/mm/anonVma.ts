/**
 * Life of an anon_vma: one reference while its tree is not empty, one per live child on the root, and pins of whoever
 * must find it again (migration, lockers that sleep).
 *
 * The cache is type-safe by RCU: a freed anon_vma may be another one at once, but its locks stay locks. So allocation
 * never touches the locks, and a pointer from folio->mapping may be locked first and checked afterwards.
 *
 * Invariants
 *   AV-1  An anon_vma is freed with an empty tree and no counter left.
 *   AV-2  A root is freed behind all its descendants: each holds a reference on it, for the lock lives in the root.
 *
 * Kernel: anon_vma_alloc(), anon_vma_free(), __put_anon_vma() in mm/rmap.c.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import type { Access, Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import { mightSleep, type Task } from '../cpu/task.ts';
import type { Heap } from '../arena/heap.ts';
import {
  anonVmaRbRoot,
  atomicAddAnonVmaRefcount,
  cmpxchgAnonVmaRefcount,
  readOnceAnonVmaRefcount,
  readOnceAnonVmaRoot,
  setAnonVmaDegree,
  setAnonVmaNumActiveVmas,
  setAnonVmaNumChildren,
  setAnonVmaParent,
  setAnonVmaRefcount,
  setAnonVmaRoot,
} from '../layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type AnonVmaPtr } from '../layout/ids.ts';
import { anonVmaLockWrite, anonVmaRootIsLocked, anonVmaUnlockWrite, usesRootRwsem } from './anonVmaLock.ts';

/**
 * anon_vma_alloc(): a root of its own, referenced once, linked nowhere.
 *
 * @returns 0 without memory
 */
export function anonVmaAlloc(task: Task): Sim<AnonVmaPtr> {
  const anonVma = kmemCacheAlloc(task, CACHES.anonVma) as AnonVmaPtr;
  if (anonVma === NO_ANON_VMA) return NO_ANON_VMA;
  // Whoever still has a stale pointer sees each of these stores: the count only behind them, so that
  // inc-not-zero hands out an anon_vma with a root.
  initCounters(task.heap, anonVma);
  setAnonVmaRoot(task.heap, anonVma, anonVma);
  setAnonVmaRefcount(task.heap, anonVma, 1);
  return anonVma;
}

/** get_anon_vma(): the caller knows that the count is not zero. */
export function getAnonVma(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  const count = atomicAddAnonVmaRefcount(task.heap, anonVma, 1);
  assert(count > 1, 'anon_vma: reference taken on a free one');
}

/** atomic_inc_not_zero() on the reference count. @returns false when the anon_vma is free or about to be */
export function tryGetAnonVma(task: Task, anonVma: AnonVmaPtr): Sim<boolean> {
  let count = readOnceAnonVmaRefcount(task.heap, anonVma);
  while (count !== 0) {
    const before = cmpxchgAnonVmaRefcount(task.heap, anonVma, count, count + 1);
    if (before === count) return true;
    count = before;
  }
  return false;
}

/**
 * put_anon_vma(): drops a reference; the last one frees the anon_vma.
 *
 * @locked nothing: freeing may sleep on the root's lock, so neither that lock nor RCU may be held
 */
export function putAnonVma(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  if (dropAnonVmaRef(task, anonVma)) putLastAnonVma(task, anonVma);
}

/** Drops a reference and only says whether it was the last: for a locker, who must unlock before it may free. */
export function dropAnonVmaRef(task: Task, anonVma: AnonVmaPtr): Sim<boolean> {
  const count = atomicAddAnonVmaRefcount(task.heap, anonVma, -1);
  assert(count >= 0, 'anon_vma: reference count below zero');
  return count === 0;
}

/** __put_anon_vma(): the count is zero; frees the anon_vma and drops its reference on the root. */
export function putLastAnonVma(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  // The root is read before its child goes, and goes after it: until then the lock of both is needed.
  const root = readOnceAnonVmaRoot(task.heap, anonVma);
  anonVmaFree(task, anonVma);
  if (root !== anonVma && dropAnonVmaRef(task, root)) anonVmaFree(task, root);
}

/** anon_vma_free(): waits for a walker that came through a stale pointer, then gives the memory back. */
function anonVmaFree(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  const { heap } = task;
  assert(readOnceAnonVmaRefcount(heap, anonVma) === 0, 'anon_vma: freed while referenced');
  assert(anonVmaRbRoot(heap, anonVma) === NO_AVC, 'anon_vma: freed with VMAs in its tree');
  if (usesRootRwsem(task.rules)) {
    mightSleep(task, 'anon_vma_free');
    // folio_lock_anon_vma_read takes the lock without a reference and looks at the folio afterwards. Our count went to
    // zero before this look at the lock: either that walker sees the folio unmapped, or we see its lock and wait.
    if (anonVmaRootIsLocked(task, anonVma)) {
      anonVmaLockWrite(task, anonVma);
      anonVmaUnlockWrite(task, anonVma);
    }
  }
  task.check?.anonVmaFreed(task, anonVma);
  kmemCacheFree(task, CACHES.anonVma, anonVma);
}

/** A fresh anon_vma is its own parent and used by nobody. */
function initCounters(heap: Heap, anonVma: AnonVmaPtr): Access<void> {
  assert(anonVmaRbRoot(heap, anonVma) === NO_AVC, 'anon_vma: allocated with VMAs in its tree');
  setAnonVmaNumChildren(heap, anonVma, 0);
  setAnonVmaNumActiveVmas(heap, anonVma, 0);
  setAnonVmaDegree(heap, anonVma, 0);
  setAnonVmaParent(heap, anonVma, anonVma);
}
