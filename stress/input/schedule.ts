/**
 * Which simulated CPU runs which steps of a program, and what each step must wait for: a thread stays on one CPU, a CPU takes
 * its threads' steps in the order of the trace, and of two CPUs' steps on the same pages the earlier one comes first. All
 * else runs at once. Waiting always is for an earlier step, so it ends.
 */

import type { InputProgram, InputStep } from './inputProgram.ts';

export interface ScheduledStep extends InputStep {
  /** Number of the step in the program. */
  readonly index: number;
  /** Steps of other CPUs that must be done. */
  readonly after: readonly number[];
}

const NONE = -1;

/** The steps of each of `cpus` CPUs. */
export function scheduleProgram({ steps, threads, spaces }: InputProgram, cpus: number): ScheduledStep[][] {
  const perCpu: ScheduledStep[][] = Array.from({ length: cpus }, () => []);
  const started = new Array<number>(threads).fill(NONE);
  const touched = spaces.map((pages) => new SpaceHistory(pages, cpus));
  steps.forEach((step, index) => {
    const cpu = step.thread % cpus;
    const after = new Set(step.space < 0 ? [] : touched[step.space].take(step, index, cpu));
    if (step.action.op === 'fork' || step.action.op === 'exec') touched[step.action.next].begin(index, cpu);
    if (step.starts >= 0) started[step.starts] = index;
    const start = started[step.thread];
    if (start !== NONE && steps[start].thread % cpus !== cpu) after.add(start);
    perCpu[cpu].push({ ...step, index, after: [...after] });
  });
  return perCpu;
}

/** Who touched which page of one address space last, per CPU. */
class SpaceHistory {
  private readonly pages: number;
  private readonly last: Int32Array[];
  /** Steps that concern every page. */
  private readonly whole: number[];

  constructor(pages: number, cpus: number) {
    this.pages = pages;
    this.last = Array.from({ length: cpus }, () => new Int32Array(0));
    this.whole = new Array<number>(cpus).fill(NONE);
  }

  /** The address space is made by a step. */
  begin(index: number, cpu: number): void {
    this.whole[cpu] = index;
  }

  /** Notes a step. @returns the latest step of every other CPU that concerns the same pages */
  take({ action }: InputStep, index: number, cpu: number): number[] {
    const ranges = 'range' in action ? ['to' in action ? action.to : action.range, action.range] : null;
    const after: number[] = [];
    for (let other = 0; other < this.last.length; other++) {
      if (other === cpu) continue;
      const last = ranges === null ? latest(this.last[other], 0, this.pages) : NONE;
      const inRanges = (ranges ?? []).map(({ start, end }) => latest(this.last[other], start, end));
      const step = Math.max(this.whole[other], last, ...inRanges);
      if (step !== NONE) after.push(step);
    }
    if (ranges === null) this.whole[cpu] = index;
    else for (const { start, end } of ranges) this.pagesOf(cpu).fill(index + 1, start, end);
    return after;
  }

  private pagesOf(cpu: number): Int32Array {
    if (this.last[cpu].length === 0) this.last[cpu] = new Int32Array(this.pages);
    return this.last[cpu];
  }
}

/** Latest step in [start, end); entries are numbers of steps plus 1. */
function latest(last: Int32Array, start: number, end: number): number {
  let step = 0;
  for (let page = start; page < Math.min(end, last.length); page++) if (last[page] > step) step = last[page];
  return step - 1;
}
