/**
 * Probabilistic concurrency testing: tasks have random priorities, the highest one that can run does, and at depth - 1
 * steps drawn beforehand the running task falls behind all others. An execution of n tasks and k steps finds a bug of
 * depth d (one that d ordering constraints bring about) with a chance of at least 1 / (n * k^(d-1)).
 *
 * k is measured: the longest execution so far. The depth, unless it is given, goes through 2, 3, 2, 4, ... after the first
 * executions, which have depth 1 and show how long the program is. A task that spins falls behind too, or it would keep
 * the one it waits for from running.
 */

import { Prng } from '../base/prng.ts';
import { drawFault } from './faults.ts';
import { LONGEST_RUN, StepCounts } from './stepCounts.ts';
import { ASKED, type Coverage, type SchedulerView, type Strategy } from './strategy.ts';

const TRIALS = 4;
const DEPTHS = [2, 3, 2, 4];

class PctStrategy implements Strategy {
  readonly name = 'pct';
  private readonly seed: number;
  private readonly depth: number | undefined;
  private readonly counts = new StepCounts();
  private readonly prng: Prng;
  /** Priority of each task; the higher, the sooner. */
  private readonly priorities: number[] = [];
  private lowest = 0;
  /** Steps behind which the running task falls behind, ascending. */
  private changes: number[] = [];
  private nextChange = 0;
  private currentDepth = 1;
  private tasks = 0;
  /** Logarithm of the chance of a miss, per depth. */
  private readonly missLog: number[] = [];

  constructor(seed: number, depth: number | undefined) {
    this.seed = seed;
    this.depth = depth;
    this.prng = Prng.fromSeed(seed);
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.prng.reseed(this.seed, execution);
    this.counts.begin(view);
    this.tasks = view.tasks;
    this.currentDepth = execution < TRIALS ? 1 : (this.depth ?? DEPTHS[execution % DEPTHS.length]);
    for (let task = 0; task < view.tasks; task++) {
      const other = this.prng.below(task + 1);
      this.priorities[task] = this.priorities[other];
      this.priorities[other] = task + 1;
    }
    this.lowest = 0;
    this.nextChange = 0;
    this.changes = Array.from({ length: this.currentDepth - 1 }, () => 1 + this.prng.below(this.counts.longest));
    this.changes.sort((a, b) => a - b);
    return true;
  }

  choose(view: SchedulerView): number {
    this.counts.add(view);
    if (view.reason === ASKED.relaxed) this.demote(view.current);
    while (this.nextChange < this.changes.length && this.changes[this.nextChange] <= view.steps) {
      this.nextChange++;
      this.demote(view.current);
    }
    const change = this.changes[this.nextChange];
    view.budget = change === undefined ? LONGEST_RUN : change - view.steps - 1;
    const runnable = this.counts.fair(view);
    if (runnable !== view.runnable) this.demote(view.current);
    return this.highest(runnable);
  }

  pick(_view: SchedulerView, options: number): number {
    return drawFault(this.prng, options);
  }

  end(view: SchedulerView): void {
    this.counts.end(view);
    const depth = this.currentDepth;
    const chance = 1 / (this.tasks * Math.max(1, this.counts.longest) ** (depth - 1));
    this.missLog[depth] = (this.missLog[depth] ?? 0) + Math.log1p(-Math.min(chance, 1 - Number.EPSILON));
  }

  coverage(): Coverage {
    const missProbability = Object.entries(this.missLog).map(([depth, log]) => {
      return { depth: Number(depth), probability: Math.exp(log) };
    });
    return { verdict: 'sampled', missProbability };
  }

  private demote(task: number): void {
    if (task >= 0) this.priorities[task] = --this.lowest;
  }

  private highest(runnable: number): number {
    let best = -1;
    for (let rest = runnable; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      if (best < 0 || this.priorities[task] > this.priorities[best]) best = task;
    }
    return best;
  }
}

/** PCT of a seed. @param depth of the bugs looked for; several in turn without it */
export function pctStrategy(seed: number, depth?: number): Strategy {
  return new PctStrategy(seed, depth);
}
