/** The rows of a timeline: what happened, on which CPU, and which lock holds begin and end there. Widths come later. */

import { accessText } from './accessText.ts';
import {
  callOf,
  functionName,
  lastAccess,
  lockText,
  resumedFrame,
  segmentsOf,
  workingFrame,
  type Hold,
  type Segment,
} from './traceFacts.ts';
import type { Trace, TraceEvent } from './trace.ts';

export type RowStyle = 'access' | 'write' | 'lock' | 'switch' | 'wait' | 'place' | 'violation';

export interface Row {
  readonly step: number;
  /** Index of the task; -1: across all columns. */
  readonly task: number;
  readonly text: string;
  readonly style: RowStyle;
  readonly opens: readonly Hold[];
  readonly closes: readonly Hold[];
}

export interface RowOptions {
  /** Indexes of the accesses to show; null: all. */
  readonly shown: ReadonlySet<number> | null;
  readonly holds: readonly Hold[];
}

/** Rows of the events that are shown, in order. */
export function rowsOf(trace: Trace, { shown, holds }: RowOptions): Row[] {
  const writer = new RowWriter(trace, shown, holds);
  const segments = segmentsOf(trace);
  segments.forEach((segment, index) => writer.segment(segment, segments[index - 1]));
  writer.ending();
  return writer.rows;
}

class RowWriter {
  readonly rows: Row[] = [];
  private readonly trace: Trace;
  private readonly shown: ReadonlySet<number> | null;
  private readonly begins = new Map<number, Hold[]>();
  private readonly ends = new Map<number, Hold[]>();
  /** Function that the last row of each task was in. */
  private readonly inside: string[];

  constructor(trace: Trace, shown: ReadonlySet<number> | null, holds: readonly Hold[]) {
    this.trace = trace;
    this.shown = shown;
    this.inside = trace.tasks.map(() => '');
    for (const hold of holds) {
      this.begins.set(hold.from, [...(this.begins.get(hold.from) ?? []), hold]);
      this.ends.set(hold.to, [...(this.ends.get(hold.to) ?? []), hold]);
    }
  }

  segment(segment: Segment, before: Segment | undefined): void {
    const { events } = this.trace;
    this.add(segment.step, -1, this.switchText(segment, before), 'switch');
    this.inside[segment.task] = '';
    for (let index = segment.from; index < segment.to; index++) this.event(events[index], index);
  }

  /** What a deadlock ends with. */
  ending(): void {
    const { waits, steps, tasks } = this.trace;
    for (const { task, what, holders } of waits) {
      const by = holders.length === 0 ? '' : `, held by ${holders.map((holder) => tasks[holder]).join(' and ')}`;
      this.add(steps, -1, `${tasks[task]} waits for ${what}${by}`, 'wait');
    }
    const cycle = waitCycle(this.trace);
    if (cycle.length > 0) this.add(steps, -1, `cycle: ${cycle.map((task) => tasks[task]).join(' → ')}`, 'violation');
  }

  private event(event: TraceEvent, index: number): void {
    switch (event.type) {
      case 'access':
        if (this.isShown(index)) this.access(event, index);
        break;
      case 'lock':
        this.lock(event, index);
        break;
      case 'sleep':
        this.add(event.step, event.task, `sleeps: waits for ${event.what}`, 'wait');
        break;
      case 'relax':
        if (this.shown === null) this.add(event.step, event.task, `spins: waits for ${event.what}`, 'wait');
        break;
      case 'woken':
        this.add(event.step, event.task, `is woken by ${this.trace.tasks[event.by]}`, 'wait');
        break;
      case 'pick':
        if (this.isShown(index)) this.add(event.step, event.task, pickText(event.picked, event.options), 'access');
        break;
      case 'end':
        if (this.shown === null) this.add(event.step, event.task, 'is done', 'wait');
        break;
      case 'violation':
        this.add(event.step, -1, this.violationText(event), 'violation');
        break;
      case 'switch':
        break;
    }
  }

  private isShown(index: number): boolean {
    return this.shown === null || this.shown.has(index);
  }

  private access(event: TraceEvent & { type: 'access' }, index: number): void {
    const frame = workingFrame(event.stack());
    const name = frame === undefined ? '' : functionName(frame);
    const text = accessText(event, this.shown === null);
    const style = event.writes ? 'write' : 'access';
    const goesOn = this.inside[event.task] === name;
    this.inside[event.task] = name;
    if (this.shown !== null) {
      this.add(event.step, event.task, goesOn || name === '' ? `  ${text}` : `${name}() ${text}`, style, index);
      return;
    }
    if (frame !== undefined && !goesOn) {
      this.add(event.step, event.task, `${name}()  ${frame.file}:${frame.line}`, 'place');
    }
    this.add(event.step, event.task, `  ${text}`, style, index);
  }

  private lock(event: TraceEvent & { type: 'lock' }, index: number): void {
    const begins = this.begins.has(index);
    const ends = this.ends.has(index);
    if (!begins && !ends) return;
    const verb = { acquired: 'locks', released: 'unlocks', downgraded: 'downgrades' }[event.action];
    const text = `${verb} ${lockText(event)}${event.contended ? ' after a wait' : ''}`;
    const last = this.rows.at(-1);
    // Locks taken one after the other, or dropped, make one row.
    if (this.shown !== null && last?.style === 'lock' && last.task === event.task && last.text.startsWith(`${verb} `)) {
      this.rows.pop();
      const opens = [...last.opens, ...(this.begins.get(index) ?? [])];
      const closes = [...last.closes, ...(this.ends.get(index) ?? [])];
      this.rows.push({ ...last, text: `${last.text}, ${text.slice(verb.length + 1)}`, opens, closes });
      return;
    }
    this.add(event.step, event.task, text, 'lock', index);
  }

  private switchText(segment: Segment, before: Segment | undefined): string {
    const { trace } = this;
    const runs = `${trace.tasks[segment.task]} ${this.hasRun(segment) ? 'goes on' : 'runs'}${this.whereTo(segment)}`;
    if (before === undefined) return runs;
    const left = trace.tasks[before.task];
    const why = {
      preempted: `is preempted${this.whereIn(before)}`,
      sleep: 'sleeps',
      relax: 'spins',
      end: 'is done',
      over: 'stops',
    }[before.end];
    return `${left} ${why}; ${runs}`;
  }

  private hasRun({ task, from }: Segment): boolean {
    return lastAccess(this.trace, from, task) !== undefined;
  }

  private whereIn({ task, to }: Segment): string {
    const frame = workingFrame(lastAccess(this.trace, to, task)?.stack() ?? []);
    return frame === undefined ? '' : ` in ${functionName(frame)}`;
  }

  /** The function in which a segment begins; of a task's first, the one it is all about. */
  private whereTo(segment: Segment): string {
    const { events } = this.trace;
    const accesses = events.slice(segment.from, segment.to).filter((event) => event.type === 'access');
    if (accesses.length === 0) return '';
    if (this.hasRun(segment)) {
      const frame = resumedFrame(this.trace, segment);
      return frame === undefined ? '' : ` in ${functionName(frame)}`;
    }
    const call = callOf(accesses);
    return call === undefined ? '' : ` ${functionName(call)}`;
  }

  private violationText({ violation, task, stack }: TraceEvent & { type: 'violation' }): string {
    const { kind, title } = violation;
    const what = title.startsWith(`${kind}:`) ? title : `${kind}: ${title}`;
    if (task < 0) return what;
    const frame = workingFrame(stack());
    const where = frame === undefined ? '' : ` in ${functionName(frame)}`;
    return `${this.trace.tasks[task]}${where}: ${what}`;
  }

  private add(step: number, task: number, text: string, style: RowStyle, index = -1): void {
    const opens = this.begins.get(index) ?? [];
    const closes = this.ends.get(index) ?? [];
    this.rows.push({ step, task, text, style, opens, closes });
  }
}

function pickText(picked: number, options: number): string {
  return options === 2 && picked === 1 ? 'an allocation is made to fail' : `option ${picked} of ${options} is picked`;
}

/** Tasks that wait for each other in a circle, the first one again at the end; empty if there is no circle. */
export function waitCycle({ waits }: Trace): number[] {
  const blockers = new Map(waits.map(({ task, holders }) => [task, holders]));
  const follow = (path: readonly number[]): number[] => {
    for (const holder of blockers.get(path[path.length - 1]) ?? []) {
      if (path.includes(holder)) return [...path.slice(path.indexOf(holder)), holder];
      const found = blockers.has(holder) ? follow([...path, holder]) : [];
      if (found.length > 0) return found;
    }
    return [];
  };
  for (const { task } of waits) {
    const cycle = follow([task]);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
