/**
 * Several strategies in turn, because none is best at every bug: first a block of uniform random walks, which finds what
 * most interleavings show; then all of them mixed, of which those that let a task stand still find windows of a few steps
 * that must stay open across a whole operation of another task.
 */

import type { Coverage, SchedulerView, Strategy } from './strategy.ts';

/** A strategy of a mix, and how many executions it has each time it is its turn. */
export interface Share {
  readonly strategy: Strategy;
  readonly executions: number;
}

class MixedStrategy implements Strategy {
  readonly name = 'mixed';
  private readonly shares: readonly Share[];
  /** Executions that each strategy has had; less than 0 when it has no more. */
  private readonly done: number[];
  private active = 0;
  private left: number;

  constructor(first: number, shares: readonly Share[]) {
    this.shares = shares;
    this.done = shares.map(() => 0);
    this.left = first;
  }

  begin(_execution: number, view: SchedulerView): boolean {
    for (let tries = 0; tries <= this.shares.length; tries++) {
      if (this.left > 0 && this.done[this.active] >= 0) {
        this.left--;
        if (this.shares[this.active].strategy.begin(this.done[this.active]++, view)) return true;
        this.done[this.active] = -1;
      }
      this.active = (this.active + 1) % this.shares.length;
      this.left = this.shares[this.active].executions;
    }
    return false;
  }

  choose(view: SchedulerView): number {
    return this.shares[this.active].strategy.choose(view);
  }

  pick(view: SchedulerView, options: number): number {
    return this.shares[this.active].strategy.pick?.(view, options) ?? 0;
  }

  end(view: SchedulerView, failed: boolean): void {
    this.shares[this.active].strategy.end(view, failed);
  }

  coverage(): Coverage {
    const parts = this.shares.map(({ strategy }) => strategy.coverage?.());
    const missProbability = parts.flatMap((part) => part?.missProbability ?? []);
    return { verdict: 'sampled', ...(missProbability.length > 0 && { missProbability }) };
  }
}

/** A mix. @param first executions of the first strategy before the others join */
export function mixedStrategy(first: number, shares: readonly Share[]): Strategy {
  return new MixedStrategy(first, shares);
}
