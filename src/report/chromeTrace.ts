/**
 * A trace in the trace event format, which Perfetto and chrome://tracing open: a thread per CPU with the kernel functions
 * as slices, a second one with its lock holds, and instants where detectors spoke. A step is a microsecond.
 */

import { placeName } from '../check/wordNames.ts';
import { accessText } from './accessText.ts';
import { functionName, holdsOf, kernelFrames, lockText, segmentsOf } from './traceFacts.ts';
import type { Frame, Trace } from './trace.ts';

/** One event of the format, as far as it is used here. */
export interface ChromeEvent {
  readonly name: string;
  readonly cat: string;
  /** X complete slice, i instant, M metadata. */
  readonly ph: 'X' | 'i' | 'M';
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  /** Scope of an instant: thread, process, global. */
  readonly s?: 't' | 'p' | 'g';
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface ChromeTrace {
  readonly traceEvents: readonly ChromeEvent[];
  readonly displayTimeUnit: 'ns';
}

const PID = 1;
/** Threads with the lock holds come behind the CPUs; a hold that overlaps another one without lying inside gets the next. */
const LOCK_THREADS = 100;
const LOCK_LANES = 16;

/** The document. @param roles what each thread does */
export function chromeTrace(trace: Trace, roles: readonly string[] = []): ChromeTrace {
  const functions = trace.tasks.flatMap((_, task) => functionSlices(trace, task));
  const traceEvents = [...threadNames(trace, roles), ...functions, ...lockSlices(trace), ...instants(trace)];
  return { traceEvents, displayTimeUnit: 'ns' };
}

function threadNames({ tasks }: Trace, roles: readonly string[]): ChromeEvent[] {
  return tasks.flatMap((name, task) => {
    const role = roles.at(task);
    return [
      metadata('thread_name', task + 1, { name: role === undefined ? name : `${name}: ${role}` }),
      metadata('thread_sort_index', task + 1, { sort_index: task * LOCK_THREADS }),
    ];
  });
}

function metadata(name: string, tid: number, args: Readonly<Record<string, unknown>>): ChromeEvent {
  return { name, cat: '__metadata', ph: 'M', ts: 0, pid: PID, tid, args };
}

interface OpenSlice {
  readonly frame: Frame;
  readonly from: number;
  readonly accesses: string[];
}

/** Slices of the functions of one task: while it runs, as deep as its stack. A switch ends them all. */
function functionSlices(trace: Trace, task: number): ChromeEvent[] {
  const slices: ChromeEvent[] = [];
  for (const segment of segmentsOf(trace)) {
    if (segment.task !== task) continue;
    const open: OpenSlice[] = [];
    let end = segment.step;
    for (const event of trace.events.slice(segment.from, segment.to)) {
      if (event.type !== 'access') continue;
      const frames = kernelFrames(event.stack()).toReversed();
      let same = 0;
      while (same < open.length && same < frames.length && isSameCall(open[same], frames, same)) same++;
      closeSlices(slices, open, same, event.step, task);
      for (const frame of frames.slice(same)) open.push({ frame, from: event.step, accesses: [] });
      open.at(-1)?.accesses.push(`${event.step}: ${accessText(event, true)}`);
      end = event.step + 1;
    }
    closeSlices(slices, open, 0, end, task);
  }
  return slices;
}

/** Same function called from the same line; the innermost one may be anywhere in it. */
function isSameCall({ frame }: OpenSlice, frames: readonly Frame[], depth: number): boolean {
  return frame.name === frames[depth].name && frame.file === frames[depth].file;
}

function closeSlices(slices: ChromeEvent[], open: OpenSlice[], keep: number, at: number, task: number): void {
  for (const { frame, from, accesses } of open.splice(keep).toReversed()) {
    const args = { source: `${frame.file}:${frame.line}`, ...(accesses.length === 0 ? {} : { accesses }) };
    const dur = Math.max(at - from, 1);
    slices.push({ name: functionName(frame), cat: 'function', ph: 'X', ts: from, dur, pid: PID, tid: task + 1, args });
  }
}

/** Lock holds, each on the first lane of its CPU where it overlaps none: holds need not nest. */
function lockSlices(trace: Trace): ChromeEvent[] {
  const events: ChromeEvent[] = [];
  const lanes = new Map<number, number>();
  const stepOf = (index: number): number => trace.events.at(index)?.step ?? trace.steps;
  for (const { task, from, to, name, mode } of holdsOf(trace)) {
    const ts = stepOf(from);
    const end = to >= trace.events.length ? trace.steps : stepOf(to);
    const tid = freeLane(lanes, task, ts, end);
    if (!lanes.has(-tid)) {
      lanes.set(-tid, 0);
      events.push(metadata('thread_name', tid, { name: `${trace.tasks[task]} locks` }));
      events.push(metadata('thread_sort_index', tid, { sort_index: task * LOCK_THREADS + (tid % LOCK_THREADS) + 1 }));
    }
    const dur = Math.max(end - ts, 1);
    events.push({ name: lockText({ name, mode }), cat: 'lock', ph: 'X', ts, dur, pid: PID, tid });
  }
  return events;
}

function freeLane(lanes: Map<number, number>, task: number, from: number, to: number): number {
  const first = (task + 1) * LOCK_THREADS;
  let tid = first;
  while (tid < first + LOCK_LANES && (lanes.get(tid) ?? 0) > from) tid++;
  lanes.set(tid, Math.max(to, from + 1));
  return tid;
}

function instants({ events, waits, steps, tasks }: Trace): ChromeEvent[] {
  const found: ChromeEvent[] = [];
  const instant = (name: string, ts: number, tid: number, args?: ChromeEvent['args']): void => {
    found.push({ name, cat: 'event', ph: 'i', ts, pid: PID, tid, s: 't', ...(args === undefined ? {} : { args }) });
  };
  for (const event of events) {
    const tid = event.task + 1;
    if (event.type === 'violation') {
      const { kind, title, evidence } = event.violation;
      const scope = { pid: PID, s: 'g', cat: 'violation', ph: 'i' } as const;
      found.push({ ...scope, name: `${kind}: ${title}`, ts: event.step, tid: Math.max(tid, 1), args: { evidence } });
    } else if (event.type === 'switch') {
      if (event.preempted) instant('preempted', event.step, tid, { by: tasks[event.to] });
    } else if (event.type === 'sleep') instant(`sleeps: waits for ${event.what}`, event.step, tid);
    else if (event.type === 'woken') instant(`woken by ${tasks[event.by]}`, event.step, tid);
    else if (event.type === 'access' && (event.access === 'alloc' || event.access === 'free')) {
      instant(`${event.access} ${placeName({ ...event.place, field: '' }, false)}`, event.step, tid);
    }
  }
  for (const { task, what } of waits) instant(`never gets ${what}`, steps, task + 1);
  return found;
}
