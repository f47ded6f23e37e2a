/** Runs one program again and again, looking for the finding it is known to have, and keeps count. */

import { findingId, type Violation } from '../base/finding.ts';
import type { Program } from './explore.ts';
import { Runner, type RunnerOptions } from './runner.ts';
import type { Schedule } from './schedule.ts';
import { SegmentStrategy, segmentsOf, type Effort, type Picks, type Segment, type Touched } from './segmentStrategy.ts';
import { PickRecorder } from './pickRecorder.ts';
import type { Strategy } from './strategy.ts';
import type { World } from './world.ts';

/** An execution that has the finding. */
export interface Failing {
  readonly segments: readonly Segment[];
  readonly picks: Picks;
  readonly effort: Effort;
  readonly schedule: Schedule;
  readonly violations: readonly Violation[];
}

/** Executions that may still be run; shared by all searches of one reduction. */
export interface Budget {
  left: number;
}

/** Negative if `a` is the simpler one: preemptions first, then switches, then steps. */
export function compareEffort(a: Effort, b: Effort): number {
  return a.preemptions - b.preemptions || a.switches - b.switches || a.steps - b.steps;
}

export class FailureSearch<T, W extends World<T>> {
  readonly threads: number;
  readonly tasks: number;
  private readonly runner: Runner<T, W>;
  private readonly wanted: string;
  private readonly budget: Budget;

  /** @param wanted id of the finding: any other failure is none */
  constructor(program: Program<T, W>, wanted: string, budget: Budget, options: RunnerOptions) {
    this.threads = program.threads.length;
    this.tasks = (this.threads + (program.daemons?.length ?? 0)) * (options.memory === 'tso' ? 2 : 1);
    this.runner = new Runner(program, options);
    this.wanted = wanted;
    this.budget = budget;
  }

  get isExhausted(): boolean {
    return this.budget.left <= 0;
  }

  /**
   * Runs the segments, if an execution is left.
   * @returns what failed, with the segments that really ran; null when the finding did not show
   */
  attempt(segments: readonly Segment[], picks: Picks, touched: Touched[] | null = null): Failing | null {
    if (this.isExhausted) return null;
    this.budget.left--;
    const strategy = new SegmentStrategy(segments, picks, this.threads, touched);
    const { violations, schedule } = this.runner.run(strategy);
    if (!this.isWanted(violations)) return null;
    return { segments: segmentsOf(schedule), picks: strategy.picked, effort: strategy.effort, schedule, violations };
  }

  /**
   * Runs executions of a strategy, at most so many and no more than are left.
   * @returns the first one with the finding; null when there was none
   */
  explore(strategy: Strategy, executions: number): Failing | null {
    const recorder = new PickRecorder(strategy);
    for (let index = 0; index < executions && !this.isExhausted; index++) {
      const outcome = this.runner.runNext(recorder, index);
      if (outcome === null) return null;
      this.budget.left--;
      // Once more, which says what it took.
      if (this.isWanted(outcome.violations)) return this.attempt(segmentsOf(outcome.schedule), recorder.picked);
    }
    return null;
  }

  private isWanted(violations: readonly Violation[]): boolean {
    return violations.some((violation) => findingId(violation) === this.wanted);
  }

  /** The steps of each task, by its own count, at which it touches a word that another one touches too and one writes. */
  meetingPoints(touched: readonly Touched[]): number[][] {
    const readers = new Map<number, number>();
    const writers = new Map<number, number>();
    for (const { task, at, write } of touched) {
      readers.set(at, (readers.get(at) ?? 0) | (1 << task));
      if (write) writers.set(at, (writers.get(at) ?? 0) | (1 << task));
    }
    const points = Array.from({ length: this.tasks }, () => new Set<number>());
    for (const { task, at, step } of touched) {
      const all = readers.get(at) ?? 0;
      if ((writers.get(at) ?? 0) !== 0 && (all & (all - 1)) !== 0) points[task].add(step);
    }
    return points.map((steps) => [...steps].sort((a, b) => a - b));
  }
}
