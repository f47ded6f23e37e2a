/**
 * Life of a struct mm_struct. `users` counts who runs in the address space or looks into it; when the last one goes the
 * mappings are torn down. `count` counts references on the struct itself, of which all users together hold one.
 *
 * Kernel: mm_init(), mmget(), mmput() in kernel/fork.c and include/linux/sched/mm.h. Not modelled: memcg, notifiers.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL, atomicNextNumber } from '../layout/globals.ts';
import { NO_MM, type MmPtr, type Vpn } from '../layout/ids.ts';
import { CLASS_MMAP_LOCK, CLASS_PAGE_TABLE_LOCK } from '../layout/lockClass.ts';
import {
  MMF_VM_MERGEABLE,
  atomicAddMmCount,
  atomicAddMmUsers,
  clearMm,
  cmpxchgMmUsers,
  mmMmapLock,
  mmPageTableLock,
  readOnceMmFlags,
  readOnceMmUsers,
  setMmMaxMapCount,
  setMmMemlockLimit,
  setMmMmapWindow,
  setMmProcess,
} from '../layout/mm.ts';
import { rwSemInit } from '../locks/rwSem.ts';
import { spinLockInit } from '../locks/spinLock.ts';
import { exitMmap } from './exit.ts';
import { ksmExit } from './ksmSlots.ts';
import { mmdrop } from './mmCount.ts';
import { pgdAlloc } from './pageTable.ts';
import { DEFAULT_MMAP_END } from './userSpace.ts';
import { MEMLOCK_UNLIMITED } from './vmStat.ts';

/** Linux's default is 65530; ours stays below the largest block of a VMA tree as theirs below what a core dump can hold. */
const DEFAULT_MAX_MAP_COUNT = 1000;

/**
 * Makes an empty address space (mm_alloc): one user, a page-table root, its own numbers, the default placement window.
 * @returns the mm, or 0 when there is no memory
 */
export function mmAlloc(task: Task): Sim<MmPtr> {
  const { heap } = task;
  const mm = kmemCacheAlloc(task, CACHES.mm) as MmPtr;
  if (mm === NO_MM) return NO_MM;
  clearMm(heap, mm, atomicNextNumber(heap, GLOBAL.nextAsid));
  rwSemInit(heap, mmMmapLock(mm), CLASS_MMAP_LOCK);
  spinLockInit(heap, mmPageTableLock(mm), CLASS_PAGE_TABLE_LOCK);
  if (pgdAlloc(task, mm) !== 0) {
    kmemCacheFree(task, CACHES.mm, mm);
    return NO_MM;
  }
  setMmProcess(heap, mm, atomicNextNumber(heap, GLOBAL.nextProcess));
  setMmMemlockLimit(heap, mm, MEMLOCK_UNLIMITED);
  setMmMmapWindow(heap, mm, 0 as Vpn, DEFAULT_MMAP_END as Vpn);
  setMmMaxMapCount(heap, mm, DEFAULT_MAX_MAP_COUNT);
  atomicAddMmUsers(heap, mm, 1);
  atomicAddMmCount(heap, mm, 1);
  return mm;
}

/** One more user; the caller has one already (mmget). */
export function mmget(task: Task, mm: MmPtr): Sim<void> {
  const users = atomicAddMmUsers(task.heap, mm, 1);
  assert(users > 1, 'mmget of an address space without users');
}

/** One more user unless the last one has gone (mmget_not_zero). The caller holds a reference on the struct, or RCU. */
export function mmgetNotZero(task: Task, mm: MmPtr): Sim<boolean> {
  let users = readOnceMmUsers(task.heap, mm);
  while (users !== 0) {
    const seen = cmpxchgMmUsers(task.heap, mm, users, users + 1);
    if (seen === users) return true;
    users = seen;
  }
  return false;
}

/** Drops a user; the last one tears the mappings down and drops the users' reference (mmput). May sleep. */
export function mmput(task: Task, mm: MmPtr): Sim<void> {
  const users = atomicAddMmUsers(task.heap, mm, -1);
  assert(users >= 0, 'mmput of an address space without users');
  if (users > 0) return;
  if ((readOnceMmFlags(task.heap, mm) & MMF_VM_MERGEABLE) !== 0) ksmExit(task, mm);
  exitMmap(task, mm);
  mmdrop(task, mm);
}
