/**
 * Two tasks stand still, one inside the other's pause: the first runs some steps, then the second runs some, then the first
 * runs to its end or until it must wait, then everybody else. Who and how far is drawn, from lengths that are measured.
 */

import { Prng } from '../base/prng.ts';
import { drawFault } from './faults.ts';
import { LONGEST_RUN, StepCounts } from './stepCounts.ts';
import type { SchedulerView, Strategy } from './strategy.ts';

export interface PreemptTwiceOptions {
  readonly seed?: number;
  /** The two tasks, in order; drawn by default. */
  readonly tasks?: readonly [number, number];
}

class PreemptTwice implements Strategy {
  readonly name = 'preempt-twice';
  private readonly seed: number;
  private readonly pair: readonly [number, number] | undefined;
  private readonly counts = new StepCounts();
  private readonly prng: Prng;
  /** Tasks whose turns are left, and how many steps each may have made when its turn ends. */
  private readonly turns = [0, 0];
  private readonly until = [0, 0];
  private turn = 0;

  constructor({ seed = 0, tasks }: PreemptTwiceOptions) {
    this.seed = seed;
    this.pair = tasks;
    this.prng = Prng.fromSeed(seed);
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.prng.reseed(this.seed, execution);
    this.counts.begin(view);
    const first = this.pair?.[0] ?? this.prng.below(view.tasks);
    const second = this.pair?.[1] ?? (first + 1 + this.prng.below(Math.max(1, view.tasks - 1))) % view.tasks;
    this.turns[0] = first;
    this.turns[1] = second;
    for (let i = 0; i < 2; i++)
      this.until[i] = this.prng.below(Math.ceil(this.counts.expected[this.turns[i]] ?? 0) + 1);
    this.turn = 0;
    return true;
  }

  choose(view: SchedulerView): number {
    this.counts.add(view);
    const runnable = this.counts.fair(view);
    for (; this.turn < 2; this.turn++) {
      const task = this.turns[this.turn];
      const left = this.until[this.turn] - this.counts.made[task];
      if (left > 0 && (runnable & (1 << task)) !== 0) {
        view.budget = left - 1;
        return task;
      }
    }
    view.budget = LONGEST_RUN;
    const [first, second] = this.turns;
    if ((runnable & (1 << first)) !== 0) return first;
    const others = runnable & ~(1 << second) || runnable;
    return 31 - Math.clz32(others & -others);
  }

  pick(_view: SchedulerView, options: number): number {
    return drawFault(this.prng, options);
  }

  end(view: SchedulerView): void {
    this.counts.end(view);
  }
}

/** Preempts two tasks, one inside the other's pause. */
export function preemptTwiceStrategy(options: PreemptTwiceOptions = {}): Strategy {
  return new PreemptTwice(options);
}
