/**
 * RCU: read sections, grace periods, deferred frees.
 *
 * A global period number; an outermost read section stamps its task's word with the period it saw, and clears it at its end.
 * A grace period bumps the number and waits until no task's stamp is older. Nobody drives it: whoever needs a grace
 * period looks at the stamps itself, and a CPU that is idle or gone has none.
 *
 * Why that suffices: an updater unlinks, then bumps, then looks. A reader stamps, then reads. If the updater sees no stamp,
 * the reader's reads come later and find the object unlinked. If it sees a stamp of the new period, the reader saw the bump,
 * so again comes after the unlinking. A reader that is delayed between reading the number and writing its stamp stamps
 * too old a number: somebody waits too long, never too short.
 *
 * No wake-up is lost: who waits marks the reader's stamp by compare-and-swap, then sleeps while the word is exactly that;
 * the reader leaves by an exchange, which changes the word and returns the mark.
 *
 * Deferred frees: each task pushes onto a list of its own (`next`); when its older batch (`list`) is gone, `next` becomes
 * the batch and starts a grace period. Each push looks whether the batch may be freed. rcuBarrier takes the lists of all
 * tasks, which is why they are changed by atomic operations.
 *
 * Kernel: rcu_read_lock(), synchronize_rcu(), call_rcu(), kfree_rcu(), rcu_barrier(). Not modelled: callbacks other than a free,
 * expedited grace periods, flavours.
 */

import { cas, fetchAdd, load, loadAcquire, readOnce, smpMb, store, writeOnce, xchg } from '../arena/access.ts';
import { nrCpus, type CacheId } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { setSlabRcuNext, slabCacheOf, slabRcuNext } from '../arena/slab.ts';
import { assert } from '../base/assert.ts';
import type { Access, Sim } from '../base/sim.ts';
import { kmemCacheFree } from '../cpu/alloc.ts';
import { parkWhile, unpark } from '../cpu/platform.ts';
import { mightSleep, type Task } from '../cpu/task.ts';
import { GLOBAL, globalAt } from '../layout/globals.ts';
import type { TaskId, TaskPtr } from '../layout/ids.ts';
import { CLASS_RCU } from '../layout/lockClass.ts';
import { TASK, taskAt, taskRcuNesting } from '../layout/task.ts';
import { blockBegin, blockEnd } from './sleep.ts';

/** In a stamp: somebody sleeps until this read section ends. */
const WAITED_FOR = 1;
const EVERYBODY = 0x7fff_ffff;

/** rcu_read_lock(): nests. Nothing inside may sleep (lockdep's mightSleep looks at the task's nesting depth). */
export function rcuReadLock(task: Task): Access<void> {
  const { heap, ptr } = task;
  const nesting = load(heap, ptr + TASK.rcuNesting);
  store(heap, ptr + TASK.rcuNesting, nesting + 1);
  if (nesting > 0) return;
  writeOnce(heap, ptr + TASK.rcuActive, stampOf(loadAcquire(heap, globalAt(heap, GLOBAL.rcuPeriod))));
  // The stamp is seen before anything is read.
  smpMb();
}

/** rcu_read_unlock(). */
export function rcuReadUnlock(task: Task): Sim<void> {
  const stamp = leaveReadSide(task);
  if ((stamp & WAITED_FOR) !== 0) unpark(task, task.ptr + TASK.rcuActive, EVERYBODY);
}

/** rcu_read_lock_held(): the calling task is inside a read section. */
export function rcuAssertHeld(task: Task): void {
  assert(taskRcuNesting(task.heap, task.ptr) > 0, 'an RCU read section is needed here');
}

/** synchronize_rcu(): returns when every read section that was open at the call has ended. */
export function synchronizeRcu(task: Task): Sim<void> {
  const { heap } = task;
  mightSleep(task, 'synchronize_rcu');
  assert(taskRcuNesting(heap, task.ptr) === 0, 'synchronizeRcu inside a read section would wait for itself');
  const period = startPeriod(heap);
  for (let id = 1; id <= nrCpus(heap); id++) waitForReader(task, taskAt(heap, id as TaskId), period);
  freeDeferred(task);
}

/** kfree_rcu(): frees an object of `cache` after a grace period. Never sleeps; may be called inside a read section. */
export function callRcu(task: Task, cache: CacheId, ptr: number): Sim<void> {
  assert(slabCacheOf(task.heap, ptr) === cache, 'callRcu: the object is not of this cache');
  pushDeferred(task, ptr);
  freeDeferred(task);
}

/** rcu_barrier(): frees everything whose free is deferred, of all CPUs; waits for a grace period if there is anything. */
export function rcuBarrier(task: Task): Sim<void> {
  const { heap } = task;
  mightSleep(task, 'rcu_barrier');
  const lists: number[] = [];
  for (let id = 1; id <= nrCpus(heap); id++) {
    const owner = taskAt(heap, id as TaskId);
    for (const word of [TASK.rcuList, TASK.rcuNextList]) {
      if (readOnce(heap, owner + word) !== 0) lists.push(xchg(heap, owner + word, 0));
    }
  }
  if (lists.length === 0) return;
  synchronizeRcu(task);
  for (const list of lists) freeList(task, list);
}

/** Ends the innermost read section. One step. @returns the task's stamp if it was the outermost one, else 0 */
function leaveReadSide(task: Task): Access<number> {
  const { heap, ptr } = task;
  const nesting = load(heap, ptr + TASK.rcuNesting) - 1;
  assert(nesting >= 0, 'rcuReadUnlock outside of a read section');
  store(heap, ptr + TASK.rcuNesting, nesting);
  return nesting === 0 ? xchg(heap, ptr + TASK.rcuActive, 0) : 0;
}

/** Stamp of a read section that begins in `period`: never 0, and above those of all earlier periods. */
function stampOf(period: number): number {
  return (period + 1) << 1;
}

/** Begins a grace period. @returns its number: readers with an older stamp must be waited for */
function startPeriod(heap: Heap): Access<number> {
  return fetchAdd(heap, globalAt(heap, GLOBAL.rcuPeriod), 1) + 1;
}

/** True when the read section with this stamp began before `period`. */
function isOlder(stamp: number, period: number): boolean {
  return stamp !== 0 && (stamp & ~WAITED_FOR) < stampOf(period);
}

function waitForReader(task: Task, reader: TaskPtr, period: number): Sim<void> {
  const { heap } = task;
  const at = reader + TASK.rcuActive;
  let stamp = loadAcquire(heap, at);
  if (!isOlder(stamp, period)) return;
  blockBegin(task, at, CLASS_RCU);
  while (isOlder(stamp, period)) {
    const marked = stamp | WAITED_FOR;
    if (marked === stamp || cas(heap, at, stamp, marked) === stamp) parkWhile(task, at, marked);
    stamp = loadAcquire(heap, at);
  }
  blockEnd(task);
}

/** True when no read section is open that began before `period`. Each task is judged on its own, so the look need not be atomic. */
function periodIsOver(heap: Heap, period: number): Access<boolean> {
  for (let id = 1; id <= nrCpus(heap); id++) {
    if (isOlder(loadAcquire(heap, taskAt(heap, id as TaskId) + TASK.rcuActive), period)) return false;
  }
  return true;
}

function pushDeferred(task: Task, ptr: number): Access<void> {
  const { heap } = task;
  const at = task.ptr + TASK.rcuNextList;
  let head = readOnce(heap, at);
  while (true) {
    setSlabRcuNext(heap, ptr, head);
    const seen = cas(heap, at, head, ptr);
    if (seen === head) return;
    head = seen;
  }
}

/** Frees the task's batch if its grace period is over; then what has come since, if nobody reads. */
function freeDeferred(task: Task): Sim<void> {
  for (let batch = 0; batch < 2; batch++) {
    const list = takeFreeable(task);
    if (list === 0) return;
    freeList(task, list);
  }
}

/**
 * Makes what was pushed the batch, if there is none, and takes the batch if its grace period is over. One step: the lists
 * are the task's own, and what rcuBarrier takes away is simply no longer there.
 */
function takeFreeable(task: Task): Access<number> {
  const { heap, ptr } = task;
  if (readOnce(heap, ptr + TASK.rcuList) === 0) {
    const pushed = xchg(heap, ptr + TASK.rcuNextList, 0);
    if (pushed === 0) return 0;
    // After the objects left the other list, so that the period is later than the push of each of them.
    store(heap, ptr + TASK.rcuListPeriod, startPeriod(heap));
    writeOnce(heap, ptr + TASK.rcuList, pushed);
  }
  if (!periodIsOver(heap, load(heap, ptr + TASK.rcuListPeriod))) return 0;
  return xchg(heap, ptr + TASK.rcuList, 0);
}

function freeList(task: Task, list: number): Sim<void> {
  for (let ptr = list; ptr !== 0;) {
    const next = slabRcuNext(task.heap, ptr);
    kmemCacheFree(task, slabCacheOf(task.heap, ptr), ptr);
    ptr = next;
  }
}
