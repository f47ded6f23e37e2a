/**
 * One task stands still at one of its points while all others run as far as they can: every task, every point in turn.
 * A fair scheduler hardly ever does that, and windows that stay open across a whole system call of another task need it.
 */
import { UNLIMITED, type SchedulerView, type Strategy } from '../../src/explore/strategy.ts';

export class StallStrategy implements Strategy {
  readonly name = 'stall';
  private victim = 0;
  private points = -1;
  private stall: 'ahead' | 'reached' | 'beyond' = 'ahead';

  /** The next point of the victim, or the first one of the next task. */
  begin(_execution: number, view: SchedulerView): boolean {
    this.points++;
    if (this.stall === 'beyond') {
      this.victim++;
      this.points = 0;
    }
    this.stall = 'ahead';
    return this.victim < view.tasks;
  }

  choose(view: SchedulerView): number {
    const { runnable, steps } = view;
    const victimBit = 1 << this.victim;
    if (this.stall === 'ahead' && steps < this.points && (runnable & victimBit) !== 0) {
      view.budget = this.points - steps - 1;
      return this.victim;
    }
    if (this.stall === 'ahead') this.stall = steps < this.points ? 'beyond' : 'reached';
    view.budget = UNLIMITED;
    const others = runnable & ~victimBit;
    return 31 - Math.clz32(others === 0 ? runnable : others);
  }

  end(): void {
    // What comes next follows from how far this execution got.
  }
}
