/**
 * What an execution touched, as one short number per run of its schedule: word, kind, value and step of every access. Equal
 * digests mean the same execution, on whatever machine; the first one that differs says where another one went its own way.
 */

import { L, LOG_ENTRY } from '../instrument/runtime.ts';
import type { AccessObserver } from './observer.ts';
import type { SchedulerView } from './strategy.ts';

const SEED = 0x811c_9dc5;
const PRIME = 0x0100_0193;

export class AccessDigest implements AccessObserver {
  private readonly runs: number[] = [];
  private task = -1;

  begin(): void {
    this.runs.length = 0;
    this.task = -1;
  }

  ran(task: number, { firstStep, granted }: SchedulerView): void {
    // As in the schedule: a task that goes on without another one in between is still in the same run.
    if (task !== this.task) this.runs.push(SEED);
    this.task = task;
    let hash = this.runs[this.runs.length - 1];
    const { words, used } = L;
    for (let at = 0; at < used; at += LOG_ENTRY.words) {
      const step = firstStep + granted - words[at + LOG_ENTRY.budget];
      hash = Math.imul(hash ^ words[at + LOG_ENTRY.at], PRIME);
      hash = Math.imul(hash ^ words[at + LOG_ENTRY.kind] ^ (step << 4), PRIME);
      hash = Math.imul(hash ^ words[at + LOG_ENTRY.value], PRIME);
      hash ^= hash >>> 15;
    }
    this.runs[this.runs.length - 1] = hash;
  }

  /** A digest per run of the execution that ran last, 8 hexadecimal digits each. */
  digests(): string[] {
    return this.runs.map((hash) => (hash >>> 0).toString(16).padStart(8, '0'));
  }
}
