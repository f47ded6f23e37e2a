/**
 * Partial-order sampling: each step has a random priority, and the highest one that can be made next is. When a step was
 * made, those that conflict with it draw anew, so that each order of two conflicting steps is about as likely as the other,
 * however many other steps there are.
 *
 * What a step will touch is known only once it was made; it is taken to touch what the same step of the same task touched
 * in the execution before.
 */

import { Prng } from '../base/prng.ts';
import { L, LOG_ENTRY, WRITING } from '../instrument/runtime.ts';
import { drawFault } from './faults.ts';
import { StepCounts } from './stepCounts.ts';
import type { SchedulerView, Strategy } from './strategy.ts';

class PartialOrderSampling implements Strategy {
  readonly name = 'pos';
  private readonly seed: number;
  private readonly counts = new StepCounts();
  private readonly prng: Prng;
  private readonly priorities: number[] = [];
  /** Per task and step, in the execution before: the word it touched, negated (less one) if only read. */
  private readonly touched: number[][] = [];

  constructor(seed: number) {
    this.seed = seed;
    this.prng = Prng.fromSeed(seed);
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.prng.reseed(this.seed, execution);
    this.counts.begin(view);
    for (let task = 0; task < view.tasks; task++) {
      this.priorities[task] = this.prng.next32();
      this.touched[task] ??= [];
    }
    return true;
  }

  choose(view: SchedulerView): number {
    this.learn(view);
    view.budget = 0;
    let best = -1;
    for (let rest = view.runnable; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      if (best < 0 || this.priorities[task] > this.priorities[best]) best = task;
    }
    return best;
  }

  pick(_view: SchedulerView, options: number): number {
    return drawFault(this.prng, options);
  }

  end(view: SchedulerView): void {
    this.learn(view);
  }

  /** Draws anew for the task that made a step, and for those whose next step conflicts with it. */
  private learn(view: SchedulerView): void {
    const { current } = view;
    if (current >= 0) {
      const step = this.counts.made[current];
      for (let i = 0; i < L.used; i += LOG_ENTRY.words) {
        const at = L.words[i + LOG_ENTRY.at];
        const writes = ((1 << L.words[i + LOG_ENTRY.kind]) & WRITING) !== 0;
        this.touched[current][step] = writes ? at : -at - 1;
        this.drawConflicting(view, at, writes);
      }
      this.priorities[current] = this.prng.next32();
    }
    this.counts.add(view);
  }

  private drawConflicting({ tasks, current }: SchedulerView, at: number, writes: boolean): void {
    for (let task = 0; task < tasks; task++) {
      if (task === current) continue;
      const expected = this.touched[task][this.counts.made[task]];
      if (expected === at || (writes && expected === -at - 1)) this.priorities[task] = this.prng.next32();
    }
  }
}

/** Partial-order sampling of a seed. */
export function posStrategy(seed: number): Strategy {
  return new PartialOrderSampling(seed);
}
