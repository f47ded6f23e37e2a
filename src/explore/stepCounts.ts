/**
 * Steps of each task: in the execution that runs, and what they come to in a whole one, learned from the executions so
 * far. Strategies that need to know how long a program is measure it in their own first executions, which thereby are
 * trial runs and executions like any other.
 */

import type { SchedulerView } from './strategy.ts';

/** After so many executions nothing is learned any more: the means are good, and a strategy may rely on them. */
const TRIALS = 32;

/**
 * Steps that a task may make in a row, while others can run, before it must stand back: a loop that waits for another task
 * without saying so (cpu_relax) would otherwise never end under a strategy that lets tasks run as far as they can.
 */
export const LONGEST_RUN = 10_000;

export class StepCounts {
  /** Steps that each task made in this execution, up to the last `add`. */
  readonly made: number[] = [];
  /** Steps of each task in a whole execution, on average; empty before the first one is over. */
  readonly expected: number[] = [];
  /** Most steps that an execution had. */
  longest = 0;
  private trials = 0;
  private seen = 0;
  private lastTask = -1;
  private row = 0;

  /** A new execution. */
  begin(view: SchedulerView): void {
    this.seen = 0;
    this.lastTask = -1;
    for (let task = 0; task < view.tasks; task++) this.made[task] = 0;
  }

  /** Counts what ran since the last call. To be called whenever the strategy is asked. */
  add(view: SchedulerView): void {
    const { steps, current } = view;
    const made = steps - this.seen;
    if (current >= 0) this.made[current] += made;
    this.row = current === this.lastTask ? this.row + made : made;
    this.lastTask = current;
    this.seen = steps;
  }

  /** Tasks that can run, but for one that has run for too long. */
  fair(view: SchedulerView): number {
    const { runnable, current } = view;
    if (this.row < LONGEST_RUN) return runnable;
    this.row = 0;
    return runnable & ~(1 << current) || runnable;
  }

  /** The execution is over: learns from it. */
  end(view: SchedulerView): void {
    this.add(view);
    if (view.steps > this.longest) this.longest = view.steps;
    if (this.trials >= TRIALS) return;
    this.trials++;
    for (let task = 0; task < view.tasks; task++) {
      const before = this.expected[task] ?? 0;
      this.expected[task] = before + (this.made[task] - before) / this.trials;
    }
  }
}
