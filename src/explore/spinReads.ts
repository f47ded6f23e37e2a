/**
 * What spin loops wait for. A task that relaxes has read some words since it relaxed before; until another task writes
 * one of them its next round would see what this one saw, so it need not run.
 *
 * Few words are kept per task; a round that read more is taken to concern every write.
 */

import { ACCESS, L, LOG_ENTRY, WRITING } from '../instrument/runtime.ts';

const KEPT = 16;

export class SpinReads {
  /** Words read in the round that goes on, per task; then those of the round that ended in a relax. */
  private readonly round: Int32Array;
  private readonly counts: Int32Array;
  private readonly waits: Int32Array;
  private readonly waitCounts: Int32Array;

  constructor(tasks: number) {
    this.round = new Int32Array(tasks * KEPT);
    this.counts = new Int32Array(tasks);
    this.waits = new Int32Array(tasks * KEPT);
    this.waitCounts = new Int32Array(tasks);
  }

  /** A new execution. */
  clear(): void {
    this.counts.fill(0);
  }

  /** Notes what the log says `task` has read. */
  add(task: number): void {
    let count = this.counts[task];
    if (count > KEPT) return;
    const { words, used } = L;
    for (let i = 0; i < used; i += LOG_ENTRY.words) {
      const kind = words[i + LOG_ENTRY.kind];
      if ((((1 << kind) & WRITING) !== 0 && kind !== ACCESS.rmw) || kind === ACCESS.extent) continue;
      if (count < KEPT) this.round[task * KEPT + count] = words[i + LOG_ENTRY.at];
      count++;
    }
    this.counts[task] = count;
  }

  /** The round of `task` ended: what it read is what it waits for. */
  relax(task: number): void {
    const first = task * KEPT;
    this.waitCounts[task] = this.counts[task];
    this.waits.set(this.round.subarray(first, first + KEPT), first);
    this.counts[task] = 0;
  }

  /** True if the log holds a write to a word that `task` waits for. */
  isConcerned(task: number): boolean {
    const count = this.waitCounts[task];
    const { words, used } = L;
    for (let i = 0; i < used; i += LOG_ENTRY.words) {
      if (((1 << words[i + LOG_ENTRY.kind]) & WRITING) === 0) continue;
      if (count > KEPT || this.waitsFor(task, count, words[i + LOG_ENTRY.at])) return true;
    }
    return false;
  }

  private waitsFor(task: number, count: number, at: number): boolean {
    for (let i = task * KEPT; i < task * KEPT + count; i++) if (this.waits[i] === at) return true;
    return false;
  }
}
