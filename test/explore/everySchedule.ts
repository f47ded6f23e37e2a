/** Tries every schedule of a small program, depth first: the oracle's strategy, nothing is pruned. */
import type { SchedulerView, Strategy } from '../../src/explore/strategy.ts';
import { countTasks, nthTask } from '../../src/explore/strategy.ts';

export class EverySchedule implements Strategy {
  readonly name = 'every schedule';
  /** True once all have been tried. */
  complete = false;
  /** Alternatives of each decision of this execution, and which was taken. */
  private readonly options: number[] = [];
  private readonly taken: number[] = [];
  private depth = 0;

  begin(execution: number): boolean {
    this.depth = 0;
    if (execution === 0) return true;
    while (this.taken.length > 0) {
      const last = this.taken.length - 1;
      this.taken[last]++;
      if (this.taken[last] < this.options[last]) return true;
      this.taken.pop();
      this.options.pop();
    }
    this.complete = true;
    return false;
  }

  choose(view: SchedulerView): number {
    view.budget = 0;
    return nthTask(view.runnable, this.decide(countTasks(view.runnable)));
  }

  pick(_view: SchedulerView, options: number): number {
    return this.decide(options);
  }

  end(): void {
    // What comes next is decided when it begins.
  }

  private decide(options: number): number {
    const { depth } = this;
    if (depth === this.taken.length) {
      this.taken.push(0);
      this.options.push(options);
    }
    this.depth++;
    return this.taken[depth];
  }
}
