/**
 * Runs a list of segments: each task up to a number of its own steps. Unlike a recorded schedule it bends: a segment whose
 * task cannot go on is left, and past the end nobody is preempted. So segments can be taken out one by one, and what
 * remains still is a schedule; a task's next segment then does what the missing one did.
 *
 * What ran is counted as it is reported: a preemption is a switch away from a thread that could have gone on.
 */

import { L, LOG_ENTRY, WRITING } from '../instrument/runtime.ts';
import type { Schedule } from './schedule.ts';
import { UNLIMITED, type SchedulerView, type Strategy } from './strategy.ts';

export interface Segment {
  readonly task: number;
  /** Steps that the task has made in all when the segment ends. */
  readonly until: number;
}

/** Task runs until it cannot go on. */
export const TO_THE_END = 0x3fff_ffff;

/** Options picked, by task. */
export type Picks = readonly (readonly number[])[];

/** How long and how broken up an execution was. */
export interface Effort {
  readonly preemptions: number;
  readonly switches: number;
  readonly steps: number;
}

/** Words that each task touched, by its own step: `write` if it wrote there. */
export interface Touched {
  readonly task: number;
  readonly step: number;
  readonly at: number;
  readonly write: boolean;
}

/** The segments of a schedule. */
export function segmentsOf(schedule: Schedule): Segment[] {
  const made = new Array<number>(schedule.tasks).fill(0);
  return schedule.runs.map(({ task, steps }) => ({ task, until: (made[task] += steps) }));
}

export class SegmentStrategy implements Strategy {
  readonly name = 'segments';
  /** Picks made in the execution that ran last. */
  readonly picked: number[][];
  private readonly segments: readonly Segment[];
  private readonly picks: Picks;
  private readonly threads: number;
  private readonly touched: Touched[] | null;
  private readonly made: number[];
  private next = 0;
  private seen = 0;
  private running = 0;
  private preemptions = 0;
  private switches = 0;

  /** @param touched receives what the tasks touch */
  constructor(segments: readonly Segment[], picks: Picks, threads: number, touched: Touched[] | null = null) {
    this.segments = segments;
    this.picks = picks;
    this.threads = threads;
    this.touched = touched;
    this.made = [];
    this.picked = [];
  }

  /** Of the execution that ran last. */
  get effort(): Effort {
    return { preemptions: this.preemptions, switches: this.switches, steps: this.seen };
  }

  begin(_execution: number, view: SchedulerView): boolean {
    for (let task = 0; task < view.tasks; task++) {
      this.made[task] = 0;
      this.picked[task] = [];
    }
    return true;
  }

  choose(view: SchedulerView): number {
    this.account(view);
    const { current, runnable } = view;
    const task = this.following(view);
    if (current >= 0 && task !== current) {
      this.switches++;
      if (current < this.threads && (runnable & (1 << current)) !== 0) this.preemptions++;
    }
    this.running = task;
    return task;
  }

  pick(_view: SchedulerView, options: number): number {
    const mine = this.picked[this.running];
    const wanted = this.picks[this.running]?.[mine.length] ?? 0;
    const picked = wanted < options ? wanted : 0;
    mine.push(picked);
    return picked;
  }

  end(view: SchedulerView): void {
    this.account(view);
  }

  /** Task that runs now; sets its budget. */
  private following(view: SchedulerView): number {
    const { runnable, current } = view;
    for (; this.next < this.segments.length; this.next++) {
      const { task, until } = this.segments[this.next];
      if ((runnable & (1 << task)) === 0 || this.made[task] >= until) continue;
      view.budget = until - this.made[task] - 1;
      return task;
    }
    const threads = runnable & ((1 << this.threads) - 1);
    view.budget = threads === 0 ? 0 : UNLIMITED;
    if (current >= 0 && (threads & (1 << current)) !== 0) return current;
    const candidates = threads === 0 ? runnable : threads;
    return 31 - Math.clz32(candidates & -candidates);
  }

  private account(view: SchedulerView): void {
    const steps = view.steps - this.seen;
    if (steps === 0) return;
    this.seen = view.steps;
    const { running, touched } = this;
    if (touched !== null) this.note(touched, view.granted);
    this.made[running] += steps;
  }

  private note(touched: Touched[], granted: number): void {
    const { words, used } = L;
    const first = this.made[this.running];
    for (let i = 0; i < used; i += LOG_ENTRY.words) {
      const step = first + granted - words[i + LOG_ENTRY.budget];
      const write = ((1 << words[i + LOG_ENTRY.kind]) & WRITING) !== 0;
      touched.push({ task: this.running, step, at: words[i + LOG_ENTRY.at], write });
    }
  }
}
