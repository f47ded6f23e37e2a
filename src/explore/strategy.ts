/**
 * Who decides which task runs next. One file per strategy; the execution asks and obeys.
 *
 * A strategy is asked at the start and whenever the task that ran used up its budget, sleeps, finished, or changed who is
 * able to run. It names a task and the number of further points that task may pass without asking again: a strategy that
 * wants every point says 0, one that wants a run of n steps says n - 1.
 */

/** Why the strategy is asked. */
export const ASKED = {
  start: 0,
  /** The task used up its budget and could go on. */
  point: 1,
  parked: 2,
  finished: 3,
  /** The task waits in a spin or retry loop: it is not runnable until another one has made a step. */
  relaxed: 4,
  /** The task woke others, or wrote what others wait for: who can run has changed. */
  woke: 5,
} as const;

/** What a strategy sees, and where it puts its budget. One object for the whole exploration. */
export class SchedulerView {
  /** A bit per task that can run; never empty when the strategy is asked. */
  runnable = 0;
  /** The task that ran last, -1 at the start. */
  current = -1;
  /** One of ASKED. */
  reason: number = ASKED.start;
  /** Steps made in this execution. */
  steps = 0;
  /** Number of tasks of the program. */
  tasks = 0;
  /** Set by the strategy: points the chosen task may pass without asking. */
  budget = 0;
  /** A bit per task that waits for a word to be free; and which word, and whether others may share it, per task. */
  awaiting = 0;
  awaited: { at: number; shared: boolean }[] = [];
  /** Steps made before the resume that ended last, and the budget it was given. */
  firstStep = 0;
  granted = 0;
}

/**
 * What the executions of a strategy say about a program in which they found nothing.
 *
 *   proved   every schedule was run, or one of each set of equivalent ones; within `bound`, if there is one
 *   cut      the strategy would run every schedule, but was stopped before it had run those within any bound
 *   sampled  a sample was run
 */
export interface Coverage {
  readonly verdict: 'proved' | 'cut' | 'sampled';
  /** Proved only within this: `2 preemptions`. */
  readonly bound?: string | undefined;
  /** Share that was run of the search that was stopped, if all its branches are about equally large. */
  readonly share?: number | undefined;
  /** Chance that a bug of a given depth (number of ordering constraints it needs) was missed, where that is known. */
  readonly missProbability?: readonly MissProbability[] | undefined;
}

export interface MissProbability {
  readonly depth: number;
  /** At most this. */
  readonly probability: number;
}

export interface Strategy {
  readonly name: string;
  /** A new execution begins. @returns false when there is nothing left to explore */
  begin(execution: number, view: SchedulerView): boolean;
  /** The task to run next: one of `view.runnable`; -1 to give the execution up. Sets `view.budget`. */
  choose(view: SchedulerView): number;
  /** One of `options`, from 0, for a choice that is no scheduling point; 0, which is what a strategy without picks, means that nothing goes wrong. */
  pick?(view: SchedulerView, options: number): number;
  /** The execution is over. `failed`: it ended with any verdict but `done`. */
  end(view: SchedulerView, failed: boolean): void;
  /** What may be said after the executions so far; a sample without it. */
  coverage?(): Coverage;
}

/** A budget that only a change of who can run ends. */
export const UNLIMITED = 0x3fff_ffff;

/** Number of tasks in a set. */
export function countTasks(tasks: number): number {
  let count = 0;
  for (let rest = tasks; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** The task number `index`, from 0, of a set. */
export function nthTask(tasks: number, index: number): number {
  let rest = tasks;
  for (let i = index; i > 0; i--) rest &= rest - 1;
  return 31 - Math.clz32(rest & -rest);
}
