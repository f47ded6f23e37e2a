/**
 * Waking the queue of an rwsem. Grant and wake-up are two things: readers are granted (their bias is in the count, their wake
 * word is cleared) and then woken; a writer is only woken and must win its try, so others may steal first.
 *
 * Who must call: the last holder that leaves and sees the waiters bit; a downgrade; a waiter that leaves the queue; a
 * task that queues and finds nobody holding any more. The last one closes the gap in which a queueing reader's bias,
 * about to be taken back, makes the real last holder believe that it is not the last.
 *
 * Kernel: rwsem_mark_wake(), rwsem_wake(), rwsem_downgrade_wake(), rwsem_cond_wake_waiter().
 */

import { fetchAdd, readOnce } from '../arena/access.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import { nowNs } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import type { RwSemPtr, TaskPtr } from '../layout/ids.ts';
import {
  RWSEM,
  RWSEM_HANDOFF,
  RWSEM_HELD,
  RWSEM_READER,
  RWSEM_WAITERS,
  RWSEM_WRITER,
  setRwSemNoSpin,
  setRwSemReaderOwner,
} from '../layout/lockWords.ts';
import { taskIdAt } from '../layout/task.ts';
import { hwLock, hwUnlock } from './hwLock.ts';
import { notifyTasks, wakeWaiter, wakeWaiters } from './sleep.ts';
import {
  WAIT_HANDOFF,
  WAIT_WRITE,
  countTasks,
  firstWaiter,
  setWaiterFlag,
  takeReaders,
  waiterDeadline,
  waiterKind,
} from './waitList.ts';

/** Readers granted by one wake. */
const MAX_READERS_WAKEUP = 256;

const US_PER_NS = 1e-3;
/** A waiter may ask for handoff after this long. */
const HANDOFF_US = 4000;

/** What a wake may do: anything; wake readers only; wake readers only, the caller holds the lock for read itself. */
export type RwSemWakeType = 'any' | 'readers' | 'readOwned';

/** Deadline of a wait that begins now: microseconds on the machine's clock, low 32 bits. */
export function handoffDeadline(task: Task): number {
  return (Math.floor(nowNs(task) * US_PER_NS) + HANDOFF_US) | 0;
}

/** True once a deadline lies behind us. */
export function deadlinePassed(task: Task, deadline: number): boolean {
  return ((Math.floor(nowNs(task) * US_PER_NS) - deadline) | 0) > 0;
}

/** rwsem_wake(): the lock was dropped and the waiters bit was set. */
export function wakeAfterRelease(task: Task, sem: RwSemPtr): Sim<void> {
  setRwSemNoSpin(task.heap, sem, false);
  lockAndWake(task, sem, 'any');
}

/** rwsem_downgrade_wake(): the caller now holds for read and the waiters bit was set. */
export function wakeAfterDowngrade(task: Task, sem: RwSemPtr): Sim<void> {
  lockAndWake(task, sem, 'readOwned');
}

/** Takes the wait lock and wakes whoever may come in now. */
export function lockAndWake(task: Task, sem: RwSemPtr, type: RwSemWakeType): Sim<void> {
  hwLock(task, sem + RWSEM.waitLock);
  const tasks = firstWaiter(task.heap, sem + RWSEM.head) === 0 ? 0 : markWake(task, sem, type);
  hwUnlock(task, sem + RWSEM.waitLock);
  notifyTasks(task, tasks);
}

/**
 * rwsem_cond_wake_waiter(): a task has just queued and `count` was the count after that. If nobody holds any more, nobody
 * else will wake the head.
 * @locked waitLock, list not empty
 * @returns tasks to notify once the wait lock is dropped
 */
export function wakeIfNotHeld(task: Task, sem: RwSemPtr, count: number): Sim<number> {
  if ((count & RWSEM_WRITER) !== 0) return 0;
  if ((count & RWSEM_HELD) !== 0) return markWake(task, sem, 'readers');
  setRwSemNoSpin(task.heap, sem, false);
  return markWake(task, sem, 'any');
}

/**
 * rwsem_mark_wake(): grants readers, or picks the writer at the head.
 * @locked waitLock, list not empty
 * @returns tasks to notify once the wait lock is dropped
 */
export function markWake(task: Task, sem: RwSemPtr, type: RwSemWakeType): Sim<number> {
  const { heap } = task;
  const first = firstWaiter(heap, sem + RWSEM.head);
  if (waiterKind(heap, first) === WAIT_WRITE) {
    // Not dequeued, not granted. A reader that comes in meanwhile keeps the bit, so its release wakes the head again.
    return type === 'any' ? wakeWaiter(heap, first) : 0;
  }
  if (type === 'readOwned') return grantReaders(task, sem, 0);
  // The head's bias first, as a claim: with it in, no writer can come in between.
  const before = fetchAdd(heap, sem + RWSEM.count, RWSEM_READER);
  if ((before & RWSEM_WRITER) !== 0) {
    giveClaimBack(task, sem, first, before);
    return 0;
  }
  setRwSemReaderOwner(heap, sem, taskIdAt(heap, first));
  return grantReaders(task, sem, RWSEM_READER);
}

/** A writer stole the lock before our claim; it wakes the head when it leaves. A head that is late asks for handoff. */
function giveClaimBack(task: Task, sem: RwSemPtr, first: TaskPtr, before: number): Sim<void> {
  const { heap } = task;
  let change = -RWSEM_READER;
  if (deadlinePassed(task, waiterDeadline(heap, first))) {
    if ((before & RWSEM_HANDOFF) === 0) change += RWSEM_HANDOFF;
    setWaiterFlag(heap, first, WAIT_HANDOFF);
  }
  fetchAdd(heap, sem + RWSEM.count, change);
}

/** Lets all queued readers in, `claimed` of whose bias is in the count already. Grant precedes wake-up (RWSEM-3). */
function grantReaders(task: Task, sem: RwSemPtr, claimed: number): Sim<number> {
  const { heap } = task;
  const readers = takeReaders(heap, sem + RWSEM.head, MAX_READERS_WAKEUP);
  assert(readers !== 0, 'rwsem: the head was a reader and is not');
  let change = countTasks(readers) * RWSEM_READER - claimed;
  if (firstWaiter(heap, sem + RWSEM.head) === 0) change -= RWSEM_WAITERS;
  // Readers came in: nobody needs to force a writer out any more. The bit changes only under the wait lock.
  if ((readOnce(heap, sem + RWSEM.count) & RWSEM_HANDOFF) !== 0) change -= RWSEM_HANDOFF;
  if (change !== 0) fetchAdd(heap, sem + RWSEM.count, change);
  return wakeWaiters(heap, readers);
}
