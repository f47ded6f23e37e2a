/** Does what another strategy says, and keeps what it picked with the task that asked for it. */

import type { SchedulerView, Strategy } from './strategy.ts';

export class PickRecorder implements Strategy {
  readonly name = 'pick recorder';
  /** Picks of the execution that ran last, by task. */
  picked: number[][] = [];
  private readonly inner: Strategy;
  private running = 0;

  constructor(inner: Strategy) {
    this.inner = inner;
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.picked = Array.from({ length: view.tasks }, () => []);
    return this.inner.begin(execution, view);
  }

  choose(view: SchedulerView): number {
    return (this.running = this.inner.choose(view));
  }

  pick(view: SchedulerView, options: number): number {
    const picked = this.inner.pick?.(view, options) ?? 0;
    this.picked[this.running].push(picked);
    return picked;
  }

  end(view: SchedulerView, failed: boolean): void {
    this.inner.end(view, failed);
  }
}
