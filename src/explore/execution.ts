/**
 * One execution after the other: coroutines over one world, resumed as the strategy says.
 *
 * Everything is kept from one execution to the next and nothing is allocated per step. Tasks are bits: `live` has not
 * finished; `runnable` can be chosen; `relaxed` waits in a spin loop and is runnable again once another task has written;
 * `awaiting` waits for a word to have a value. A task that is live and none of these sleeps. Daemons need not finish.
 *
 * With store buffers each task has an agent, numbered behind all tasks: it can run while stores of its task are buffered,
 * and a step of it lets the oldest one reach memory.
 */

import { StoreBuffers } from '../arena/storeBuffer.ts';
import { AssertionError } from '../base/assert.ts';
import type { Violation } from '../base/finding.ts';
import {
  L,
  LOG_ENTRY,
  LOG_MODE,
  WRITING,
  REQUEST,
  S,
  parkTask,
  startSim,
  type Coroutine,
} from '../instrument/runtime.ts';
import type { AccessObserver } from './observer.ts';
import { ScheduleRecorder } from './schedule.ts';
import { SpinReads } from './spinReads.ts';
import { ASKED, SchedulerView, type Strategy } from './strategy.ts';
import { describeDeadlock, describeLivelock, describeThrown } from './stuck.ts';
import type { Thread, Verdict, World } from './world.ts';

/** What an execution runs. */
export interface ExecutionParts<T> {
  readonly world: World<T>;
  readonly threads: readonly Thread<T>[];
  /** Run as the tasks behind the threads; the execution does not wait for them. */
  readonly daemons: readonly Thread<T>[];
  readonly strategy: Strategy;
  readonly observers: readonly AccessObserver[];
  readonly maxSteps: number;
  /** Stores reach memory later (TSO); else memory is sequentially consistent. */
  readonly storeBuffers: boolean;
}

export class Execution<T> {
  readonly recorder = new ScheduleRecorder();
  readonly view = new SchedulerView();
  /** What was found in the execution that ran last. */
  violations: Violation[] = [];
  /** What was thrown in it. */
  thrown: unknown = undefined;
  private readonly world: World<T>;
  private readonly bodies: readonly Thread<T>[];
  private readonly daemons: number;
  /** Who decides; may be exchanged between two executions. */
  strategy: Strategy;
  private readonly observers: readonly AccessObserver[];
  private readonly maxSteps: number;
  private readonly buffers: StoreBuffers | null;
  private readonly coroutines: Coroutine[] = [];
  /** What each task is resumed with: what it yielded. */
  private readonly values: unknown[] = [];
  private readonly spins: SpinReads;
  private readonly sink = (violation: Violation): void => this.take(violation);
  private live = 0;
  private relaxed = 0;
  /** Tasks that have waited in a spin loop since they wrote last. */
  private spinning = 0;
  /** Points of the budget that the running task was denied: they were not passed. */
  private denied = 0;
  /** What the running task did has changed who can run. */
  private changed = false;

  constructor({ world, threads, daemons, strategy, observers, maxSteps, storeBuffers }: ExecutionParts<T>) {
    this.world = world;
    this.bodies = [...threads, ...daemons];
    this.daemons = maskOf(this.bodies.length) & ~maskOf(threads.length);
    this.strategy = strategy;
    this.observers = observers;
    this.maxSteps = maxSteps;
    this.spins = new SpinReads(this.bodies.length);
    this.buffers = storeBuffers ? new StoreBuffers(world.heap, this.bodies.length) : null;
    this.view.tasks = this.bodies.length * (storeBuffers ? 2 : 1);
    this.view.awaited = this.bodies.map(() => ({ at: 0, shared: false }));
  }

  /** Takes a violation while the execution runs: the running task yields at its next point. */
  take(violation: Violation): void {
    this.violations.push(violation);
    this.denied += S.budget;
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
    const { view, strategy, daemons } = this;
    while ((this.live & ~daemons) !== 0) {
      if (view.runnable === 0) {
        if (this.relaxed === 0) return this.stuck('deadlock');
        view.runnable = this.relaxed;
        this.relaxed = 0;
      }
      if (view.steps >= this.maxSteps) return this.stuck('livelock');
      const task = strategy.choose(view);
      if (task < 0) return 'pruned';
      if (task >= this.bodies.length) {
        this.drain(task);
        if (this.violations.length > 0) return 'violation';
        continue;
      }
      try {
        this.settle(task, this.resume(task));
      } catch (error) {
        this.endLog();
        this.account(task);
        return this.takeThrown(error, `task ${task + 1}`);
      }
      if (this.violations.length > 0) return 'violation';
    }
    this.buffers?.drainAll();
    for (const observer of this.observers) observer.done?.(view);
    return this.violations.length > 0 ? 'violation' : 'done';
  }

  private begin(): void {
    const { view, bodies } = this;
    this.world.restore();
    if (this.violations.length > 0) this.violations = [];
    this.thrown = undefined;
    this.recorder.clear();
    this.spins.clear();
    this.buffers?.clear();
    S.request = REQUEST.none;
    S.parked = 0;
    S.woken = 0;
    S.clock = 0;
    L.used = 0;
    for (let i = 0; i < bodies.length; i++) {
      this.coroutines[i] = startSim(bodies[i], this.world.task(i));
      this.values[i] = undefined;
    }
    this.live = maskOf(bodies.length);
    this.relaxed = 0;
    this.spinning = 0;
    view.awaiting = 0;
    view.runnable = this.live;
    view.current = -1;
    view.reason = ASKED.start;
    view.steps = 0;
    if (this.observers.length > 0)
      for (const observer of this.observers) observer.begin(view, this.world.heap, this.sink);
  }

  /** Runs a task until its budget is used up or it asks for something. @returns true when it has finished */
  private resume(task: number): boolean {
    const { view } = this;
    view.firstStep = view.steps;
    view.granted = Math.min(view.budget, this.maxSteps - view.steps - 1);
    S.budget = view.granted;
    S.task = task;
    this.denied = 0;
    this.changed = false;
    view.awaiting &= ~(1 << task);
    L.used = 0;
    this.buffers?.enter(task);
    L.mode = this.waitsNobody(task) ? LOG_MODE.on : LOG_MODE.waited;
    const coroutine = this.coroutines[task];
    let result = coroutine.next(this.values[task]);
    while (S.request === REQUEST.choose || this.canGoOn(task, result.done)) {
      if (S.request === REQUEST.choose) {
        S.request = REQUEST.none;
        result = coroutine.next(this.pick(S.at));
      } else {
        // The write that cut the run short concerned nobody: it goes on as if nothing had been.
        S.budget = L.kept - 1;
        L.mode = LOG_MODE.waited;
        result = coroutine.next(result.value);
      }
    }
    this.endLog();
    this.values[task] = result.value;
    this.account(task);
    return result.done === true;
  }

  private waitsNobody(task: number): boolean {
    return ((this.relaxed | this.view.awaiting) & ~(1 << task)) === 0;
  }

  /** True if the task yielded only because it wrote while others wait, and its write changed nothing for them. */
  private canGoOn(task: number, done: boolean | undefined): boolean {
    if (L.mode !== LOG_MODE.cut || S.request !== REQUEST.none || done === true) return false;
    // What all see is only in the heap when the task has stopped.
    if (this.buffers !== null) return false;
    if (this.violations.length > 0 || S.woken !== 0) return false;
    const before = this.view.runnable;
    this.release(task);
    if (this.view.awaiting !== 0) this.grant();
    this.changed = this.view.runnable !== before;
    return !this.changed && L.kept > 0;
  }

  private endLog(): void {
    if (L.mode === LOG_MODE.cut) this.denied += L.kept;
    L.mode = LOG_MODE.off;
    this.buffers?.leave();
  }

  private pick(options: number): number {
    const picked = this.strategy.pick?.(this.view, options) ?? 0;
    this.recorder.addPick(picked);
    return picked;
  }

  /** Counts the steps of the resume that just ended: the points passed, and the unfinished one unless it ended at a point. */
  private account(task: number): void {
    const { view } = this;
    const steps = view.granted - this.denied - S.budget + (S.budget < 0 ? 0 : 1);
    view.steps += steps;
    S.clock = view.steps;
    this.recorder.add(task, steps);
    if (this.observers.length > 0) for (const observer of this.observers) observer.ran(task, view);
  }

  /** Works out who can run now. */
  private settle(task: number, finished: boolean): void {
    const { view } = this;
    const bit = 1 << task;
    view.current = task;
    view.reason = this.changed ? ASKED.woke : ASKED.point;
    this.spins.add(task);
    if ((this.spinning & bit) !== 0 && hasWritten()) this.spinning &= ~bit;
    if (this.relaxed !== 0) this.release(task);
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
    if (this.view.awaiting !== 0) this.grant();
    if (this.buffers?.isEmpty(task) === false) view.runnable |= 1 << (this.bodies.length + task);
    else if (this.buffers !== null) view.runnable &= ~(1 << (this.bodies.length + task));
  }

  /** The agent's step: the oldest buffered store of its task reaches memory. */
  private drain(agent: number): void {
    const { view, buffers } = this;
    const task = agent - this.bodies.length;
    view.firstStep = view.steps;
    view.granted = 0;
    S.budget = 0;
    S.task = agent;
    L.used = 0;
    this.denied = 0;
    L.mode = LOG_MODE.on;
    buffers!.drainOldest(task);
    L.mode = LOG_MODE.off;
    this.account(agent);
    view.current = agent;
    view.reason = ASKED.point;
    if (this.relaxed !== 0) this.release(task);
    if (view.awaiting !== 0) this.grant();
    if (!buffers!.isEmpty(task)) return;
    view.runnable &= ~(1 << agent);
    view.reason = ASKED.parked;
  }

  private serve(task: number, bit: number): void {
    const { view } = this;
    if (S.request === REQUEST.woke) {
      view.reason = ASKED.woke;
    } else {
      view.runnable &= ~bit;
      if (S.request === REQUEST.park) {
        parkTask(task, S.at, this.world.heap[S.at], view.steps);
        view.reason = ASKED.parked;
      } else if (S.request === REQUEST.await || S.request === REQUEST.awaitShared) {
        view.awaiting |= bit;
        view.awaited[task].at = S.at;
        view.awaited[task].shared = S.request === REQUEST.awaitShared;
        view.reason = ASKED.parked;
      } else {
        this.relaxed |= bit;
        this.spinning |= bit;
        this.spins.relax(task);
        view.reason = ASKED.relaxed;
      }
    }
    S.request = REQUEST.none;
  }

  /** Makes tasks runnable whose spin loop may see something new after what `task` has done. */
  private release(task: number): void {
    for (let rest = this.relaxed & ~(1 << task); rest !== 0; rest &= rest - 1) {
      const spinner = 31 - Math.clz32(rest & -rest);
      if (!this.spins.isConcerned(spinner)) continue;
      this.relaxed &= ~(1 << spinner);
      this.view.runnable |= 1 << spinner;
    }
  }

  /** An awaiting task can run exactly while its word allows it. */
  private grant(): void {
    const { view, world } = this;
    for (let rest = view.awaiting; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      const { at, shared } = view.awaited[task];
      const value = world.heap[at];
      if (value === 0 || (shared && value > 0)) view.runnable |= 1 << task;
      else view.runnable &= ~(1 << task);
    }
  }

  private stuck(verdict: 'deadlock' | 'livelock'): Verdict {
    const describe = verdict === 'deadlock' ? describeDeadlock : describeLivelock;
    const tasks = { live: this.live & ~this.daemons, spinning: this.spinning };
    this.violations.push(describe(this.world, this.view, tasks));
    return verdict;
  }
}

/** True if the log holds a write. */
function hasWritten(): boolean {
  for (let i = LOG_ENTRY.kind; i < L.used; i += LOG_ENTRY.words) if (((1 << L.words[i]) & WRITING) !== 0) return true;
  return false;
}

/** A bit for each of `tasks` tasks. */
function maskOf(tasks: number): number {
  return tasks === 0 ? 0 : -1 >>> (32 - tasks);
}
