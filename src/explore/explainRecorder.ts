/**
 * Writes down everything that happens in one execution. It stands where the execution passes anyway: it is told of each
 * access, of lock operations, of violations, and as a strategy it sees why a task stopped and who goes on.
 */

import type { Violation } from '../base/finding.ts';
import { placeName, type WordNames } from '../check/wordNames.ts';
import type { LockStatsHook } from '../cpu/hooks.ts';
import type { Task } from '../cpu/task.ts';
import { ACCESS, S, WRITING, parkedWord, pointsLeft } from '../instrument/runtime.ts';
import { rwSemWriter } from '../layout/lockWords.ts';
import type { RwSemPtr } from '../layout/ids.ts';
import { LOCK_CLASSES } from '../layout/lockClass.ts';
import type { AccessName, LockEvent, Stack, TraceEvent } from '../report/trace.ts';
import { captureStack } from './explainStack.ts';
import { ASKED, SchedulerView, type Strategy } from './strategy.ts';
import type { World } from './world.ts';

const ACCESS_NAMES = Object.keys(ACCESS) as AccessName[];

export class TraceRecorder<T> implements Strategy, LockStatsHook {
  readonly name = 'explain';
  readonly events: TraceEvent[] = [];
  private readonly inner: Strategy;
  private readonly world: World<T>;
  private readonly names: WordNames;
  private readonly before: Int32Array;
  private view = new SchedulerView();
  private sleepers = 0;
  /** Task chosen last. */
  private running = -1;
  /** Step in which a detector spoke, -1 before. */
  private brokenAt = -1;

  constructor(world: World<T>, names: WordNames, inner: Strategy) {
    this.world = world;
    this.names = names;
    this.inner = inner;
    this.before = new Int32Array(world.heap.length);
  }

  begin(execution: number, view: SchedulerView): boolean {
    this.view = view;
    return this.inner.begin(execution, view);
  }

  choose(view: SchedulerView): number {
    if (view.current < 0) this.before.set(this.world.heap);
    else this.stopped(view);
    const next = this.inner.choose(view);
    if (view.current >= 0 && next !== view.current) {
      const preempted = (view.runnable & (1 << view.current)) !== 0;
      this.events.push({ type: 'switch', step: view.steps, task: view.current, to: next, preempted });
    }
    this.running = next;
    return next;
  }

  pick(view: SchedulerView, options: number): number {
    const picked = this.inner.pick?.(view, options) ?? 0;
    this.events.push({ type: 'pick', ...this.now(), picked, options, stack: this.lastStack(this.running) });
    return picked;
  }

  end(view: SchedulerView, failed: boolean): void {
    this.inner.end(view, failed);
  }

  /** The running task has touched a word. */
  access(at: number, kind: number, value: number): void {
    if (kind === ACCESS.extent) return;
    const { names, before, world } = this;
    const writes = kind !== ACCESS.wake && ((1 << kind) & WRITING) !== 0;
    const was = writes && kind !== ACCESS.alloc && kind !== ACCESS.free ? before[at] : value;
    const stack = captureStack();
    const here = this.now();
    this.events.push({
      type: 'access',
      ...here,
      at,
      access: ACCESS_NAMES[kind],
      writes,
      place: names.place(at),
      before: was,
      after: value,
      was: names.value(at, was),
      is: names.value(at, value),
      stack,
    });
    if (writes) {
      const change = names.lockChange(at, was, value);
      if (change !== null) this.lock(at, change.action, change.mode, false);
    }
    before.set(world.heap);
  }

  acquired(task: Task, lock: number, cls: number, contended: boolean): void {
    this.lock(lock, 'acquired', this.lockMode(task, lock, cls), contended);
  }

  released(task: Task, lock: number, cls: number): void {
    this.lock(lock, 'released', this.lockMode(task, lock, cls), false);
  }

  /** A detector spoke, or something was thrown. @param isOver the threads have finished: it was the check at the end */
  found(violation: Violation, isOver: boolean, stack: Stack = captureStack()): void {
    const here = isOver ? { step: this.view.steps, task: -1 } : this.now();
    this.brokenAt = here.step;
    this.events.push({ type: 'violation', ...here, violation, stack });
  }

  /** The execution is over, and nothing was thrown: notes why the last task stopped. */
  close(): void {
    const after = this.events.findIndex((event) => event.type === 'violation' && event.task < 0);
    const atTheEnd = after < 0 ? [] : this.events.splice(after);
    this.stopped(this.view);
    this.events.push(...atTheEnd);
  }

  private lock(lock: number, action: LockEvent['action'], mode: LockEvent['mode'], contended: boolean): void {
    const name = this.names.lock(lock);
    const { step, task } = this.now();
    const event: LockEvent = { type: 'lock', step, task, action, lock, name, mode, contended, stack: captureStack() };
    const got = action === 'acquired' ? this.lastAccess(task) : -1;
    // It is told of a lock only when the task runs on behind the access that got it, and others may have run before.
    if (got < 0) this.events.push(event);
    else this.events.splice(got + 1, 0, { ...event, step: this.events[got].step });
  }

  private lockMode(task: Task, lock: number, cls: number): LockEvent['mode'] {
    if (LOCK_CLASSES[cls]?.family !== 'rwsem') return '';
    return rwSemWriter(task.heap, lock as RwSemPtr) === task.id ? 'write' : 'read';
  }

  /** Why the task that ran last did not go on. */
  private stopped({ current: task, reason, steps: step }: SchedulerView): void {
    const woken = this.sleepers & ~S.parked;
    for (let rest = woken; rest !== 0; rest &= rest - 1) {
      this.events.push({ type: 'woken', step, task: 31 - Math.clz32(rest & -rest), by: task });
    }
    this.sleepers = S.parked;
    if (reason === ASKED.finished) this.events.push({ type: 'end', step, task });
    else if (reason === ASKED.parked) this.waits('sleep', task, step);
    else if (reason === ASKED.relaxed) this.waits('relax', task, step);
  }

  private waits(type: 'sleep' | 'relax', task: number, step: number): void {
    const lock = type === 'sleep' ? (this.world.waitsFor?.(task) ?? 0) : 0;
    const word = (S.parked & (1 << task)) === 0 ? S.at : parkedWord(task);
    const what = lock !== 0 ? this.names.lock(lock) : type === 'relax' ? 'others' : placeName(this.names.place(word));
    this.events.push({ type, step, task, what, lock, stack: this.lastStack(task) });
  }

  private lastStack(task: number): Stack {
    const last = this.events.at(this.lastAccess(task));
    return last?.type === 'access' ? last.stack : () => [];
  }

  /** Index of the last access of a task, -1 if it has made none. */
  private lastAccess(task: number): number {
    return this.events.findLastIndex((event) => event.type === 'access' && event.task === task);
  }

  private now(): { step: number; task: number } {
    const { firstStep, granted } = this.view;
    // Whoever is found out yields at the next point: the points it was denied are not passed.
    const step = this.brokenAt < 0 ? firstStep + granted - pointsLeft() : this.brokenAt;
    return { step, task: this.running };
  }
}
