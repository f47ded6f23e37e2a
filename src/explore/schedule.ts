/**
 * A schedule: which task ran, and for how many steps, until another one did; and what was picked where the program left a
 * choice open. A plain value with a short text, which is what a report prints and a replay takes.
 *
 * A step is what a task does from one scheduling point to the next: at most one shared access. The text is
 * `version.tasks.runs`; a run is a letter (a is the first task) and its number of steps, 1 left out: `2.2.ab3a`. If there
 * were choices, what was picked follows, a digit of base 36 each: `2.2.ab3a.0010`.
 */

import { UsageError } from '../base/usageError.ts';

const VERSION = 2;
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDE';

export interface Run {
  /** Index of the task. */
  readonly task: number;
  readonly steps: number;
}

export interface Schedule {
  readonly tasks: number;
  readonly runs: readonly Run[];
  /** Options picked, in order. */
  readonly picks: readonly number[];
}

/** The text of a schedule. */
export function encodeSchedule(schedule: Schedule): string {
  const runs = schedule.runs.map(({ task, steps }) => LETTERS[task] + (steps === 1 ? '' : steps)).join('');
  const picks = schedule.picks.map((pick) => pick.toString(36)).join('');
  return `${VERSION}.${schedule.tasks}.${runs}${picks === '' ? '' : `.${picks}`}`;
}

/** The schedule of a text. @throws UsageError for any other text */
export function decodeSchedule(text: string): Schedule {
  const match = /^(\d+)\.(\d+)\.((?:[a-zA-E]\d*)*)(?:\.([\da-z]+))?$/.exec(text);
  if (match === null) throw new UsageError(`not a schedule: '${text.slice(0, 40)}'`);
  const [, version, tasks, body, picked = ''] = match;
  if (Number(version) !== VERSION) throw new UsageError(`schedule version ${version}, this build reads ${VERSION}`);
  const runs = [...body.matchAll(/([a-zA-E])(\d*)/g)].map(([, letter, steps]): Run => {
    const run = { task: LETTERS.indexOf(letter), steps: steps === '' ? 1 : Number(steps) };
    if (run.task >= Number(tasks) || !(run.steps > 0)) throw new UsageError(`not a schedule: run '${letter}${steps}'`);
    return run;
  });
  return { tasks: Number(tasks), runs, picks: [...picked].map((digit) => Number.parseInt(digit, 36)) };
}

/** Records the schedule of the execution that runs: no allocation per step. */
export class ScheduleRecorder {
  private words = new Int32Array(16);
  private used = 0;
  private last = -1;
  private picks: number[] = [];

  /** Forgets everything: a new execution. */
  clear(): void {
    this.used = 0;
    this.last = -1;
    if (this.picks.length > 0) this.picks = [];
  }

  /** An option was picked. */
  addPick(picked: number): void {
    this.picks.push(picked);
  }

  /** Task `task` ran for `steps` more steps. */
  add(task: number, steps: number): void {
    if (task === this.last) {
      this.words[this.used - 1] += steps;
      return;
    }
    if (this.used === this.words.length) this.grow();
    this.words[this.used] = task;
    this.words[this.used + 1] = steps;
    this.used += 2;
    this.last = task;
  }

  /** Continues a hash with what was recorded: the same schedule, the same hash. */
  hash(start: number): number {
    let hash = start;
    for (let i = 0; i < this.used; i++) hash = Math.imul(hash ^ this.words[i], 0x0100_0193);
    if (this.picks.length > 0) for (const picked of this.picks) hash = Math.imul(hash ^ ~picked, 0x0100_0193);
    return hash;
  }

  /** The schedule so far. */
  schedule(tasks: number): Schedule {
    const runs: Run[] = [];
    for (let i = 0; i < this.used; i += 2) runs.push({ task: this.words[i], steps: this.words[i + 1] });
    return { tasks, runs, picks: this.picks };
  }

  private grow(): void {
    const words = new Int32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
  }
}
