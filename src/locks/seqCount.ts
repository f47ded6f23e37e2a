/**
 * Sequence counts: odd while a writer is inside. Writers exclude each other by a lock that the caller holds.
 *
 * Kernel: raw_write_seqcount_begin(), raw_read_seqcount(), read_seqcount_retry(). The reader does not wait for an even
 * count: its only user (GUP-fast) falls back to the slow path instead.
 */

import { load, loadAcquire, storeRelease } from '../arena/access.ts';
import { assert } from '../base/assert.ts';
import type { Access } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { SeqCountPtr } from '../layout/ids.ts';

/** Enters the write side: readers that overlap will retry. */
export function writeSeqcountBegin(task: Task, seqcount: SeqCountPtr): Access<void> {
  const before = load(task.heap, seqcount);
  assert((before & 1) === 0, 'seqcount: two writers');
  storeRelease(task.heap, seqcount, (before + 1) | 0);
}

/** Leaves the write side. */
export function writeSeqcountEnd(task: Task, seqcount: SeqCountPtr): Access<void> {
  const before = load(task.heap, seqcount);
  assert((before & 1) === 1, 'seqcount: write side left twice');
  storeRelease(task.heap, seqcount, (before + 1) | 0);
}

/** Enters the read side. @returns the count, odd when a writer is inside; to be given to readSeqcountRetry */
export function readSeqcountBegin(task: Task, seqcount: SeqCountPtr): Access<number> {
  return loadAcquire(task.heap, seqcount);
}

/** Leaves the read side. @returns true when a writer overlapped: what was read may be torn */
export function readSeqcountRetry(task: Task, seqcount: SeqCountPtr, begun: number): Access<boolean> {
  return loadAcquire(task.heap, seqcount) !== begun;
}
