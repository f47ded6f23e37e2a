/**
 * Uniform random walk: a task is chosen in proportion to the steps it still has to make. If these are known, every
 * interleaving is equally likely, also those in which a long task runs far before a short one, which a walk that tosses a
 * fair coin at each point hardly ever reaches. They are measured in the first executions.
 *
 * The last step of a task, behind its last access, touches nothing: it has no weight and is made at once. A task that
 * runs longer than expected weighs as much as one step.
 */

import { Prng } from '../base/prng.ts';
import { drawFault } from './faults.ts';
import { StepCounts } from './stepCounts.ts';
import { ASKED, UNLIMITED, type SchedulerView, type Strategy } from './strategy.ts';

class UniformRandomWalk implements Strategy {
  readonly name = 'urw';
  private readonly seed: number;
  private readonly counts = new StepCounts();
  private readonly prng: Prng;
  /** Weight of each task in this execution: what it has left. */
  private readonly weights: number[] = [];
  private isTrial = true;
  /** The last run ended because another task was drawn. */
  private isOut = false;

  constructor(seed: number) {
    this.seed = seed;
    this.prng = Prng.fromSeed(seed);
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.prng.reseed(this.seed, execution);
    this.counts.begin(view);
    const { expected } = this.counts;
    this.isTrial = expected.length === 0;
    return true;
  }

  choose(view: SchedulerView): number {
    this.counts.add(view);
    const { runnable } = view;
    if ((runnable & (runnable - 1)) === 0) {
      view.budget = UNLIMITED;
      return 31 - Math.clz32(runnable);
    }
    const drawn = this.isOut && view.reason === ASKED.point ? runnable & ~(1 << view.current) : runnable;
    let total = 0;
    let left = 0;
    for (let rest = runnable; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      const weight = this.weigh(task);
      if (weight === 0) {
        view.budget = 0;
        return task;
      }
      this.weights[task] = weight;
      total += weight;
      if ((drawn & (1 << task)) !== 0) left += weight;
    }
    const task = this.draw(drawn, left);
    view.budget = this.runLength(task, total) - 1;
    return task;
  }

  pick(_view: SchedulerView, options: number): number {
    return drawFault(this.prng, options);
  }

  end(view: SchedulerView): void {
    this.counts.end(view);
  }

  /** Accesses a task has left; 0 if only its last step, the one without, is left. */
  private weigh(task: number): number {
    if (this.isTrial) return 1;
    const left = Math.round(this.counts.expected[task]) - 1 - this.counts.made[task];
    return left < 0 ? 1 : left;
  }

  private draw(tasks: number, total: number): number {
    let at = this.prng.below(total);
    let task = 0;
    for (let rest = tasks; rest !== 0; rest &= rest - 1) {
      task = 31 - Math.clz32(rest & -rest);
      at -= this.weights[task];
      if (at < 0) break;
    }
    return task;
  }

  /** How often in a row a task is drawn. @param total weight of all */
  private runLength(task: number, total: number): number {
    let left = this.weights[task];
    let all = total;
    let steps = 0;
    do {
      steps++;
      if (this.isTrial) continue;
      left--;
      all--;
    } while (left > 0 && this.prng.below(all) < left);
    this.isOut = left > 0;
    // Behind the last access only the step is left that touches nothing.
    return left === 0 ? steps + 1 : steps;
  }
}

/** The uniform random walk of a seed (any safe integer). */
export function urwStrategy(seed: number): Strategy {
  return new UniformRandomWalk(seed);
}
