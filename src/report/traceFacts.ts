/**
 * What follows from a trace: who ran when and why it stopped, who held which lock, which accesses passed something from one
 * CPU to another. Timelines and stories are made of these.
 */

import type { FindingKind } from '../base/finding.ts';
import type { AccessEvent, Frame, LockEvent, Trace, TraceEvent } from './trace.ts';

/** One task runs, without a switch. */
export interface Segment {
  readonly task: number;
  /** Indexes of its events: the first, and the one behind the last. */
  readonly from: number;
  readonly to: number;
  readonly step: number;
  /** Why it stopped. */
  readonly end: 'preempted' | 'sleep' | 'relax' | 'end' | 'over';
}

/** A lock is held by a task. */
export interface Hold {
  readonly task: number;
  readonly lock: number;
  readonly name: string;
  readonly mode: LockEvent['mode'];
  /** Indexes of the events that begin and end it; the number of events if nothing ends it. */
  readonly from: number;
  to: number;
}

/** Two accesses to one word by different CPUs, one right after the other, at least one a write. */
export interface Meeting {
  /** Indexes of the events. */
  readonly first: number;
  readonly second: number;
}

/** Who ran from when to when. */
export function segmentsOf({ events }: Trace): Segment[] {
  const segments: Segment[] = [];
  let from = 0;
  for (let index = 0; index <= events.length; index++) {
    const event = events.at(index);
    if (index < events.length && event?.type !== 'switch') continue;
    const inside = events.slice(from, index);
    const task = inside.find((candidate) => candidate.task >= 0 && candidate.type !== 'woken')?.task ?? event?.task;
    if (task !== undefined && inside.length > 0) {
      segments.push({ task, from, to: index, step: inside[0].step, end: endOf(inside, event) });
    }
    from = index + 1;
  }
  return segments;
}

function endOf(inside: readonly TraceEvent[], next: TraceEvent | undefined): Segment['end'] {
  const last = inside.findLast((event) => event.type !== 'woken' && event.type !== 'violation');
  if (last?.type === 'sleep' || last?.type === 'relax' || last?.type === 'end') return last.type;
  return next?.type === 'switch' && next.preempted ? 'preempted' : 'over';
}

/** Every lock hold, in the order in which they begin. */
export function holdsOf({ events }: Trace): Hold[] {
  const holds: Hold[] = [];
  const open = new Map<number, Hold[]>();
  events.forEach((event, index) => {
    if (event.type !== 'lock') return;
    const { lock, name, mode, task } = event;
    const current = open.get(lock) ?? [];
    open.set(lock, current);
    if (event.action !== 'acquired') {
      // Somebody else may end it: a lock can be handed over.
      const own = current.findLastIndex((hold) => hold.task === task);
      const [ended] = current.splice(own >= 0 ? own : current.length - 1, 1);
      if (ended !== undefined) ended.to = index;
    }
    if (event.action === 'released') return;
    const hold = { task, lock, name, mode, from: index, to: events.length };
    holds.push(hold);
    current.push(hold);
  });
  return holds;
}

/** Everything that passes between CPUs: each access and the next one to the same word, if another CPU makes it. */
export function meetingsOf({ events }: Trace): Meeting[] {
  const last = new Map<number, number>();
  const meetings: Meeting[] = [];
  events.forEach((event, index) => {
    if (event.type !== 'access') return;
    const first = last.get(event.at);
    if (first !== undefined) {
      const other = events[first] as AccessEvent;
      if (other.task !== event.task && (other.writes || event.writes)) meetings.push({ first, second: index });
    }
    last.set(event.at, index);
  });
  return meetings;
}

/** The kernel's spelling of a function of the simulated kernel; others as they are. */
export function functionName({ name, file }: Frame): string {
  if (!/^src\/(?:mm|locks)\//.test(file)) return name;
  const own = /\[as (\w+)\]/.exec(name)?.[1] ?? name;
  return own.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/^_/, '');
}

/** Functions of the simulated kernel, innermost first; all functions where none of them is. */
export function kernelFrames(frames: readonly Frame[]): readonly Frame[] {
  const kernel = frames.filter(({ file }) => isOfMm({ file }) || isOfLocks({ file }));
  return kernel.length > 0 ? kernel : frames;
}

/** What the task is busy with: the innermost function of the mm; without one the lock function that was called. */
export function workingFrame(frames: readonly Frame[]): Frame | undefined {
  return frames.find(isOfMm) ?? frames.findLast(isOfLocks) ?? frames.at(0);
}

/** What a stretch is all about: the outermost function of the mm, or else the outermost one with a name. */
export function callOf(accesses: readonly AccessEvent[]): Frame | undefined {
  for (const event of accesses) {
    const call = event.stack().findLast(isOfMm);
    if (call !== undefined) return call;
  }
  const frames = accesses.at(0)?.stack() ?? [];
  return frames.findLast(({ name }) => name !== '(anonymous)') ?? frames.at(0);
}

function isOfMm({ file }: { readonly file: string }): boolean {
  return file.startsWith('src/mm/');
}

function isOfLocks({ file }: { readonly file: string }): boolean {
  return file.startsWith('src/locks/');
}

/** The last access before an event, by the same task: where the task is. */
export function lastAccess({ events }: Trace, before: number, task: number): AccessEvent | undefined {
  for (let index = before - 1; index >= 0; index--) {
    const event = events[index];
    if (event.type === 'access' && event.task === task) return event;
  }
  return undefined;
}

/** Where a task is when it goes on: where it was left, though its next access may be in a function it returns to. */
export function resumedFrame(trace: Trace, { from, task }: Segment): Frame | undefined {
  return workingFrame(lastAccess(trace, from, task)?.stack() ?? []);
}

/** `mm#1.mmap_lock (write)`. */
export function lockText({ name, mode }: { readonly name: string; readonly mode: string }): string {
  return mode === '' ? name : `${name} (${mode})`;
}

/** Findings about locks: every lock of a kind that several CPUs take belongs to them. */
const LOCK_FINDINGS: readonly FindingKind[] = ['lock-order', 'deadlock', 'lock-recursion', 'hung'];

/** The lock holds that a finding about locks is about; none for other findings. */
export function holdsOfFinding(trace: Trace): Hold[] {
  if (!trace.violations.some(({ kind }) => LOCK_FINDINGS.includes(kind))) return [];
  const holds = holdsOf(trace);
  const takers = new Map<string, Set<number>>();
  for (const { name, task } of holds) {
    const kind = kindOfLock(name);
    takers.set(kind, (takers.get(kind) ?? new Set()).add(task));
  }
  return holds.filter(({ name }) => name !== 'rcu_read_lock' && takers.get(kindOfLock(name))!.size > 1);
}

/** Locks that differ in nothing but the object they belong to. */
function kindOfLock(name: string): string {
  return name.replace(/#\w+|pfn \d+/g, '');
}
