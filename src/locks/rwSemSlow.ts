/**
 * Slow paths of the rwsem: stealing, queueing, sleeping, leaving after a signal.
 *
 * No wake-up is lost. The waiters bit goes into the count under the wait lock, in the same step in which a reader takes
 * its bias back, or before a writer's first try; so every later release sees it and takes the wait lock to wake the head. A
 * release that came earlier is seen by the count that this step returns (reader: wakeIfNotHeld) or by the try itself
 * (writer). A writer re-arms its wake word under the wait lock before each try, a waker clears it under the same lock.
 *
 * Kernel: rwsem_down_read_slowpath(), rwsem_down_write_slowpath(), rwsem_try_write_lock(), rwsem_del_wake_waiter().
 */

import { cas, fetchAdd, fetchAnd, fetchOr, readOnce } from '../arena/access.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { RwSemPtr } from '../layout/ids.ts';
import {
  RWSEM,
  RWSEM_HANDOFF,
  RWSEM_HELD,
  RWSEM_READER,
  RWSEM_READER_OWNED,
  RWSEM_READER_SHIFT,
  RWSEM_WAITERS,
  RWSEM_WRITER,
  rwSemClass,
  rwSemOwnerWord,
  setRwSemOwner,
  setRwSemReaderOwner,
} from '../layout/lockWords.ts';
import { hwLock, hwUnlock } from './hwLock.ts';
import { waitBegin, waitEnd } from './lockHooks.ts';
import { spinForWrite, spinUntilFree } from './rwSemSpin.ts';
import { deadlinePassed, handoffDeadline, lockAndWake, markWake, wakeIfNotHeld } from './rwSemWake.ts';
import { blockBegin, blockEnd, notifyTasks, prepareToSleep, sleep, wasWoken } from './sleep.ts';
import {
  WAIT_HANDOFF,
  WAIT_READ,
  WAIT_WRITE,
  addWaiter,
  firstWaiter,
  listIsSingular,
  removeWaiter,
  setWaiterDeadline,
  setWaiterFlag,
  waiterDeadline,
  waiterHasFlag,
} from './waitList.ts';

/**
 * The reader's bias is in the count, which then was `count`, and did not suffice.
 * @returns false when a fatal signal came first (killable only); then nothing is held
 */
export function downReadSlow(task: Task, sem: RwSemPtr, count: number, killable: boolean): Sim<boolean> {
  const { heap } = task;
  const began = waitBegin(task);
  const readers = count >> RWSEM_READER_SHIFT;
  const readerOwned = (rwSemOwnerWord(heap, sem) & RWSEM_READER_OWNED) !== 0;
  // A stream of readers must not starve a sleeping writer: do not steal what readers already hold.
  const behindReaders = readerOwned && readers > 1 && (count & RWSEM_WRITER) === 0;
  if (!behindReaders && (count & (RWSEM_WRITER | RWSEM_HANDOFF)) === 0) {
    setRwSemReaderOwner(heap, sem, task.id);
    // The first reader of a phase opens it for the others.
    if (readers === 1 && (count & RWSEM_WAITERS) !== 0) lockAndWake(task, sem, 'readOwned');
  } else if (!queueReader(task, sem, killable)) {
    return false;
  }
  waitEnd(task, sem, rwSemClass(heap, sem), began);
  return true;
}

/** @returns false when a fatal signal came first; then nothing is held */
export function downWriteSlow(task: Task, sem: RwSemPtr, killable: boolean): Sim<boolean> {
  const began = waitBegin(task);
  if (!spinForWrite(task, sem) && !queueWriter(task, sem, killable)) return false;
  setRwSemOwner(task.heap, sem, task.id);
  waitEnd(task, sem, rwSemClass(task.heap, sem), began);
  return true;
}

function queueReader(task: Task, sem: RwSemPtr, killable: boolean): Sim<boolean> {
  const { heap } = task;
  const list = sem + RWSEM.head;
  hwLock(task, sem + RWSEM.waitLock);
  let change = -RWSEM_READER;
  if (firstWaiter(heap, list) === 0) {
    if ((readOnce(heap, sem + RWSEM.count) & RWSEM_WRITER) === 0) {
      // The writer left meanwhile and nobody queues: the bias that is in the count suffices after all.
      hwUnlock(task, sem + RWSEM.waitLock);
      setRwSemReaderOwner(heap, sem, task.id);
      return true;
    }
    change += RWSEM_WAITERS;
  }
  setWaiterDeadline(heap, task.ptr, handoffDeadline(task));
  prepareToSleep(task);
  addWaiter(heap, list, task.ptr, WAIT_READ, 0);
  const after = fetchAdd(heap, sem + RWSEM.count, change) + change;
  const tasks = wakeIfNotHeld(task, sem, after);
  hwUnlock(task, sem + RWSEM.waitLock);
  notifyTasks(task, tasks);
  blockBegin(task, sem, rwSemClass(heap, sem));
  let granted = sleep(task, killable);
  if (!granted) {
    hwLock(task, sem + RWSEM.waitLock);
    // The grant may have crossed the signal: then we hold the lock.
    granted = wasWoken(task);
    if (granted) hwUnlock(task, sem + RWSEM.waitLock);
    else leaveQueue(task, sem);
  }
  blockEnd(task);
  return granted;
}

function queueWriter(task: Task, sem: RwSemPtr, killable: boolean): Sim<boolean> {
  const { heap } = task;
  const list = sem + RWSEM.head;
  hwLock(task, sem + RWSEM.waitLock);
  setWaiterDeadline(heap, task.ptr, handoffDeadline(task));
  const first = firstWaiter(heap, list) === 0;
  addWaiter(heap, list, task.ptr, WAIT_WRITE, 0);
  if (first) {
    fetchOr(heap, sem + RWSEM.count, RWSEM_WAITERS);
  } else {
    const tasks = wakeIfNotHeld(task, sem, readOnce(heap, sem + RWSEM.count));
    if (tasks !== 0) {
      hwUnlock(task, sem + RWSEM.waitLock);
      notifyTasks(task, tasks);
      hwLock(task, sem + RWSEM.waitLock);
    }
  }
  blockBegin(task, sem, rwSemClass(heap, sem));
  const got = waitForWrite(task, sem, killable);
  blockEnd(task);
  return got;
}

/** Tries and sleeps until the queued writer has the lock. @locked waitLock, which is dropped */
function waitForWrite(task: Task, sem: RwSemPtr, killable: boolean): Sim<boolean> {
  const { heap } = task;
  while (true) {
    prepareToSleep(task);
    if (tryWriteQueued(task, sem)) {
      hwUnlock(task, sem + RWSEM.waitLock);
      return true;
    }
    const handoff = waiterHasFlag(heap, task.ptr, WAIT_HANDOFF);
    hwUnlock(task, sem + RWSEM.waitLock);
    // With handoff set nobody else may take it, so a short wait for the holder is not wasted.
    const woken = (handoff && spinUntilFree(task, sem)) || sleep(task, killable);
    hwLock(task, sem + RWSEM.waitLock);
    if (!woken) {
      leaveQueue(task, sem);
      return false;
    }
  }
}

/**
 * A queued writer's try. Takes it out of the queue on success; asks for handoff, in favour of the head, when its deadline
 * is over.
 * @locked waitLock
 */
function tryWriteQueued(task: Task, sem: RwSemPtr): Sim<boolean> {
  const { heap } = task;
  const first = firstWaiter(heap, sem + RWSEM.head);
  let count = readOnce(heap, sem + RWSEM.count);
  let wanted: number;
  while (true) {
    const handoff = (count & RWSEM_HANDOFF) !== 0;
    if (handoff && first !== task.ptr && waiterHasFlag(heap, first, WAIT_HANDOFF)) return false;
    if ((count & RWSEM_HELD) !== 0) {
      if (handoff || !deadlinePassed(task, waiterDeadline(heap, task.ptr))) return false;
      wanted = count | RWSEM_HANDOFF;
    } else {
      wanted = (count | RWSEM_WRITER) & ~RWSEM_HANDOFF;
      if (listIsSingular(heap, sem + RWSEM.head)) wanted &= ~RWSEM_WAITERS;
    }
    const seen = cas(heap, sem + RWSEM.count, count, wanted);
    if (seen === count) break;
    count = seen;
  }
  if ((wanted & RWSEM_HANDOFF) !== 0) {
    setWaiterFlag(heap, first, WAIT_HANDOFF);
    return false;
  }
  removeWaiter(heap, sem + RWSEM.head, task.ptr);
  return true;
}

/** A waiter gives up: whoever stood behind the head must not wait for a release that the head would have answered. */
function leaveQueue(task: Task, sem: RwSemPtr): Sim<void> {
  const { heap } = task;
  const list = sem + RWSEM.head;
  const wasFirst = firstWaiter(heap, list) === task.ptr;
  removeWaiter(heap, list, task.ptr);
  let tasks = 0;
  if (firstWaiter(heap, list) === 0) fetchAnd(heap, sem + RWSEM.count, ~(RWSEM_WAITERS | RWSEM_HANDOFF));
  else if (wasFirst) tasks = markWake(task, sem, 'any');
  hwUnlock(task, sem + RWSEM.waitLock);
  notifyTasks(task, tasks);
}
