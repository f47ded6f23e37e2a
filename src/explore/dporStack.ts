/**
 * The decisions of an execution under partial-order reduction, in order: about the task of a step, with the tasks that are
 * wanted there and those that sleep, or about an option. Flat arrays: nothing is allocated per step.
 */

import type { EventTrace } from './eventTrace.ts';
import { SHORT, extended, extendedBytes } from './growing.ts';
import { UNLIMITED, countTasks } from './strategy.ts';

const STEP = 0;
const PICK = 1;

export class DporStack {
  depth = 0;
  /** Task of a step, or option picked. */
  chosen = new Int32Array(SHORT);
  /** Options not picked yet. */
  rest = new Int32Array(SHORT);
  /** Faults before a choice. */
  faults = new Int32Array(SHORT);
  /** Of a step: who could run, who is to be tried, who was, who sleeps. */
  enabled = new Int32Array(SHORT);
  sleep = new Int32Array(SHORT);
  private wanted = new Int32Array(SHORT);
  private done = new Int32Array(SHORT);
  /** 1: the trace has the event of the step. */
  isFilled = new Uint8Array(SHORT);
  /** 1: a choice was made in the step, so that it is not the same each time. */
  hasPicks = new Uint8Array(SHORT);
  private kinds = new Uint8Array(SHORT);
  /** Of a step: the task that could have gone on, or -1. Of a choice: its step. */
  private owner = new Int32Array(SHORT);
  private preemptions = new Int32Array(SHORT);
  /** Records of what each sleeping task would do, per step and task: where they begin and end. */
  private sleepFrom = new Int32Array(SHORT);
  private sleepTo = new Int32Array(SHORT);
  private tasks = 1;
  private readonly trace: EventTrace;
  private readonly sleeps: boolean;

  /** @param sleeps whether sleep sets are used */
  constructor(trace: EventTrace, sleeps: boolean) {
    this.trace = trace;
    this.sleeps = sleeps;
  }

  clear(tasks: number): void {
    this.depth = 0;
    this.tasks = tasks;
  }

  isPick(at: number): boolean {
    return this.kinds[at] === PICK;
  }

  /** Works out who sleeps before the step that may be pushed next: who slept before, and whom the last event did not wake. */
  enter(at: number): void {
    this.reserve(at);
    this.sleep[at] = 0;
    if (!this.sleeps) return;
    let last = at - 1;
    while (last >= 0 && this.kinds[last] === PICK) last--;
    if (last < 0) return;
    const isEvent = this.trace.task[last] >= 0;
    for (let rest = this.sleep[last]; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      const from = this.sleepFrom[last * this.tasks + task];
      const to = this.sleepTo[last * this.tasks + task];
      if (isEvent && this.trace.isDependent(last, from, to)) continue;
      this.sleep[at] |= 1 << task;
      this.sleepFrom[at * this.tasks + task] = from;
      this.sleepTo[at * this.tasks + task] = to;
    }
  }

  /** A step of `task`. @param running the task that could have gone on, or -1 */
  pushStep(task: number, enabled: number, running: number): void {
    const at = this.push(task, STEP);
    this.enabled[at] = enabled;
    this.wanted[at] = 1 << task;
    this.done[at] = 0;
    this.isFilled[at] = 0;
    this.hasPicks[at] = 0;
    this.owner[at] = running;
  }

  /** A choice in the step at `step`. */
  pushPick(options: number, step: number): void {
    const at = this.push(0, PICK);
    this.rest[at] = options - 1;
    this.owner[at] = step;
  }

  /** Tasks of `initials` are to be tried at a step, one of them, unless that is so already. */
  want(at: number, initials: number, preferred: number): void {
    const able = initials & this.enabled[at];
    if (able === 0 || (initials & (this.wanted[at] | this.sleep[at])) !== 0) return;
    const bit = 1 << preferred;
    this.wanted[at] |= (able & bit) !== 0 ? bit : able & -able;
  }

  /** The task is to be tried at a step, and where the run of the task of that step begins; anybody, where it cannot run. */
  wantBounded(at: number, task: number): void {
    this.wantOrAll(at, task);
    let start = at;
    for (let i = at - 1; i >= 0; i--) {
      if (this.kinds[i] === PICK) continue;
      if (this.chosen[i] !== this.chosen[at]) break;
      start = i;
    }
    this.wantOrAll(start, task);
  }

  /** The event of a step is taken off; its task has been tried, and sleeps from now on. */
  takeOff(at: number): void {
    const task = this.chosen[at];
    const wasEvent = this.trace.task[at] >= 0;
    this.trace.remove(at);
    this.isFilled[at] = 0;
    this.done[at] |= 1 << task;
    const sleeps = this.sleeps && wasEvent && this.hasPicks[at] === 0;
    if (sleeps) {
      const [from, to] = this.trace.extentOf(at);
      this.sleep[at] |= 1 << task;
      this.sleepFrom[at * this.tasks + task] = from;
      this.sleepTo[at * this.tasks + task] = to;
    }
    this.trace.rewind(at, sleeps);
    this.hasPicks[at] = 0;
  }

  /** True if somebody is still to be tried at a step. */
  hasMore(at: number): boolean {
    return (this.wanted[at] & ~this.done[at] & ~this.sleep[at]) !== 0;
  }

  /** Takes the next one to be tried. @returns false if that would be a preemption too many */
  next(at: number, bound: number): boolean {
    const wanted = this.wanted[at] & ~this.done[at] & ~this.sleep[at];
    const task = 31 - Math.clz32(wanted & -wanted);
    this.chosen[at] = task;
    const preempts = this.owner[at] >= 0 && this.owner[at] !== task;
    if (preempts && this.preemptions[at] >= bound) {
      this.done[at] |= 1 << task;
      return false;
    }
    return true;
  }

  /** Takes the next option; the step it is in must be looked at anew. */
  nextPick(at: number): void {
    this.rest[at]--;
    this.chosen[at]++;
    const step = this.owner[at];
    this.trace.remove(step);
    this.trace.rewind(step, false);
    this.isFilled[step] = 0;
  }

  /** Points the task of the step at `at` may pass until another one is to run; without limit in the last run. */
  runFrom(at: number): number {
    const task = this.chosen[at];
    let steps = 0;
    for (let i = at; i < this.depth; i++) {
      if (this.kinds[i] === PICK) continue;
      if (this.chosen[i] !== task) return steps - 1;
      steps++;
    }
    return UNLIMITED;
  }

  /** Share of the known branches that was run, if all that are beside each other are equally large. */
  share(): number {
    let weight = 1;
    let share = 0;
    for (let i = 0; i < this.depth; i++) {
      const isPick = this.kinds[i] === PICK;
      const before = isPick ? this.chosen[i] : countTasks(this.done[i]);
      const all = isPick ? this.chosen[i] + 1 + this.rest[i] : countTasks(this.wanted[i] | this.done[i]);
      weight /= all;
      share += weight * before;
    }
    return share;
  }

  private wantOrAll(at: number, task: number): void {
    const bit = 1 << task;
    this.wanted[at] |= (this.enabled[at] & bit) !== 0 ? bit : this.enabled[at];
  }

  private push(chosen: number, kind: number): number {
    const at = this.depth++;
    this.reserve(at);
    this.chosen[at] = chosen;
    this.kinds[at] = kind;
    const before = at - 1;
    const isPick = before >= 0 && this.kinds[before] === PICK;
    const preempted = before >= 0 && !isPick && this.owner[before] >= 0 && this.owner[before] !== this.chosen[before];
    this.preemptions[at] = before < 0 ? 0 : this.preemptions[before] + (preempted ? 1 : 0);
    this.faults[at] = before < 0 ? 0 : this.faults[before] + (isPick && this.chosen[before] > 0 ? 1 : 0);
    return at;
  }

  private reserve(at: number): void {
    if ((at + 1) * this.tasks > this.sleepFrom.length) {
      this.sleepFrom = extended(this.sleepFrom, (at + 1) * this.tasks);
      this.sleepTo = extended(this.sleepTo, (at + 1) * this.tasks);
    }
    if (at < this.chosen.length) return;
    const length = at + 1;
    this.chosen = extended(this.chosen, length);
    this.rest = extended(this.rest, length);
    this.faults = extended(this.faults, length);
    this.enabled = extended(this.enabled, length);
    this.sleep = extended(this.sleep, length);
    this.wanted = extended(this.wanted, length);
    this.done = extended(this.done, length);
    this.owner = extended(this.owner, length);
    this.preemptions = extended(this.preemptions, length);
    this.isFilled = extendedBytes(this.isFilled, length);
    this.hasPicks = extendedBytes(this.hasPicks, length);
    this.kinds = extendedBytes(this.kinds, length);
  }
}
