/**
 * Judges the end of an execution: nothing may be wrong with a machine on which nothing runs, and nothing may be left once
 * every process has exited.
 *
 * All of that follows from the words of the arena alone, and thousands of executions share a few ends: one that was judged
 * before and found faultless is not judged again.
 */

import { arenaHash, type ArenaPart } from '../../src/arena/arenaHash.ts';
import { HEADER } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkLeaks } from '../../src/check/leaks.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import { liveMms } from '../../src/check/view.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { ViolationSink } from '../../src/explore/world.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { mmput } from '../../src/mm/mmStruct.ts';

/** Ends remembered at most: a program with more of them is judged every time from then on. */
const MAX_KNOWN = 100_000;

export class Endings {
  private readonly known = new Set<number>();
  private parts: readonly ArenaPart[] | null = null;

  /** True if an end with exactly these contents was faultless. */
  isKnown(end: number): boolean {
    return this.known.has(end);
  }

  add(end: number): void {
    if (this.known.size < MAX_KNOWN) this.known.add(end);
  }

  /** What identifies the end: everything but lockdep's section and the tasks' own words, which are dead by now. */
  endOf(heap: Heap): number {
    this.parts ??= judgedParts(heap);
    return arenaHash(heap, this.parts);
  }
}

function judgedParts(heap: Heap): ArenaPart[] {
  const tasks = heap[HEADER.taskBase];
  const lockdep = heap[HEADER.lockdepBase];
  return [
    { from: 0, to: tasks },
    { from: tasks + heap[HEADER.cpus] * heap[HEADER.taskStride], to: lockdep },
    { from: lockdep + heap[HEADER.lockdepWords], to: heap.length },
  ];
}

/** Judges the end. @param task one that ran nothing, without lockdep: what it does next follows from the arena alone */
export function judgeEnd(task: Task, endings: Endings, sink: ViolationSink): Sim<void> {
  const { heap } = task;
  rcuBarrier(task);
  const end = endings.endOf(heap);
  if (endings.isKnown(end)) return;
  let faults = 0;
  const note: ViolationSink = (violation) => {
    faults++;
    sink(violation);
  };
  const found = checkQuiescent(heap);
  for (const violation of found) note(violation);
  if (faults > 0) return;
  const mms = liveMms(heap);
  for (const mm of mms) mmput(task, mm);
  rcuBarrier(task);
  const left = checkLeaks(heap);
  for (const violation of left) note(violation);
  if (faults === 0) endings.add(end);
}
