/**
 * The decisions of an execution, in order, and what else could have been decided at each. A decision is either about the
 * task of a step or about an option where the program leaves a choice open. Flat arrays: nothing is allocated per step.
 */

import { SHORT, extended, extendedBytes } from './growing.ts';
import { UNLIMITED, countTasks } from './strategy.ts';

const STEP = 0;
/** A step whose task before it could not go on: to choose anyone is no preemption. */
const FREE_STEP = 1;
const PICK = 2;

export class DecisionStack {
  depth = 0;
  /** Task of a step, or option picked. */
  chosen = new Int32Array(SHORT);
  /** Tasks that were not tried yet, as bits; number of options not tried yet. */
  rest = new Int32Array(SHORT);
  /** Of a step: what it touched (conflicts.ts). */
  touched = new Int32Array(SHORT);
  private kinds = new Uint8Array(SHORT);
  /** How many alternatives there were. */
  private options = new Int32Array(SHORT);
  /** Preemptions, faults before the decision. */
  private preemptions = new Int32Array(SHORT);
  private faults = new Int32Array(SHORT);
  /** Of a step that is no free one: the task that could have gone on. */
  private running = new Int32Array(SHORT);

  clear(): void {
    this.depth = 0;
  }

  pushStep(task: number, others: number, isFree: boolean): void {
    const at = this.push(task, isFree ? FREE_STEP : STEP, others, countTasks(others) + 1);
    this.running[at] = task;
  }

  pushPick(options: number): void {
    this.push(0, PICK, options - 1, options);
  }

  isPick(at: number): boolean {
    return this.kinds[at] === PICK;
  }

  isFree(at: number): boolean {
    return this.kinds[at] === FREE_STEP;
  }

  preemptionsBefore(at: number): number {
    return this.preemptions[at];
  }

  faultsBefore(at: number): number {
    return this.faults[at];
  }

  /** Takes the next task for a step. */
  nextTask(at: number): void {
    const bit = this.rest[at] & -this.rest[at];
    this.rest[at] &= ~bit;
    this.chosen[at] = 31 - Math.clz32(bit);
  }

  /** Takes the next option. */
  nextPick(at: number): void {
    this.rest[at]--;
    this.chosen[at]++;
  }

  /** Points the task of step `at` may pass until another one is to run; without limit in the last run. */
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

  /** Share of all leaves that lies before the last decisions, if all subtrees beside each other are equally large. */
  share(): number {
    let weight = 1;
    let share = 0;
    for (let i = 0; i < this.depth; i++) {
      const options = this.options[i];
      if (options < 2) continue;
      const left = this.kinds[i] === PICK ? this.rest[i] : countTasks(this.rest[i]);
      weight /= options;
      share += weight * (options - 1 - left);
    }
    return share;
  }

  private push(chosen: number, kind: number, rest: number, options: number): number {
    const at = this.depth++;
    if (at === this.chosen.length) this.grow();
    this.chosen[at] = chosen;
    this.kinds[at] = kind;
    this.rest[at] = rest;
    this.options[at] = options;
    if (at === 0) {
      this.preemptions[at] = 0;
      this.faults[at] = 0;
    } else {
      const before = at - 1;
      const isPick = this.kinds[before] === PICK;
      const preempted = this.kinds[before] === STEP && this.chosen[before] !== this.running[before];
      this.preemptions[at] = this.preemptions[before] + (preempted ? 1 : 0);
      this.faults[at] = this.faults[before] + (isPick && this.chosen[before] > 0 ? 1 : 0);
    }
    return at;
  }

  private grow(): void {
    const length = this.chosen.length * 2;
    this.chosen = extended(this.chosen, length);
    this.rest = extended(this.rest, length);
    this.touched = extended(this.touched, length);
    this.options = extended(this.options, length);
    this.preemptions = extended(this.preemptions, length);
    this.faults = extended(this.faults, length);
    this.running = extended(this.running, length);
    this.kinds = extendedBytes(this.kinds, length);
  }
}
