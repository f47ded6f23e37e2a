/**
 * Every schedule, depth first: the last decision that leaves something else to do is changed, what was before it runs
 * again, and behind it the running task goes on as long as it can.
 *
 * Schedules with few preemptions come first: with a bound of 0, then 1, 2, ... A pass in which the bound kept nothing back
 * has run all there are.
 *
 * Reduced: another task is tried only before a step that touches a word over which tasks conflict (conflicts.ts). A step
 * that does not commutes with every step of the others, so that running it first leaves out no outcome; it costs no
 * preemption either where its task was running anyway, and elsewhere a bounded search does not rely on it. Whether a word
 * is such a one is learned; when a word that was taken to be private turns out not to be, the pass starts anew. At the
 * end no execution has a conflict over a word taken to be private: a schedule that had one would have a first one, whose
 * steps before it can be reordered into a prefix that was run, and would have been seen there.
 */

import { pointsLeft, L, LOG_ENTRY } from '../instrument/runtime.ts';
import { Conflicts, TOUCHED } from './conflicts.ts';
import { DecisionStack } from './decisionStack.ts';
import { UNLIMITED, type Coverage, type SchedulerView, type Strategy } from './strategy.ts';

export interface DfsOptions {
  /** Most preemptions of a schedule; without it the bound grows until it keeps nothing back. */
  readonly preemptions?: number | undefined;
  /** Go through all bounds from 0 up to it, or begin with it; with no bound at all if both are absent. Default: true. */
  readonly iterate?: boolean | undefined;
  /** Most faults of an execution; 1 by default. */
  readonly faults?: number | undefined;
  /** Only switch where tasks may conflict. Default: true. */
  readonly reduce?: boolean | undefined;
}

const DEFAULT_FAULTS = 1;

class DepthFirst implements Strategy {
  readonly name = 'dfs';
  private readonly most: number;
  private readonly faults: number;
  private readonly reduce: boolean;
  private readonly conflicts = new Conflicts();
  private readonly stack = new DecisionStack();
  private readonly firstBound: number;
  private bound: number;
  /** The bound kept a schedule, or a fault, back in this pass. */
  private keptBack = false;
  private faultsKeptBack = false;
  private isOver = false;
  /** Next decision: behind the last one it is a new one. */
  private at = 0;
  /** Of the run that goes on: its task, who could run instead, steps of it that are on the stack, place in the log. */
  private task = 0;
  private others = 0;
  private first = true;
  private noted = 0;
  private logged = 0;
  /** Decision of a step that has begun, when a choice inside it was noted before its end; and whether it is new. */
  private open = -1;
  private openIsNew = false;
  /** What the last pass that came to its end left out; undefined before there was one. */
  private completed: string | undefined;
  private seen = 0;

  constructor({ preemptions = Infinity, iterate = true, faults = DEFAULT_FAULTS, reduce = true }: DfsOptions) {
    this.most = preemptions;
    this.faults = faults;
    this.reduce = reduce;
    this.firstBound = iterate ? 0 : preemptions;
    this.bound = this.firstBound;
  }

  begin(execution: number): boolean {
    if (execution === 0) {
      this.reset();
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
    const { runnable, current } = view;
    const { stack, at } = this;
    const goesOn = current >= 0 && (runnable & (1 << current)) !== 0;
    let task = current;
    view.budget = UNLIMITED;
    if (at < stack.depth) {
      task = stack.chosen[at];
      view.budget = stack.runFrom(at);
    } else if (!goesOn) {
      task = 31 - Math.clz32(runnable & -runnable);
    }
    this.task = task;
    this.others = runnable & ~(1 << task);
    this.first = !goesOn;
    this.noted = 0;
    this.logged = 0;
    return task;
  }

  pick(view: SchedulerView, options: number): number {
    const passed = view.granted - pointsLeft();
    this.absorb(view, passed);
    if (this.open < 0) {
      this.open = this.at;
      this.openIsNew = this.at === this.stack.depth;
      this.note(TOUCHED.several);
    }
    const { stack } = this;
    if (this.at === stack.depth) stack.pushPick(options);
    return stack.chosen[this.at++];
  }

  end(view: SchedulerView): void {
    this.absorb(view, view.steps - this.seen);
  }

  coverage(): Coverage {
    const { completed } = this;
    if (completed === undefined) return { verdict: 'cut', share: this.stack.share() };
    return {
      verdict: 'proved',
      ...(completed !== '' && { bound: completed }),
      ...(!this.isOver && { share: this.stack.share() }),
    };
  }

  /** Puts the first `steps` steps of the run on the stack, as far as they are not there. */
  private absorb(view: SchedulerView, steps: number): void {
    const { words, used } = L;
    while (this.noted < steps) {
      const budget = view.granted - this.noted;
      const from = this.logged;
      let to = from;
      while (to < used && words[to + LOG_ENTRY.budget] === budget) to += LOG_ENTRY.words;
      this.logged = to;
      const touched = this.conflicts.learn(this.task, from, to);
      if (this.open >= 0) {
        if (this.openIsNew) this.stack.touched[this.open] = touched;
        this.open = -1;
      } else {
        this.note(touched);
      }
      this.noted++;
    }
  }

  /** A step of the run is on the stack now, as a replayed or as a new decision. */
  private note(touched: number): void {
    const { stack, at } = this;
    if (at === stack.depth) {
      stack.pushStep(this.task, this.others, this.first);
      stack.touched[at] = touched;
    }
    this.at++;
    this.first = false;
  }

  /** Goes to the next schedule. @returns false if there is none */
  private advance(): boolean {
    if (this.conflicts.refuted) {
      this.conflicts.refuted = false;
      this.restart();
      return true;
    }
    if (this.changeLast()) return true;
    this.completed = this.leftOut();
    if (!this.keptBack || this.bound >= this.most) return false;
    this.bound++;
    this.restart();
    return true;
  }

  private leftOut(): string {
    const bounds: string[] = [];
    if (this.keptBack) bounds.push(`${this.bound} ${this.bound === 1 ? 'preemption' : 'preemptions'}`);
    if (this.faultsKeptBack) bounds.push(`${this.faults} ${this.faults === 1 ? 'fault' : 'faults'}`);
    return bounds.join(', ');
  }

  /** A new exploration. */
  private reset(): void {
    this.conflicts.clear();
    this.bound = this.firstBound;
    this.isOver = false;
    this.completed = undefined;
    this.restart();
  }

  private restart(): void {
    this.stack.clear();
    this.keptBack = false;
    this.faultsKeptBack = false;
  }

  private changeLast(): boolean {
    const { stack } = this;
    for (; stack.depth > 0; stack.depth--) {
      const last = stack.depth - 1;
      if (stack.rest[last] === 0) continue;
      if (stack.isPick(last)) {
        if (stack.faultsBefore(last) < this.faults) {
          stack.nextPick(last);
          return true;
        }
        this.faultsKeptBack = true;
      } else if (this.matters(last)) {
        if (stack.isFree(last) || stack.preemptionsBefore(last) < this.bound) {
          stack.nextTask(last);
          return true;
        }
        this.keptBack = true;
      }
    }
    return false;
  }

  /** False if running the chosen task first leaves nothing out. */
  private matters(decision: number): boolean {
    const touched = this.stack.touched[decision];
    if (!this.reduce) return true;
    if (touched === TOUCHED.nothing) return false;
    if (touched === TOUCHED.several) return true;
    if (this.stack.isFree(decision) && this.bound !== Infinity) return true;
    return this.conflicts.isShared(touched);
  }
}

/** Every schedule, depth first. */
export function dfsStrategy(options: DfsOptions = {}): Strategy {
  return new DepthFirst(options);
}
