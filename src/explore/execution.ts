/**
 * One execution after the other: coroutines over one world, resumed as the strategy says.
 *
 * Everything is kept from one execution to the next and nothing is allocated per step. Tasks are bits: `live` has not
 * finished; `runnable` can be chosen; `relaxed` waits in a spin loop and is runnable again once another task has made a
 * step. A task that is live and neither sleeps.
 */

import { AssertionError } from '../base/assert.ts';
import type { Violation } from '../base/finding.ts';
import { REQUEST, S, parkTask, startSim, type Coroutine } from '../instrument/runtime.ts';
import { ScheduleRecorder } from './schedule.ts';
import { ASKED, SchedulerView, type Strategy } from './strategy.ts';
import { describeDeadlock, describeLivelock, describeThrown } from './stuck.ts';
import type { Thread, Verdict, World } from './world.ts';

export class Execution<T> {
  readonly recorder = new ScheduleRecorder();
  readonly view = new SchedulerView();
  /** What was found in the execution that ran last. */
  violations: Violation[] = [];
  /** What was thrown in it. */
  thrown: unknown = undefined;
  private readonly world: World<T>;
  private readonly threads: readonly Thread<T>[];
  private readonly strategy: Strategy;
  private readonly maxSteps: number;
  private readonly coroutines: Coroutine[] = [];
  /** What each task is resumed with: what it yielded. */
  private readonly values: unknown[] = [];
  private live = 0;
  private relaxed = 0;
  private granted = 0;

  constructor(world: World<T>, threads: readonly Thread<T>[], strategy: Strategy, maxSteps: number) {
    this.world = world;
    this.threads = threads;
    this.strategy = strategy;
    this.maxSteps = maxSteps;
    this.view.tasks = threads.length;
  }

  /** Takes a violation while the execution runs: the running task yields at its next point. */
  take(violation: Violation): void {
    this.violations.push(violation);
    this.granted -= S.budget;
    S.budget = 0;
  }

  /** Takes what a task, or the check at the end, threw. */
  takeThrown(error: unknown, who: string): 'assertion' | 'crash' {
    this.thrown = error;
    this.violations.push(describeThrown(error, who));
    return error instanceof AssertionError ? 'assertion' : 'crash';
  }

  /** Runs one execution to its end. */
  run(): Verdict {
    this.begin();
    const { view, strategy } = this;
    while (this.live !== 0) {
      if (view.runnable === 0) {
        if (this.relaxed === 0) return this.stuck('deadlock');
        view.runnable = this.relaxed;
        this.relaxed = 0;
      }
      if (view.steps >= this.maxSteps) return this.stuck('livelock');
      const task = strategy.choose(view);
      this.granted = Math.min(view.budget, this.maxSteps - view.steps - 1);
      S.budget = this.granted;
      let finished: boolean | undefined;
      try {
        const result = this.coroutines[task].next(this.values[task]);
        this.values[task] = result.value;
        finished = result.done;
      } catch (error) {
        this.account(task);
        return this.takeThrown(error, `task ${task + 1}`);
      }
      this.account(task);
      this.settle(task, finished === true);
      if (this.violations.length > 0) return 'violation';
    }
    return 'done';
  }

  private begin(): void {
    const { view, threads } = this;
    this.world.restore();
    if (this.violations.length > 0) this.violations = [];
    this.thrown = undefined;
    this.recorder.clear();
    S.request = REQUEST.none;
    S.parked = 0;
    S.woken = 0;
    S.clock = 0;
    for (let i = 0; i < threads.length; i++) {
      this.coroutines[i] = startSim(threads[i], this.world.task(i));
      this.values[i] = undefined;
    }
    this.live = 2 ** threads.length - 1;
    this.relaxed = 0;
    view.runnable = this.live;
    view.current = -1;
    view.reason = ASKED.start;
    view.steps = 0;
  }

  /** Counts the steps of the resume that just ended: the points passed, and the unfinished one unless it ended at a point. */
  private account(task: number): void {
    const steps = this.granted - S.budget + (S.budget < 0 ? 0 : 1);
    this.view.steps += steps;
    S.clock = this.view.steps;
    this.recorder.add(task, steps);
  }

  /** Works out who can run now. */
  private settle(task: number, finished: boolean): void {
    const { view } = this;
    const bit = 1 << task;
    view.current = task;
    view.reason = ASKED.point;
    view.runnable |= this.relaxed;
    this.relaxed = 0;
    if (finished) {
      this.live &= ~bit;
      view.runnable &= ~bit;
      view.reason = ASKED.finished;
    } else if (S.request !== REQUEST.none) {
      this.serve(task, bit);
    }
    if (S.woken !== 0) {
      view.runnable |= S.woken;
      S.woken = 0;
    }
  }

  private serve(task: number, bit: number): void {
    const { view } = this;
    if (S.request === REQUEST.park) {
      parkTask(task, S.at, view.steps);
      view.runnable &= ~bit;
      view.reason = ASKED.parked;
    } else if (S.request === REQUEST.relax) {
      this.relaxed = bit;
      view.runnable &= ~bit;
      view.reason = ASKED.relaxed;
    } else {
      view.reason = ASKED.woke;
    }
    S.request = REQUEST.none;
  }

  private stuck(verdict: 'deadlock' | 'livelock'): Verdict {
    const describe = verdict === 'deadlock' ? describeDeadlock : describeLivelock;
    this.violations.push(describe(this.world, this.live, this.view.steps));
    return verdict;
  }
}
