/**
 * Changes of page-table entries against the locks and the counts that belong to them: the ptl (39), mmap lock or VMA lock for
 * an entry that was none (40), the mapcount (2).
 *
 * Invariant 2 says that the mapcount is never below the number of present entries. Nobody can count the entries of a page
 * while others run, but what one task adds to both numbers can be followed at its own hooks: a mapping is counted before an
 * entry shows it, and its entry goes before it is counted off. If no task is ever in debt, the sum is right at every moment.
 */

import { CACHE, CACHES, cacheAt } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, PageTablePtr, Pfn, PtePtr, PteVal, Vpn } from '../layout/ids.ts';
import { SPIN } from '../layout/lockWords.ts';
import { nrFrames, zeroPfn } from '../layout/page.ts';
import { TABLE } from '../layout/pageTable.ts';
import { pteIsNone, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { describePage, describePlace, describePte } from './describe.ts';
import type { TaskRecord } from './taskRecord.ts';
import { simple, type ViolationSink } from './violation.ts';

const NO_ENTRY = 0;

/** The page table in which an entry lies. */
export function tableOf(heap: Heap, entry: number): PageTablePtr {
  const at = cacheAt(CACHES.pageTable);
  const base = heap[at + CACHE.base];
  return (base + Math.floor((entry - base) / heap[at + CACHE.stride]) * heap[at + CACHE.stride]) as PageTablePtr;
}

/** Invariant 39 for an entry: the caller holds the lock of its table. The owner word is exact for the owner itself. */
export function checkPtl(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr, sink: ViolationSink): void {
  const { heap } = task;
  if (heap[tableOf(heap, pte) + TABLE.lock + SPIN.owner] === task.id) return;
  const title = `the entry of ${describePlace(heap, mm, vpn)} changes and the task does not hold its table's lock`;
  sink(simple('lock-held', title, 'entry written without the ptl'));
}

/**
 * Invariant 40: an entry that was none is filled only under the mmap lock or a VMA lock. Not concerned is who takes an entry
 * out and puts something in its place under one hold of the ptl, as rmap walks do: the entry was not none when they came.
 * Seen is that the task changed no other entry in between; that it kept the ptl is not looked at.
 */
export function checkFill(
  task: Task,
  mm: MmPtr,
  vpn: Vpn,
  pte: PtePtr,
  before: PteVal,
  after: PteVal,
  record: TaskRecord,
  sink: ViolationSink,
): void {
  const putBack = record.emptied === pte;
  record.emptied = pteIsNone(after) && !pteIsNone(before) ? pte : NO_ENTRY;
  if (!pteIsNone(before) || pteIsNone(after) || putBack || mayFill(mm, vpn, record)) return;
  sink({
    ...simple(
      'lock-held',
      `the empty entry of ${describePlace(task.heap, mm, vpn)} is filled without the mmap lock and without the VMA's`,
      'entry filled without mmap lock or VMA lock',
    ),
    evidence: [describePte(after)],
  });
}

function mayFill(mm: MmPtr, vpn: Vpn, { mmapLocks, vmaLocks }: TaskRecord): boolean {
  if (mmapLocks.has(mm)) return true;
  for (const locked of vmaLocks.values()) {
    if (locked.mm === mm && locked.start <= vpn && vpn < locked.end) return true;
  }
  return false;
}

/** Invariant 2, an entry changes: what it shows from now on was counted before. */
export function followEntry(heap: Heap, before: PteVal, after: PteVal, record: TaskRecord, sink: ViolationSink): void {
  const from = pageShown(heap, before);
  const to = pageShown(heap, after);
  if (from === to) return;
  if (from !== NO_PAGE) addUnshown(record, from, 1);
  if (to !== NO_PAGE && addUnshown(record, to, -1) < 0) owe(heap, record, to, 'shown before it was counted', sink);
}

/** Invariant 2, the mapcount has changed by `delta`: what it does not count any more, no entry of this task's shows. */
export function followMapcount(heap: Heap, pfn: Pfn, delta: number, record: TaskRecord, sink: ViolationSink): void {
  if (addUnshown(record, pfn, delta) < 0) owe(heap, record, pfn, 'counted off before its entry went', sink);
}

/** Invariant 2, no ptl can be held (the task is about to sleep): every mapping that it counted has its entry. */
export function checkAllShown(heap: Heap, { unshown }: TaskRecord, sink: ViolationSink): void {
  for (const pfn of unshown.keys()) {
    sink({
      ...simple(
        'count-mismatch',
        `pfn ${pfn} counts a mapping that no entry shows`,
        'mapping counted without an entry',
      ),
      evidence: [describePage(heap, pfn)],
    });
  }
  unshown.clear();
}

function owe(heap: Heap, record: TaskRecord, pfn: Pfn, what: string, sink: ViolationSink): void {
  record.unshown.delete(pfn);
  sink({
    ...simple('count-mismatch', `a mapping of pfn ${pfn} is ${what}`, `mapping ${what}`),
    evidence: [describePage(heap, pfn)],
  });
}

const NO_PAGE = 0 as Pfn;

/** The page that a present entry shows, if it is one that is counted. */
function pageShown(heap: Heap, entry: PteVal): Pfn {
  if (!pteIsPresent(entry)) return NO_PAGE;
  const pfn = ptePfn(entry);
  return pfn === zeroPfn(heap) || pfn > nrFrames(heap) ? NO_PAGE : pfn;
}

function addUnshown({ unshown }: TaskRecord, pfn: Pfn, delta: number): number {
  const sum = (unshown.get(pfn) ?? 0) + delta;
  if (sum === 0) unshown.delete(pfn);
  else unshown.set(pfn, sum);
  return sum;
}
