/**
 * Runs a recorded schedule again. Where the program can no longer follow it (other code, other inputs), the first
 * difference is noted and another strategy takes over; the same happens past its end.
 */

import type { Run, Schedule } from './schedule.ts';
import type { SchedulerView, Strategy } from './strategy.ts';

export interface ReplayStrategy extends Strategy {
  /** Step at which the program left the schedule; null while it follows. Running on past the end is no difference. */
  readonly divergedAt: number | null;
}

class Replay implements ReplayStrategy {
  readonly name = 'replay';
  divergedAt: number | null = null;
  private readonly schedule: Schedule;
  private readonly beyond: Strategy;
  private next = 0;
  private nextPick = 0;
  private left = 0;
  private seenSteps = 0;

  constructor(schedule: Schedule, beyond: Strategy) {
    this.schedule = schedule;
    this.beyond = beyond;
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.divergedAt = null;
    this.next = 0;
    this.nextPick = 0;
    this.left = 0;
    this.seenSteps = 0;
    if (execution > 0) return false;
    return this.beyond.begin(execution, view);
  }

  choose(view: SchedulerView): number {
    const run = this.divergedAt === null ? this.advance(view) : undefined;
    if (run === undefined) return this.beyond.choose(view);
    if ((view.runnable & (1 << run.task)) === 0) {
      this.divergedAt = view.steps;
      return this.beyond.choose(view);
    }
    view.budget = this.left - 1;
    return run.task;
  }

  pick(view: SchedulerView, options: number): number {
    const picked = this.schedule.picks[this.nextPick++];
    if (picked !== undefined && picked < options) return picked;
    return this.beyond.pick?.(view, options) ?? 0;
  }

  end(view: SchedulerView, failed: boolean): void {
    if (this.divergedAt === null) this.advance(view);
    const isOver = this.next >= this.schedule.runs.length && this.left <= 0;
    if (!isOver && this.divergedAt === null) this.divergedAt = view.steps;
    this.beyond.end(view, failed);
  }

  /** Takes off what ran since the last call. @returns the run that goes on now, undefined past the end */
  private advance(view: SchedulerView): Run | undefined {
    this.left -= view.steps - this.seenSteps;
    this.seenSteps = view.steps;
    if (this.left <= 0 && this.next < this.schedule.runs.length) this.left = this.schedule.runs[this.next++].steps;
    return this.left > 0 ? this.schedule.runs[this.next - 1] : undefined;
  }
}

/** Replays `schedule`; `beyond` decides past its end and after a difference. */
export function replayStrategy(schedule: Schedule, beyond: Strategy): ReplayStrategy {
  return new Replay(schedule, beyond);
}
