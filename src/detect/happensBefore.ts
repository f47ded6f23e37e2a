/**
 * Happens-before as vector clocks: who has heard of which steps of whom.
 *
 * As the kernel's memory model has it, in terms of words: an acquire hears what the release it reads from knew; a
 * read-modify-write is a full barrier and both; a wake-up is a release and a return from sleep an acquire of the futex
 * word; a marked relaxed load hears at the next full barrier, a marked relaxed store tells what was known at the last one. A
 * plain access tells nothing. The free of an object is a release to its next allocation, by its generation word. RCU needs nothing of its own: its read sections and grace periods are accesses to the words of
 * src/locks/rcu.ts.
 *
 * Not modelled: order by address, data and control dependencies. Where the kernel relies on one, the accessor is an acquire.
 */

import { ACCESS } from '../instrument/runtime.ts';

export class HappensBefore {
  readonly tasks: number;
  /** Clock of task t: what it knows of each task, at t * tasks; its own component is its time. */
  readonly clocks: Int32Array;
  /** What each task heard of by relaxed loads since its last full barrier, and what it knew at that barrier. */
  private readonly heard: Int32Array;
  private readonly fenced: Int32Array;
  /** Place in `told` of what a word's value tells; 0 nothing. */
  private readonly slotOf: Int32Array;
  private told: Int32Array;
  private slots = 1;
  private readonly touched: number[] = [];

  constructor(tasks: number, words: number) {
    this.tasks = tasks;
    this.clocks = new Int32Array(tasks * tasks);
    this.heard = new Int32Array(tasks * tasks);
    this.fenced = new Int32Array(tasks * tasks);
    this.slotOf = new Int32Array(words);
    this.told = new Int32Array(64 * tasks);
  }

  /** Nobody has done anything: what was before happens before everything. */
  clear(): void {
    const { tasks, clocks } = this;
    clocks.fill(0);
    for (let task = 0; task < tasks; task++) clocks[task * tasks + task] = 1;
    this.heard.fill(0);
    this.fenced.fill(0);
    for (const at of this.touched) this.slotOf[at] = 0;
    this.touched.length = 0;
    this.slots = 1;
  }

  /** Time of a task. */
  now(task: number): number {
    return this.clocks[task * this.tasks + task];
  }

  /** True if `task` has heard of what `other` did at its time `time`. */
  knows(task: number, other: number, time: number): boolean {
    return time <= this.clocks[task * this.tasks + other];
  }

  /** True if the value of a word tells what `other` did at its time `time`. */
  tells(at: number, other: number, time: number): boolean {
    const slot = this.slotOf[at];
    return slot !== 0 && time <= this.told[slot * this.tasks + other];
  }

  /** What an access brings its task; before the access itself is judged. */
  hear(task: number, at: number, kind: number): void {
    switch (kind) {
      case ACCESS.readOnce:
      case ACCESS.casFailed:
        this.listen(this.heard, task, at);
        return;
      case ACCESS.rmw:
        this.listen(this.clocks, task, at);
        this.fence(task);
        return;
      case ACCESS.acquire:
      case ACCESS.park:
      case ACCESS.lock:
      case ACCESS.lockShared:
        this.listen(this.clocks, task, at);
        return;
      case ACCESS.alloc:
        this.listen(this.clocks, task, at - 1);
        return;
      case ACCESS.fence:
        this.fence(task);
        return;
      default:
    }
  }

  /** What an access tells others; after it was judged. */
  tell(task: number, at: number, kind: number): void {
    switch (kind) {
      case ACCESS.writeOnce:
        this.publish(this.fenced, task, at);
        return;
      case ACCESS.release:
      case ACCESS.rmw:
        this.publish(this.clocks, task, at);
        break;
      case ACCESS.free:
        this.publish(this.clocks, task, at - 1);
        break;
      case ACCESS.wake:
      case ACCESS.unlock:
      case ACCESS.unlockShared:
        this.publishToo(task, at);
        break;
      case ACCESS.fence:
        break;
      default:
        return;
    }
    this.clocks[task * this.tasks + task]++;
  }

  /** Full barrier: what relaxed loads brought counts now, what is known now relaxed stores will tell. */
  private fence(task: number): void {
    const { tasks, clocks, heard, fenced } = this;
    for (let i = task * tasks; i < (task + 1) * tasks; i++) {
      if (heard[i] > clocks[i]) clocks[i] = heard[i];
      heard[i] = 0;
      fenced[i] = clocks[i];
    }
  }

  /** Joins what the value of a word tells into a clock of a task. */
  private listen(into: Int32Array, task: number, at: number): void {
    const slot = this.slotOf[at];
    if (slot === 0) return;
    const { tasks, told } = this;
    for (let i = 0; i < tasks; i++) {
      const time = told[slot * tasks + i];
      if (time > into[task * tasks + i]) into[task * tasks + i] = time;
    }
  }

  /** The value of a word now tells what a clock of a task knows, and nothing else. */
  private publish(from: Int32Array, task: number, at: number): void {
    const { tasks } = this;
    let slot = this.slotOf[at];
    if (slot === 0) slot = this.newSlot(at);
    const { told } = this;
    for (let i = 0; i < tasks; i++) told[slot * tasks + i] = from[task * tasks + i];
  }

  /** The value of a word goes on telling what it told, and what a task knows. */
  private publishToo(task: number, at: number): void {
    const { tasks, clocks } = this;
    let slot = this.slotOf[at];
    if (slot === 0) {
      slot = this.newSlot(at);
      this.told.fill(0, slot * tasks, (slot + 1) * tasks);
    }
    const { told } = this;
    for (let i = 0; i < tasks; i++) {
      const time = clocks[task * tasks + i];
      if (time > told[slot * tasks + i]) told[slot * tasks + i] = time;
    }
  }

  private newSlot(at: number): number {
    const slot = this.slots++;
    if ((slot + 1) * this.tasks > this.told.length) {
      const told = new Int32Array(this.told.length * 2);
      told.set(this.told);
      this.told = told;
    }
    this.slotOf[at] = slot;
    this.touched.push(at);
    return slot;
  }
}
