/**
 * One schedule of each set of equivalent ones: dynamic partial-order reduction with source sets and sleep sets.
 *
 * Two schedules are equivalent when they differ in the order of steps only that do not depend on each other (eventTrace.ts).
 * After each execution, for every race (two dependent steps of different tasks that nothing else orders) a task is noted at
 * the place before the first of the two, that begins a schedule in which the second one comes first. A task that was run
 * from a place sleeps in what is run from there later, until a step is made that depends on its own: before that, nothing
 * new can come of it.
 *
 * A lock races with the taking of the lock before it, not with its giving back; a lock that is still waited for at the end
 * races like one that was taken. A step that touches nothing (the end of a task, a vain attempt at a lock) is no event: it is
 * repeated where it was, and nobody is tried in its place.
 *
 * With a bound on preemptions, sleep sets and source sets would rely on schedules that the bound keeps back: then every
 * task that races is tried, both before the step and before the run of its task which that step belongs to.
 */

import { pointsLeft, L, LOG_ENTRY } from '../instrument/runtime.ts';
import { DporStack } from './dporStack.ts';
import { EventTrace } from './eventTrace.ts';
import { UNLIMITED, type Coverage, type SchedulerView, type Strategy } from './strategy.ts';

export interface DporOptions {
  /** Most preemptions of a schedule; no bound without it. */
  readonly preemptions?: number | undefined;
  /** Most faults of an execution; 1 by default. */
  readonly faults?: number | undefined;
}

const DEFAULT_FAULTS = 1;

class PartialOrderReduction implements Strategy {
  readonly name = 'dpor';
  private readonly bound: number;
  private readonly faults: number;
  private readonly trace = new EventTrace();
  private readonly stack: DporStack;
  /** Next entry of the stack: behind the last one it is a new one. */
  private at = 0;
  /** Of the run that goes on: its task, who can run, whether its first step preempts; its steps and log seen so far. */
  private task = 0;
  private runnable = 0;
  private preempted = -1;
  private noted = 0;
  private logged = 0;
  private seen = 0;
  /** Entry of a step that has begun and is not over: a choice was made in it. */
  private open = -1;
  private keptBack = false;
  private faultsKeptBack = false;
  private isOver = false;
  private wasCutShort = false;
  /** First event in a reordered piece, per task. */
  private firsts = new Int32Array(1);

  constructor({ preemptions = Infinity, faults = DEFAULT_FAULTS }: DporOptions) {
    this.bound = preemptions;
    this.faults = faults;
    this.stack = new DporStack(this.trace, preemptions === Infinity);
  }

  begin(execution: number, view: SchedulerView): boolean {
    if (execution === 0) {
      this.trace.clear(view.tasks);
      this.stack.clear(view.tasks);
      this.firsts = new Int32Array(view.tasks);
      this.keptBack = false;
      this.faultsKeptBack = false;
      this.isOver = false;
      this.wasCutShort = false;
    } else if (!this.advance()) {
      this.isOver = true;
      return false;
    }
    this.at = 0;
    this.seen = 0;
    this.noted = 0;
    this.open = -1;
    return true;
  }

  choose(view: SchedulerView): number {
    this.absorb(view, view.steps - this.seen);
    this.seen = view.steps;
    const { stack, at } = this;
    const { runnable, current } = view;
    this.runnable = runnable;
    this.noted = 0;
    this.logged = 0;
    const goesOn = current >= 0 && (runnable & (1 << current)) !== 0;
    this.preempted = goesOn ? current : -1;
    view.budget = UNLIMITED;
    if (at < stack.depth) {
      this.task = stack.chosen[at];
      view.budget = stack.runFrom(at);
      return this.task;
    }
    stack.enter(at);
    const awake = runnable & ~stack.sleep[at];
    if (awake === 0) this.task = -1;
    else this.task = goesOn && (awake & (1 << current)) !== 0 ? current : 31 - Math.clz32(awake & -awake);
    return this.task;
  }

  pick(view: SchedulerView, options: number): number {
    this.absorb(view, view.granted - pointsLeft());
    const { stack } = this;
    if (this.open < 0) {
      this.open = this.at;
      if (this.at === stack.depth) this.push();
      stack.hasPicks[this.at] = 1;
      this.at++;
    }
    if (this.at === stack.depth) stack.pushPick(options, this.open);
    return stack.chosen[this.at++];
  }

  end(view: SchedulerView, failed: boolean): void {
    this.absorb(view, view.steps - this.seen);
    const isDeadlock = failed && view.runnable === 0;
    if (failed && !isDeadlock) this.wasCutShort = true;
    for (let rest = view.awaiting; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      const { at, shared } = view.awaited[task];
      this.trace.racesOfWaiting(at, shared, task, this.addRace);
    }
  }

  coverage(): Coverage {
    const bounds: string[] = [];
    if (this.keptBack) bounds.push(`${this.bound} ${this.bound === 1 ? 'preemption' : 'preemptions'}`);
    if (this.faultsKeptBack) bounds.push(`${this.faults} ${this.faults === 1 ? 'fault' : 'faults'}`);
    const bound = bounds.length === 0 ? undefined : bounds.join(', ');
    if (this.isOver && !this.wasCutShort) return { verdict: 'proved', ...(bound !== undefined && { bound }) };
    return { verdict: 'cut', ...(!this.isOver && { share: this.stack.share() }) };
  }

  /** Makes events of the first `steps` steps of the run. */
  private absorb(view: SchedulerView, steps: number): void {
    const { words, used } = L;
    while (this.noted < steps) {
      const budget = view.granted - this.noted;
      const from = this.logged;
      let to = from;
      while (to < used && words[to + LOG_ENTRY.budget] === budget) to += LOG_ENTRY.words;
      this.logged = to;
      this.note(from, to);
      this.noted++;
    }
  }

  private note(from: number, to: number): void {
    const { stack } = this;
    let step = this.open;
    if (step < 0) {
      step = this.at;
      if (step === stack.depth) this.push();
      this.at++;
    }
    this.open = -1;
    this.preempted = this.task;
    if (stack.isFilled[step] === 1) return;
    stack.isFilled[step] = 1;
    if (this.trace.add(step, this.task, from, to)) this.trace.races(step, this.addRace);
  }

  private push(): void {
    const { stack } = this;
    const at = stack.depth;
    if (this.noted > 0 || this.at !== at) stack.enter(at);
    stack.pushStep(this.task, this.runnable, this.preempted);
  }

  /**
   * Event `first` and a later one of `task` race. Of the steps behind `first` that did not depend on it, and then the later
   * one, each that nothing before it in this piece must precede can begin it.
   */
  private readonly addRace = (first: number, task: number, clock: Int32Array, clockAt: number): void => {
    const { trace, firsts, stack } = this;
    firsts.fill(-1);
    let initials = 0;
    const isWaiting = clockAt === 0 && clock !== trace.clocks;
    const end = isWaiting ? stack.depth : Math.floor(clockAt / trace.tasks);
    for (let event = first + 1; event < end; event++) {
      const other = trace.task[event];
      if (other < 0 || trace.happenedBefore(first, event)) continue;
      if (firsts[other] >= 0) continue;
      if (!this.isPreceded(trace.clocks, event * trace.tasks)) initials |= 1 << other;
      firsts[other] = event;
    }
    if (firsts[task] < 0) {
      // Its step could not have been made any sooner: it is the first one that made it possible.
      if ((stack.enabled[first] & (1 << task)) === 0) return;
      if (!this.isPreceded(clock, clockAt)) initials |= 1 << task;
    }
    if (this.bound === Infinity) stack.want(first, initials, task);
    else stack.wantBounded(first, task);
  };

  /** True if an event of the piece collected so far happened before the one with this clock. */
  private isPreceded(clock: Int32Array, clockAt: number): boolean {
    const { firsts } = this;
    for (let task = 0; task < firsts.length; task++) {
      if (firsts[task] >= 0 && clock[clockAt + task] > firsts[task]) return true;
    }
    return false;
  }

  /** Goes to the next schedule. @returns false if there is none */
  private advance(): boolean {
    const { stack } = this;
    for (; stack.depth > 0; stack.depth--) {
      const last = stack.depth - 1;
      if (stack.isPick(last)) {
        if (stack.rest[last] === 0) continue;
        if (stack.faults[last] < this.faults) {
          stack.nextPick(last);
          return true;
        }
        this.faultsKeptBack = true;
        continue;
      }
      stack.takeOff(last);
      while (stack.hasMore(last)) {
        if (stack.next(last, this.bound)) return true;
        this.keptBack = true;
      }
      this.trace.rewind(last, false);
    }
    return false;
  }
}

/** One schedule of each set of equivalent ones. */
export function dporStrategy(options: DporOptions = {}): Strategy {
  return new PartialOrderReduction(options);
}
