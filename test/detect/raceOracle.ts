/**
 * Happens-before by the book, for traces: each event has the set of all events before it, every pair of accesses is compared.
 * Slow, and without clocks.
 */
import { ACCESS } from '../../src/instrument/runtime.ts';

export interface TraceEvent {
  readonly task: number;
  readonly kind: number;
  readonly at: number;
}

type Events = ReadonlySet<number>;
const NONE: Events = new Set();

const join = (...sets: readonly Events[]): Events => new Set(sets.flatMap((set) => [...set]));
const isRelaxedRead = (kind: number): boolean => kind === ACCESS.readOnce || kind === ACCESS.casFailed;

const WRITES = [ACCESS.write, ACCESS.writeOnce, ACCESS.release, ACCESS.rmw] as readonly number[];
const READS = [ACCESS.read, ACCESS.readOnce, ACCESS.acquire, ACCESS.casFailed, ACCESS.park] as readonly number[];
const PLAIN = [ACCESS.read, ACCESS.write] as readonly number[];

/** Index of the first event that races with an earlier one; -1 if none does. */
export function firstRace(trace: readonly TraceEvent[]): number {
  const before: Events[] = [];
  const told = new Map<number, Events>();
  const pending = new Map<number, Events>();
  const barrier = new Map<number, Events>();
  const last = new Map<number, number>();
  for (const [index, { task, kind, at }] of trace.entries()) {
    const previous = last.get(task);
    let known = previous === undefined ? NONE : join(before[previous], new Set([previous]));
    const value = told.get(at) ?? NONE;
    const fenced = kind === ACCESS.rmw || kind === ACCESS.fence;
    if (isRelaxedRead(kind)) pending.set(task, join(pending.get(task) ?? NONE, value));
    if (kind === ACCESS.acquire || kind === ACCESS.park || kind === ACCESS.rmw) known = join(known, value);
    if (fenced) {
      known = join(known, pending.get(task) ?? NONE);
      pending.delete(task);
    }
    before.push(known);
    last.set(task, index);
    const seen = isRelaxedRead(kind) ? join(known, value) : known;
    for (let earlier = 0; earlier < index; earlier++) {
      if (conflict(trace[earlier], trace[index]) && !seen.has(earlier)) return index;
    }
    const all = join(known, new Set([index]));
    if (fenced) barrier.set(task, all);
    if (kind === ACCESS.release || kind === ACCESS.rmw) told.set(at, all);
    else if (kind === ACCESS.wake) told.set(at, join(value, all));
    else if (kind === ACCESS.writeOnce) told.set(at, barrier.get(task) ?? NONE);
  }
  return -1;
}

function conflict(first: TraceEvent, second: TraceEvent): boolean {
  const touches = ({ kind }: TraceEvent): boolean => WRITES.includes(kind) || READS.includes(kind);
  if (first.at !== second.at || first.task === second.task || !touches(first) || !touches(second)) return false;
  const writes = WRITES.includes(first.kind) || WRITES.includes(second.kind);
  return writes && (PLAIN.includes(first.kind) || PLAIN.includes(second.kind));
}
