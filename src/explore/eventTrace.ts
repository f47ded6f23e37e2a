/**
 * The steps of an execution as events: what each touched, which earlier ones it depends on, what happened before it
 * (vector clocks), and which of the earlier ones it races with. Kept as a stack: the last event can be taken off again.
 *
 * An event is known by its place on the strategy's stack. Two steps of different tasks depend on each other when they touch
 * a word in ways that do not commute. A step that touches nothing is no event.
 */

import { ACCESS, L, LOG_ENTRY, WRITING } from '../instrument/runtime.ts';
import { SHORT, extended } from './growing.ts';

/** How a word was touched, as far as that matters for dependence. */
const TOUCH = { read: 0, write: 1, park: 2, lock: 3, unlock: 4, lockShared: 5, unlockShared: 6 } as const;

const KINDS = Object.keys(ACCESS).length;
const TOUCH_OF_ACCESS = Uint8Array.from({ length: KINDS }, (_, kind) => touchOf(kind));

/** Bit for each kind of touch that does not commute with this one. Reads commute, and so do sharers of a lock. */
const DEPENDS = [0b111_1010, 0b111_1111, 0b111_1110, 0b111_1111, 0b111_1111, 0b001_1111, 0b001_1111];
/** Kinds that depend on all: whatever touched the word before them, happened before them. */
const ENDS_WALK = (1 << TOUCH.write) | (1 << TOUCH.lock) | (1 << TOUCH.unlock);
const LOCKS = (1 << TOUCH.lock) | (1 << TOUCH.lockShared);
const UNLOCKS = (1 << TOUCH.unlock) | (1 << TOUCH.unlockShared);

/** A record: word, kind of touch, the record before it of the same word, its event. Records are numbered from 1. */
const WORDS = 4;

/** Event `at` and the one that is judged race; the other one is of `task`, and `clock` is what happened before it. */
type RaceSink = (at: number, task: number, clock: Int32Array, clockAt: number) => void;

export class EventTrace {
  /** Per event: its task, -1 for what is none; its clock, a number per task: the last event of that task, plus one. */
  task = new Int32Array(SHORT).fill(-1);
  clocks = new Int32Array(SHORT);
  tasks = 1;
  private records = new Int32Array(SHORT);
  private used = WORDS;
  /** Last record of each word, 0 for none. */
  private last = new Int32Array(SHORT);
  private readonly lastEvent: number[] = [];
  /** Per event: its records, and the event of the same task before it. */
  private first = new Int32Array(SHORT);
  private end = new Int32Array(SHORT);
  private before = new Int32Array(SHORT);
  private clock = new Int32Array(1);
  private readonly candidates: number[] = [];

  /** Forgets everything. @param tasks of the program */
  clear(tasks: number): void {
    this.tasks = tasks;
    this.used = WORDS;
    this.last.fill(0);
    this.task.fill(-1);
    if (this.clock.length !== tasks) this.clock = new Int32Array(tasks);
    for (let task = 0; task < tasks; task++) this.lastEvent[task] = -1;
  }

  /** Puts down what `task` touched in entries `from` to `to` of the log. @returns false if that is nothing */
  add(at: number, task: number, from: number, to: number): boolean {
    this.reserve(at);
    this.first[at] = this.used;
    this.task[at] = -1;
    for (let i = from; i < to; i += LOG_ENTRY.words) this.record(at, i);
    this.end[at] = this.used;
    if (this.used === this.first[at]) return false;
    this.task[at] = task;
    this.before[at] = this.lastEvent[task];
    this.lastEvent[task] = at;
    this.setClock(at, task);
    return true;
  }

  /** Takes the last event off. Its records stay readable until another one is added behind `keep`. */
  remove(at: number): void {
    if (this.task[at] < 0) return;
    for (let record = this.end[at] - WORDS; record >= this.first[at]; record -= WORDS) {
      this.last[this.records[record]] = this.records[record + 2];
    }
    this.lastEvent[this.task[at]] = this.before[at];
    this.task[at] = -1;
  }

  /** Records of an event that was removed stay where they are; new ones come behind them, or in their place. */
  rewind(at: number, keepsRecords: boolean): void {
    this.used = keepsRecords ? this.end[at] : this.first[at];
  }

  /** Where the records of an event begin and end, to compare it with others later. */
  extentOf(at: number): [number, number] {
    return [this.first[at], this.end[at]];
  }

  /** True if the step whose records are given depends on event `at`. */
  isDependent(at: number, from: number, to: number): boolean {
    const { records } = this;
    for (let a = this.first[at]; a < this.end[at]; a += WORDS) {
      for (let b = from; b < to; b += WORDS) {
        if (records[a] === records[b] && (DEPENDS[records[a + 1]] & (1 << records[b + 1])) !== 0) return true;
      }
    }
    return false;
  }

  /** True if event `other` happened before event `at`, or is it. */
  happenedBefore(other: number, at: number): boolean {
    return this.clocks[at * this.tasks + this.task[other]] > other;
  }

  /** Tells which events race with event `at`: nothing orders the two but that they happened in this order. */
  races(at: number, sink: RaceSink): void {
    const task = this.task[at];
    this.candidates.length = 0;
    for (let record = this.first[at]; record < this.end[at]; record += WORDS) {
      this.collect(this.records[record + 1], this.records[record + 2], task, at);
    }
    this.judge(task, this.before[at], sink, this.clocks, at * this.tasks);
  }

  /** The same for a lock that `task` waits for: who has it could have come later. */
  racesOfWaiting(word: number, shared: boolean, task: number, sink: RaceSink): void {
    this.candidates.length = 0;
    if (word >= this.last.length) return;
    this.collect(shared ? TOUCH.lockShared : TOUCH.lock, this.last[word], task, Infinity);
    const before = this.lastEvent[task];
    const clock = new Int32Array(this.tasks);
    if (before >= 0) clock.set(this.clocks.subarray(before * this.tasks, (before + 1) * this.tasks));
    this.judge(task, before, sink, clock, 0);
  }

  private record(at: number, entry: number): void {
    const kind = L.words[entry + LOG_ENTRY.kind];
    if (kind === ACCESS.fence) return;
    const word = L.words[entry + LOG_ENTRY.at];
    const words = kind === ACCESS.extent ? L.words[entry + LOG_ENTRY.value] : 1;
    const touch = TOUCH_OF_ACCESS[kind];
    for (let i = 0; i < words; i++) this.put(at, word + i, touch);
  }

  private put(at: number, word: number, touch: number): void {
    if (word >= this.last.length) this.last = extended(this.last, word + 1);
    if (this.used === this.records.length) this.records = extended(this.records, this.used + WORDS);
    const { records, used } = this;
    records[used] = word;
    records[used + 1] = touch;
    records[used + 2] = this.last[word];
    records[used + 3] = at;
    this.last[word] = used;
    this.used = used + WORDS;
  }

  /** What happened before an event: what did before the task's last one, and before each it depends on. */
  private setClock(at: number, task: number): void {
    const { records, clocks, tasks } = this;
    const to = at * tasks;
    const before = this.before[at];
    if (before < 0) clocks.fill(0, to, to + tasks);
    else clocks.copyWithin(to, before * tasks, (before + 1) * tasks);
    for (let own = this.first[at]; own < this.end[at]; own += WORDS) {
      const depends = DEPENDS[records[own + 1]];
      for (let record = records[own + 2]; record !== 0; record = records[record + 2]) {
        const touch = 1 << records[record + 1];
        const other = records[record + 3];
        if ((depends & touch) !== 0 && other !== at) join(clocks, to, clocks, other * tasks, tasks);
        if ((touch & ENDS_WALK) !== 0) break;
      }
    }
    clocks[to + task] = at + 1;
  }

  /**
   * Collects the events that may race with a touch. A lock can be taken only after it was given back: it races with the
   * taking, not with the giving back.
   */
  private collect(touch: number, from: number, task: number, at: number): void {
    const { records, candidates } = this;
    const locks = ((1 << touch) & LOCKS) !== 0;
    for (let record = from; record !== 0; record = records[record + 2]) {
      const other = records[record + 3];
      const bit = 1 << records[record + 1];
      if (locks && (bit & UNLOCKS) !== 0) continue;
      if (other !== at && this.task[other] !== task && (DEPENDS[touch] & bit) !== 0) candidates.push(other);
      if ((bit & ENDS_WALK) !== 0) break;
    }
  }

  private judge(task: number, before: number, sink: RaceSink, clock: Int32Array, clockAt: number): void {
    const { candidates, clocks, tasks } = this;
    if (candidates.length === 0) return;
    if (candidates.length > 1) candidates.sort((a, b) => b - a);
    const known = this.clock;
    if (before < 0) known.fill(0);
    else known.set(clocks.subarray(before * tasks, (before + 1) * tasks));
    for (const other of candidates) {
      if (known[this.task[other]] > other) continue;
      sink(other, task, clock, clockAt);
      join(known, 0, clocks, other * tasks, tasks);
    }
  }

  private reserve(at: number): void {
    if ((at + 1) * this.tasks > this.clocks.length) this.clocks = extended(this.clocks, (at + 1) * this.tasks);
    if (at < this.task.length) return;
    const known = this.task.length;
    this.task = extended(this.task, at + 1).fill(-1, known);
    this.first = extended(this.first, at + 1);
    this.end = extended(this.end, at + 1);
    this.before = extended(this.before, at + 1);
  }
}

function join(to: Int32Array, toAt: number, from: Int32Array, fromAt: number, tasks: number): void {
  for (let i = 0; i < tasks; i++) if (from[fromAt + i] > to[toAt + i]) to[toAt + i] = from[fromAt + i];
}

function touchOf(kind: number): number {
  if (kind === ACCESS.park) return TOUCH.park;
  if (kind === ACCESS.lock) return TOUCH.lock;
  if (kind === ACCESS.unlock) return TOUCH.unlock;
  if (kind === ACCESS.lockShared) return TOUCH.lockShared;
  if (kind === ACCESS.unlockShared) return TOUCH.unlockShared;
  const writes = kind === ACCESS.extent || ((1 << kind) & WRITING) !== 0;
  return writes ? TOUCH.write : TOUCH.read;
}
