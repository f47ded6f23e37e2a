/**
 * Waiting for a folio's lock bit: hashed queues, shared by unrelated folios.
 *
 * No wake-up is lost. A waiter, bucket lock held: sets PG_waiters, then looks at PG_locked, and only if that is set arms its
 * wake word and queues. The unlocker clears PG_locked and reads PG_waiters in one atomic operation. If the waiter saw the bit
 * locked, that operation comes later and sees PG_waiters; the unlocker then takes the bucket lock and finds the waiter
 * queued. PG_waiters is cleared only under the bucket lock and only when no task queues for the folio.
 *
 * A waker touches nothing but the flags of the folio after the bit is clear. The waiter may hold no reference
 * (migrationEntryWaitOnLocked): frames are never unmapped here, and a recycled frame only costs a look too many.
 *
 * Kernel: folio_wait_bit_common(), wake_page_function(), folio_wake_bit() in mm/filemap.c. Not modelled: bits other than
 * PG_locked, bookmarks, wait queues with entries of other kinds.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { WAIT_BUCKET, waitBucket, waitBucketLock } from '../layout/globals.ts';
import type { Pfn } from '../layout/ids.ts';
import { CLASS_FOLIO_LOCK } from '../layout/lockClass.ts';
import {
  PAGE,
  PG_locked,
  PG_waiters,
  atomicClearPageFlags,
  atomicSetPageFlags,
  pageAt,
  readOncePageFlags,
} from '../layout/page.ts';
import { blockBegin, blockEnd, notifyTasks, prepareToSleep, sleep, wakeWaiter } from './sleep.ts';
import { spinLock, spinUnlock } from './spinLock.ts';
import {
  WAIT_DONE,
  WAIT_HANDOFF,
  WAIT_WRITE,
  addWaiter,
  firstWaiter,
  nextWaiter,
  removeWaiter,
  setWaiterFlag,
  waiterHasFlag,
  waiterKey,
  waiterKind,
} from './waitList.ts';

/** How often a locker may lose to somebody who did not queue; then the unlocker hands the lock to it. */
const FOLIO_LOCK_UNFAIRNESS = 5;

/** Waits until the lock bit is taken by this task. */
export function waitToLockFolio(task: Task, pfn: Pfn): Sim<void> {
  for (let unfairness = FOLIO_LOCK_UNFAIRNESS; ; unfairness--) {
    if (queueForFolio(task, pfn, WAIT_WRITE, unfairness < 1)) return;
    sleepForFolio(task, pfn);
    if (waiterHasFlag(task.heap, task.ptr, WAIT_DONE)) return;
    if ((atomicSetPageFlags(task.heap, pfn, PG_locked) & PG_locked) === 0) return;
  }
}

/**
 * Queues for the folio unless its lock bit is clear; a locker (WAIT_WRITE) takes a clear bit. With `handoff` the unlocker is to
 * take the bit for us.
 * @returns true when there is nothing to wait for; else sleepForFolio must follow
 */
export function queueForFolio(task: Task, pfn: Pfn, kind: number, handoff: boolean): Sim<boolean> {
  const { heap } = task;
  const bucket = waitBucket(heap, pfn);
  spinLock(task, waitBucketLock(bucket));
  atomicSetPageFlags(heap, pfn, PG_waiters);
  const flags = kind === WAIT_WRITE ? atomicSetPageFlags(heap, pfn, PG_locked) : readOncePageFlags(heap, pfn);
  const free = (flags & PG_locked) === 0;
  if (!free) {
    prepareToSleep(task);
    addWaiter(heap, bucket + WAIT_BUCKET.head, task.ptr, kind, pfn);
    if (handoff) setWaiterFlag(heap, task.ptr, WAIT_HANDOFF);
  }
  spinUnlock(task, waitBucketLock(bucket));
  return free;
}

/** Sleeps until an unlocker took us out of the queue. */
export function sleepForFolio(task: Task, pfn: Pfn): Sim<void> {
  blockBegin(task, pageAt(task.heap, pfn) + PAGE.flags, CLASS_FOLIO_LOCK);
  sleep(task, false);
  blockEnd(task);
}

/**
 * folio_wake_bit(): the lock bit was cleared while PG_waiters was set. Wakes those who only wait up to and with the first
 * who wants to lock; if the bit is taken again, that one goes on waiting, for the new holder's unlock.
 */
export function wakeFolio(task: Task, pfn: Pfn): Sim<void> {
  const { heap } = task;
  const bucket = waitBucket(heap, pfn);
  const list = bucket + WAIT_BUCKET.head;
  let tasks = 0;
  let matched = false;
  spinLock(task, waitBucketLock(bucket));
  for (let waiter = firstWaiter(heap, list); waiter !== 0;) {
    const next = nextWaiter(heap, waiter);
    if (waiterKey(heap, waiter) === pfn) {
      matched = true;
      const locker = waiterKind(heap, waiter) === WAIT_WRITE;
      if (locker && (readOncePageFlags(heap, pfn) & PG_locked) !== 0) break;
      if (locker && waiterHasFlag(heap, waiter, WAIT_HANDOFF)) {
        if ((atomicSetPageFlags(heap, pfn, PG_locked) & PG_locked) !== 0) break;
        setWaiterFlag(heap, waiter, WAIT_DONE);
      }
      removeWaiter(heap, list, waiter);
      tasks |= wakeWaiter(heap, waiter);
      if (locker) break;
    }
    waiter = next;
  }
  if (!matched) atomicClearPageFlags(heap, pfn, PG_waiters);
  spinUnlock(task, waitBucketLock(bucket));
  notifyTasks(task, tasks);
}
