/**
 * Uniform choice among the runnable tasks at every point. Execution i is drawn from stream i of the seed, so that each
 * can be repeated alone.
 *
 * Asking at every point would cost a resume per step. How often in a row the same task is chosen is geometric, so the
 * length of the whole run is drawn at once, and what follows it goes to another task: the same distribution.
 */

import { Prng } from '../base/prng.ts';
import { ASKED, UNLIMITED, countTasks, nthTask, type SchedulerView, type Strategy } from './strategy.ts';

/** How often something is made to go wrong where it may. */
const FAULT_RATE = 1 / 16;

const TWO_TO_32 = 0x1_0000_0000;

class RandomStrategy implements Strategy {
  readonly name = 'random';
  private readonly seed: number;
  private readonly prng: Prng;

  constructor(seed: number) {
    this.seed = seed;
    this.prng = Prng.fromSeed(seed);
  }

  begin(execution: number): boolean {
    this.prng.reseed(this.seed, execution);
    return true;
  }

  choose(view: SchedulerView): number {
    const { runnable, current } = view;
    if ((runnable & (runnable - 1)) === 0) {
      view.budget = UNLIMITED;
      return 31 - Math.clz32(runnable);
    }
    const count = countTasks(runnable);
    view.budget = this.runLength(count);
    if (view.reason !== ASKED.point) return nthTask(runnable, this.prng.below(count));
    const others = runnable & ~(1 << current);
    return count === 2 ? 31 - Math.clz32(others) : nthTask(others, this.prng.below(count - 1));
  }

  pick(_view: SchedulerView, options: number): number {
    return this.prng.chance(FAULT_RATE) ? 1 + this.prng.below(options - 1) : 0;
  }

  end(): void {
    // Executions are independent of each other.
  }

  /** How often one of `count` tasks is chosen again in a row. */
  private runLength(count: number): number {
    if (count === 2) return Math.clz32(this.prng.next32());
    let length = 0;
    while (this.prng.next32() * count < TWO_TO_32) length++;
    return length;
  }
}

/** The random strategy of a seed (any safe integer). */
export function randomStrategy(seed: number): Strategy {
  return new RandomStrategy(seed);
}
