/**
 * One task stands still behind its first, second, ... step while the others run as far as they can; then it goes on. A fair
 * scheduler hardly ever does that, and a window of a few steps that must stay open across a whole operation of another
 * task needs it.
 *
 * The first round lets the others run in order. In each further round their order is drawn, some of them run before the
 * victim begins, and faults happen.
 */

import { Prng } from '../base/prng.ts';
import { drawFault } from './faults.ts';
import { LONGEST_RUN, StepCounts } from './stepCounts.ts';
import type { Coverage, SchedulerView, Strategy } from './strategy.ts';

export interface StallOptions {
  readonly seed?: number;
  /** Rounds through all tasks and points; 1 by default. */
  readonly rounds?: number;
  /** The one task that stalls; each in turn by default. */
  readonly victim?: number;
}

class StallStrategy implements Strategy {
  readonly name = 'stall';
  private readonly rounds: number;
  private readonly seed: number;
  private readonly only: number | undefined;
  private readonly counts = new StepCounts();
  private readonly prng: Prng;
  private round = 0;
  private victim: number;
  /** Steps behind which the victim stands still in this execution. */
  private point = -1;
  private finished = false;
  /** Rank of each task: the lower, the sooner. Tasks with a negative one run before the victim. */
  private readonly ranks: number[] = [];

  constructor({ seed = 0, rounds = 1, victim }: StallOptions) {
    this.seed = seed;
    this.rounds = rounds;
    this.only = victim;
    this.victim = victim ?? 0;
    this.prng = Prng.fromSeed(seed);
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.point++;
    // The victim was over before it came to its point.
    if (execution > 0 && this.counts.made[this.victim] < this.point) this.nextVictim(view.tasks);
    if (this.round >= this.rounds) {
      this.finished = true;
      return false;
    }
    this.prng.reseed(this.seed, execution);
    this.counts.begin(view);
    this.rank(view.tasks);
    return true;
  }

  choose(view: SchedulerView): number {
    this.counts.add(view);
    const runnable = this.counts.fair(view);
    view.budget = LONGEST_RUN;
    const { victim, point } = this;
    const others = runnable & ~(1 << victim);
    const left = point - this.counts.made[victim];
    if (left > 0 && (runnable & (1 << victim)) !== 0) {
      const first = this.best(others);
      if (first >= 0 && this.ranks[first] < 0) return first;
      view.budget = left - 1;
      return victim;
    }
    return others === 0 ? victim : this.best(others);
  }

  pick(_view: SchedulerView, options: number): number {
    return this.round === 0 ? 0 : drawFault(this.prng, options);
  }

  end(view: SchedulerView): void {
    this.counts.end(view);
  }

  coverage(): Coverage {
    if (this.rounds > 1) return { verdict: 'sampled' };
    return { verdict: this.finished ? 'proved' : 'cut', bound: 'one preemption, the others in order' };
  }

  private nextVictim(tasks: number): void {
    this.point = 0;
    this.victim++;
    if (this.only === undefined && this.victim < tasks) return;
    this.victim = this.only ?? 0;
    this.round++;
  }

  private rank(tasks: number): void {
    const drawn = this.round > 0;
    for (let task = 0; task < tasks; task++) this.ranks[task] = drawn ? this.prng.below(1000) - 250 : task;
  }

  private best(tasks: number): number {
    let best = -1;
    for (let rest = tasks; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      if (best < 0 || this.ranks[task] < this.ranks[best]) best = task;
    }
    return best;
  }
}

/** Stalls every task at every point. */
export function stallStrategy(options: StallOptions = {}): Strategy {
  return new StallStrategy(options);
}
