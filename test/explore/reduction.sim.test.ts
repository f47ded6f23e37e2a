/**
 * What is left out is nothing: random little programs, all of whose schedules are run one by one, have the same outcomes
 * under every reduction, and partial-order reduction runs exactly one schedule of each set of equivalent ones.
 */
import { describe, expect, it } from 'vitest';
import { cas, fetchAdd, load, store } from '../../src/arena/access.ts';
import { lockWord, lockWordShared, unlockWord, unlockWordShared } from '../../src/arena/wordLock.ts';
import { Prng } from '../../src/base/prng.ts';
import type { Sim } from '../../src/base/sim.ts';
import { allocationFails, cpuRelax, parkWhile, unpark } from '../../src/cpu/platform.ts';
import type { Task } from '../../src/cpu/task.ts';
import { dfsStrategy } from '../../src/explore/dfsStrategy.ts';
import { dporStrategy } from '../../src/explore/dporStrategy.ts';
import { explore, type Exploration } from '../../src/explore/explore.ts';
import type { AccessObserver } from '../../src/explore/observer.ts';
import type { Strategy } from '../../src/explore/strategy.ts';
import { ACCESS, L, LOG_ENTRY, WRITING } from '../../src/instrument/runtime.ts';
import { explored } from '../support/simTest.ts';
import { BareWorld, LOCK_A, LOCK_B, X, type BareThread } from './bare.ts';

type Op =
  'load' | 'store' | 'add' | 'cas' | 'lock' | 'unlock' | 'share' | 'unshare' | 'spin' | 'park' | 'wake' | 'pick';

interface Line {
  readonly op: Op;
  readonly at: number;
  readonly value: number;
}

const MOST = 40_000;
const SHARED = (1 << ACCESS.lockShared) | (1 << ACCESS.unlockShared);

function run(task: Task, lines: readonly Line[], notes: number[]): Sim<void> {
  const { heap } = task;
  for (const { op, at, value } of lines) {
    if (op === 'load') notes.push(load(heap, at));
    else if (op === 'store') store(heap, at, value);
    else if (op === 'add') notes.push(fetchAdd(heap, at, value));
    else if (op === 'cas') notes.push(cas(heap, at, value, value + 1));
    else if (op === 'lock') lockWord(heap, at);
    else if (op === 'unlock') unlockWord(heap, at);
    else if (op === 'share') lockWordShared(heap, at);
    else if (op === 'unshare') unlockWordShared(heap, at);
    else if (op === 'park') parkWhile(task, at, 0);
    else if (op === 'wake') unpark(task, at, value);
    else if (op === 'pick') notes.push(pick(task));
    else {
      while (load(heap, at) === 0) cpuRelax(task);
    }
  }
}

function pick(task: Task): Sim<number> {
  return allocationFails({ ...task, chooseFailures: true }) ? 1 : 0;
}

/** Lines of a thread: single accesses, and critical sections around some. */
function drawThread(prng: Prng, length: number, ops: readonly Op[]): Line[] {
  const lines: Line[] = [];
  while (lines.length < length) {
    const op = ops[prng.below(ops.length)];
    const line = { op, at: X + prng.below(2), value: 1 + prng.below(2) };
    if (op === 'lock' || op === 'share') {
      const at = prng.chance(0.5) ? LOCK_A : LOCK_B;
      const inner = drawThread(
        prng,
        1 + prng.below(2),
        ops.filter((one) => one === op || one === 'load' || one === 'store'),
      );
      // A thread does not take a lock twice.
      if (inner.some((one) => one.at === at)) continue;
      lines.push({ ...line, at }, ...inner, { ...line, op: op === 'lock' ? 'unlock' : 'unshare', at });
    } else {
      lines.push(line);
    }
  }
  return lines;
}

/** What the executions of an exploration came to: outcomes, and the sets of equivalent schedules they are of. */
class Outcomes implements AccessObserver {
  readonly ends = new Set<string>();
  readonly kinds = new Set<string>();
  private events: { task: number; at: number; kind: number; before: Set<number> }[] = [];

  private readonly notes: readonly number[][];

  constructor(notes: readonly number[][]) {
    this.notes = notes;
  }

  begin(): void {
    this.events = [];
    for (const list of this.notes) list.length = 0;
  }

  ran(task: number): void {
    for (let i = 0; i < L.used; i += LOG_ENTRY.words) {
      const event = { task, at: L.words[i], kind: L.words[i + LOG_ENTRY.kind], before: new Set<number>() };
      this.events.forEach((other, index) => {
        if (other.task !== task && !dependent(other, event)) return;
        event.before.add(index);
        for (const more of other.before) event.before.add(more);
      });
      this.events.push(event);
    }
  }

  end(outcome: string): void {
    const names = this.events.map(({ task }, at) => {
      return `${task}.${this.events.slice(0, at).filter((event) => event.task === task).length}`;
    });
    const lines = this.events.map(({ at, kind, before }, index) => {
      return `${names[index]} ${kind} ${at} after ${[...before]
        .map((one) => names[one])
        .sort()
        .join()}`;
    });
    this.kinds.add(lines.sort().join('\n'));
    this.ends.add(outcome);
  }
}

function dependent(a: { at: number; kind: number }, b: { at: number; kind: number }): boolean {
  if (a.at !== b.at) return false;
  if ((SHARED & (1 << a.kind)) !== 0 && (SHARED & (1 << b.kind)) !== 0) return false;
  if (a.kind === ACCESS.park && b.kind === ACCESS.park) return true;
  return (WRITING & (1 << a.kind)) !== 0 || (WRITING & (1 << b.kind)) !== 0;
}

interface Run {
  readonly found: Exploration;
  readonly outcomes: Outcomes;
}

function runAll(threads: readonly (readonly Line[])[], strategy: Strategy): Run {
  const notes: number[][] = threads.map(() => []);
  const outcomes = new Outcomes(notes);
  const world = new BareWorld(threads.length);
  const wrapped: Strategy = {
    name: strategy.name,
    begin: (execution, view) => strategy.begin(execution, view),
    choose: (view) => strategy.choose(view),
    pick: (view, options) => strategy.pick?.(view, options) ?? 0,
    end: (view, failed) => {
      strategy.end(view, failed);
      if (view.runnable === 0) outcomes.end(`${failed} ${notes.join('|')} ${world.heap.subarray(X, X + 4).join()}`);
    },
  };
  const found = explore({
    setup: (): Sim<BareWorld> => world,
    threads: threads.map((lines, index): BareThread => {
      return (task: Task): Sim<void> => run(task, lines, notes[index]);
    }),
    observers: [outcomes],
    strategy: wrapped,
    executions: MOST,
    maxSteps: 60,
    keepGoing: true,
  });
  return { found, outcomes };
}

/** Runs as many drawn programs as asked for that are small enough. @returns schedules and kinds of them in all */
function compareAll(seed: number, programs: number, threads: number, length: number, ops: readonly Op[]) {
  const prng = Prng.fromSeed(seed);
  let schedules = 0;
  let kinds = 0;
  for (let done = 0; done < programs;) {
    const lines = Array.from({ length: threads }, () => drawThread(prng, 1 + prng.below(length), ops));
    const all = runAll(lines, dfsStrategy({ iterate: false, reduce: false }));
    if (all.found.executions === MOST) continue;
    const context = JSON.stringify(lines);
    const reduced = runAll(lines, dfsStrategy({ iterate: false }));
    expect(reduced.outcomes.ends, context).toEqual(all.outcomes.ends);
    expect(reduced.outcomes.kinds, context).toEqual(all.outcomes.kinds);
    const iterated = runAll(lines, dfsStrategy());
    expect(iterated.outcomes.kinds, context).toEqual(all.outcomes.kinds);
    const dpor = runAll(lines, dporStrategy());
    expect(dpor.outcomes.ends, context).toEqual(all.outcomes.ends);
    expect(dpor.outcomes.kinds, context).toEqual(all.outcomes.kinds);
    const whole = dpor.found.executions - dpor.found.verdicts.pruned;
    // The same accesses with other picks, and spins that never end, are schedules of their own.
    const isExact = !ops.includes('pick') && !ops.includes('spin');
    if (isExact) expect(whole, context).toBe(all.outcomes.kinds.size);
    else expect(whole, context).toBeGreaterThanOrEqual(all.outcomes.kinds.size);
    for (const preemptions of [0, 1, 2]) {
      const bounded = runAll(lines, dfsStrategy({ iterate: false, reduce: false, preemptions }));
      const less = runAll(lines, dfsStrategy({ iterate: false, preemptions }));
      expect(less.outcomes.kinds, context).toEqual(bounded.outcomes.kinds);
      const least = runAll(lines, dporStrategy({ preemptions }));
      expect(missing(bounded.outcomes.ends, least.outcomes.ends), `${preemptions} ${context}`).toEqual([]);
    }
    schedules += all.found.executions;
    kinds += all.outcomes.kinds.size;
    done++;
  }
  return { schedules, kinds };
}

function missing(from: Set<string>, within: Set<string>): string[] {
  return [...from].filter((one) => !within.has(one));
}

describe.runIf(explored)('reductions leave out nothing', () => {
  it.each([
    ['accesses of two threads', 1, 40, 2, 4, ['load', 'store', 'add', 'cas']],
    ['accesses of three threads', 2, 25, 3, 2, ['load', 'store', 'add', 'cas']],
    ['locks, deadlocks too', 3, 30, 2, 4, ['lock', 'lock', 'load', 'store']],
    ['locks of three threads', 4, 6, 3, 2, ['lock', 'load', 'store']],
    ['shared locks', 5, 30, 2, 4, ['share', 'share', 'lock', 'load', 'store']],
    ['shared locks of three threads', 6, 6, 3, 2, ['share', 'lock', 'load', 'store']],
    ['sleeping and waking', 7, 30, 2, 4, ['park', 'wake', 'store']],
    ['sleeping and waking of three threads', 8, 30, 3, 2, ['park', 'wake', 'wake', 'store']],
    ['spin loops', 9, 12, 2, 3, ['spin', 'store', 'add']],
    ['choices', 10, 30, 2, 3, ['pick', 'load', 'store']],
    ['everything', 11, 30, 2, 4, ['pick', 'load', 'store', 'park', 'wake', 'lock', 'share']],
  ] as const)('%s', (_name, seed, programs, threads, length, ops) => {
    const { schedules, kinds } = compareAll(seed, programs, threads, length, ops);
    expect(kinds).toBeGreaterThan(programs);
    expect(schedules).toBeGreaterThan(kinds);
  });
});
