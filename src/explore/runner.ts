/** A program that is set up once and run under one strategy after the other: what replays and the minimiser need. */

import type { Violation } from '../base/finding.ts';
import { prepare, runAndJudge, type Memory, type Prepared, type Program } from './explore.ts';
import type { Schedule } from './schedule.ts';
import type { SchedulerView, Strategy } from './strategy.ts';
import type { Verdict, World } from './world.ts';

/** One execution. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly violations: readonly Violation[];
  /** What really ran. */
  readonly schedule: Schedule;
  readonly steps: number;
  /** What was thrown, when the verdict is `assertion` or `crash`. */
  readonly thrown: unknown;
}

export interface RunnerOptions {
  readonly maxSteps?: number | undefined;
  readonly memory?: Memory | undefined;
}

/** The memory that a schedule was made under: with store buffers it has a task for each of them. */
export function memoryOf<T, W extends World<T>>({ threads, daemons = [] }: Program<T, W>, { tasks }: Schedule): Memory {
  return tasks > threads.length + daemons.length ? 'tso' : 'sc';
}

/** Does what another strategy says, which can be exchanged between executions. */
class Delegate implements Strategy {
  readonly name = 'delegate';
  inner: Strategy | null = null;

  begin(execution: number, view: SchedulerView): boolean {
    return this.inner!.begin(execution, view);
  }

  choose(view: SchedulerView): number {
    return this.inner!.choose(view);
  }

  pick(view: SchedulerView, options: number): number {
    return this.inner!.pick?.(view, options) ?? 0;
  }

  end(view: SchedulerView, failed: boolean): void {
    this.inner!.end(view, failed);
  }
}

export class Runner<T, W extends World<T>> {
  private readonly prepared: Prepared<T, W>;
  private readonly strategy = new Delegate();

  constructor(program: Program<T, W>, { maxSteps, memory }: RunnerOptions = {}) {
    this.prepared = prepare(program, this.strategy, maxSteps, memory);
  }

  get world(): W {
    return this.prepared.world;
  }

  /** One execution, the first one of `strategy`. */
  run(strategy: Strategy): Outcome {
    return this.runNext(strategy, 0)!;
  }

  /** Execution number `index` of `strategy`, which had all before it; null when the strategy has none left. */
  runNext(strategy: Strategy, index: number): Outcome | null {
    const { execution, judge } = this.prepared;
    const { view } = execution;
    this.strategy.inner = strategy;
    if (!strategy.begin(index, view)) return null;
    const verdict = runAndJudge(execution, judge);
    strategy.end(view, verdict !== 'done' && verdict !== 'pruned');
    const { violations, recorder, thrown } = execution;
    return { verdict, violations, schedule: recorder.schedule(view.tasks), steps: view.steps, thrown };
  }
}
