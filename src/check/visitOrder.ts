/**
 * The order in which rmap walks visit two VMAs, where correctness hangs on it: fork's child comes after the parent (30),
 * mremap's new VMA after the old one unless the rmap lock is held (31). A walk that has passed the first place when something
 * is copied or moved then still comes to the second.
 *
 * The order is that of the keys in the tree's nodes: first page offset, then stamp of insertion. The nodes' other words may
 * change under our eyes, when walks' trees are rebalanced for other VMAs; those of the two VMAs may not, for both are
 * write-locked and the mmap lock is held for write.
 */

import type { Heap } from '../arena/heap.ts';
import type { Task } from '../cpu/task.ts';
import { AVC } from '../layout/anonVma.ts';
import type { AvcPtr, VmaPtr } from '../layout/ids.ts';
import { VMA } from '../layout/vma.ts';
import { describeVma } from './describe.ts';
import { holdsAnonVmaForWrite } from './fieldGuards.ts';
import { avcsOf } from './view.ts';
import { simple, type ViolationSink } from './violation.ts';

/** Invariant 30: fork is about to copy entries of `parent` to `child`. @locked both mmapLocks(write), the parent's VMA */
export function checkForkOrder({ heap }: Task, parent: VmaPtr, child: VmaPtr, sink: ViolationSink): void {
  const pairs = sharedEdges(heap, parent, child);
  const why = pairs.some(([, edge]) => edge === undefined || heap[edge + AVC.stamp] === 0)
    ? "is not linked to an anon_vma of the parent's"
    : pairs.some(([first, second]) => !visitedAfter(heap, first, second!))
      ? "is visited before the parent's"
      : null;
  if (why === null) return;
  const title = `fork copies entries to a VMA that ${why}`;
  sink({ ...simple('rmap-miss', title, `fork: the child's VMA ${why}`), evidence: describeBoth(heap, parent, child) });
}

/**
 * Invariant 31: entries are about to move. Whole tables move under the rmap lock whatever the order; within one VMA (exec's
 * stack) there is no order to speak of. @locked mmapLock(write), both VMAs for write
 */
export function checkMoveOrder(task: Task, from: VmaPtr, to: VmaPtr, whole: boolean, sink: ViolationSink): void {
  const { heap } = task;
  const anonVma = heap[from + VMA.anonVma];
  if (anonVma === 0 || holdsAnonVmaForWrite(task, anonVma)) return;
  const what = whole ? 'a page table moves' : 'entries move to a VMA that is visited before the old one';
  if (!whole) {
    const shared = from === to ? [] : sharedEdges(heap, from, to);
    if (shared.every(([first, second]) => second === undefined || visitedAfter(heap, first, second))) return;
  }
  const title = `mremap: ${what} without the rmap lock`;
  sink({ ...simple('lock-held', title, title), evidence: describeBoth(heap, from, to) });
}

/** Each edge of the first VMA, and that of the second to the same anon_vma. */
function sharedEdges(heap: Heap, first: VmaPtr, second: VmaPtr): [AvcPtr, AvcPtr | undefined][] {
  const others = avcsOf(heap, second);
  const anonVmaOf = (avc: AvcPtr): number => heap[avc + AVC.anonVma];
  return avcsOf(heap, first).map((avc) => [avc, others.find((other) => anonVmaOf(other) === anonVmaOf(avc))]);
}

function visitedAfter(heap: Heap, first: AvcPtr, second: AvcPtr): boolean {
  const offset = heap[second + AVC.pgoff] - heap[first + AVC.pgoff];
  return offset === 0 ? heap[second + AVC.stamp] > heap[first + AVC.stamp] : offset > 0;
}

function describeBoth(heap: Heap, first: VmaPtr, second: VmaPtr): string[] {
  return [`from ${describeVma(heap, first)}`, `to ${describeVma(heap, second)}`];
}
