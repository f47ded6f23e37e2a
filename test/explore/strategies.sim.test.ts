/** What the strategies find, how soon, and what they say about what they did not find. */
import { describe, expect, it } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { UsageError } from '../../src/base/usageError.ts';
import type { Task } from '../../src/cpu/task.ts';
import { dfsStrategy } from '../../src/explore/dfsStrategy.ts';
import { explore, replay, type Program } from '../../src/explore/explore.ts';
import { STRATEGIES, strategyNamed, type StrategyOptions } from '../../src/explore/strategyNamed.ts';
import type { World } from '../../src/explore/world.ts';
import { explored } from '../support/simTest.ts';
import { X, Y, bareProgram, type BareWorld } from './bare.ts';
import { lostUpdates, twoPreemptions } from './knownPrograms.ts';

const NAMES = Object.keys(STRATEGIES);

/** Executions up to the first failure, on average over 200 seeds. */
function meanToFailure<T, W extends World<T>>(program: Program<T, W>, name: string, options: StrategyOptions = {}) {
  const seeds = 200;
  let sum = 0;
  for (let seed = 0; seed < seeds; seed++) {
    const found = explore({ ...program, strategy: strategyNamed(name, { ...options, seed }), executions: 100_000 });
    expect(found.firstFailure).not.toBeNull();
    sum += found.executions;
  }
  return sum / seeds;
}

/** A window of two stores in a thread of `length` steps; another one of as many must go through it as a whole. */
function narrowWindow(length: number): Program<Task, BareWorld> {
  const adjust = (task: Task): Sim<void> => {
    for (let i = 0; i < length; i++) {
      if (i === Math.floor(length / 2)) {
        store(task.heap, X, 1);
        store(task.heap, X, 0);
      }
      store(task.heap, Y, i);
    }
  };
  const walk = (task: Task): Sim<void> => {
    const before = load(task.heap, X);
    for (let i = 0; i < length; i++) load(task.heap, Y + 1);
    assert(before === 0 || load(task.heap, X) === 0, 'the walk is not inside the window');
  };
  return bareProgram([adjust, walk]);
}

describe.runIf(explored)('samplers', () => {
  it('two preemptions among many steps: few executions, however many the steps', () => {
    expect(meanToFailure(twoPreemptions(0), 'urw')).toBeLessThan(8);
    expect(meanToFailure(twoPreemptions(8), 'urw')).toBeLessThan(12);
    expect(meanToFailure(twoPreemptions(16), 'urw')).toBeLessThan(16);
    expect(meanToFailure(twoPreemptions(16), 'mixed')).toBeLessThan(20);
    expect(meanToFailure(twoPreemptions(8), 'pct', { depth: 3 })).toBeLessThan(400);
    expect(meanToFailure(twoPreemptions(8), 'random')).toBeGreaterThan(50);
  });

  it('lost update: nearly every execution shows it', () => {
    for (const name of ['mixed', 'urw', 'random', 'pos']) {
      expect(meanToFailure(lostUpdates(2, 2, 4), name)).toBeLessThan(2.5);
    }
  });

  it('a window of two stores that must stay open across a whole operation', () => {
    expect(meanToFailure(narrowWindow(50), 'mixed')).toBeLessThan(400);
    const found = explore({ ...narrowWindow(400), strategy: strategyNamed('mixed'), executions: 5000 });
    expect(found.firstFailure?.verdict).toBe('assertion');
    const stalled = explore({ ...narrowWindow(400), strategy: strategyNamed('stall'), executions: 1000 });
    expect(stalled.firstFailure?.execution).toBe(201);
  });

  it.each(NAMES)('%s: the same seed, the same executions; each failure runs again', (name) => {
    const program = lostUpdates(3, 3, 9);
    const run = () => {
      return explore({ ...program, strategy: strategyNamed(name, { seed: 7 }), executions: 300, keepGoing: true });
    };
    const { traceHash, firstFailure, executions } = run();
    expect(run()).toMatchObject({ traceHash, executions });
    expect(replay(program, firstFailure!.schedule)).toMatchObject({ verdict: 'assertion', divergedAt: null });
  });

  it('pct states the chance of a miss, and keeps its promise', () => {
    const bound = 2 * 27 ** 2;
    expect(meanToFailure(twoPreemptions(23), 'pct', { depth: 3 })).toBeLessThan(1.5 * bound);
    const strategy = strategyNamed('pct', { depth: 2 });
    explore({ ...twoPreemptions(0, false), strategy, executions: 104 });
    const miss = strategy.coverage?.().missProbability;
    // Two threads, six steps: each of 100 executions finds a bug of depth 2 with a chance of at least 1 in 12.
    expect(miss?.find(({ depth }) => depth === 2)?.probability).toBeCloseTo((1 - 1 / 12) ** 100, 8);
  });

  it('no strategy has a name that is not known', () => {
    expect(() => strategyNamed('luck')).toThrow(UsageError);
    expect(() => strategyNamed('toString')).toThrow(UsageError);
  });
});

describe.runIf(explored)('depth first', () => {
  const all = { iterate: false };

  it.each([
    [2, 70],
    [3, 924],
    [4, 12_870],
  ])('P2(%i): every one of the interleavings, %i', (rounds, schedules) => {
    const strategy = dfsStrategy({ ...all, reduce: true });
    const found = explore({ ...lostUpdates(rounds), strategy, executions: 20_000 });
    expect(found.verdicts.done).toBe(schedules);
    expect(strategy.coverage?.()).toEqual({ verdict: 'proved' });
  });

  it.each([
    [0, 6],
    [8, 10],
    [16, 10],
  ])('P4(%i): however many private steps there are, %i schedules', (pads, schedules) => {
    const strategy = dfsStrategy(all);
    expect(explore({ ...twoPreemptions(pads, false), strategy, executions: 100 }).executions).toBe(schedules);
    expect(strategy.coverage?.()).toEqual({ verdict: 'proved' });
  });

  it('without reduction every step counts, also the one behind the last access', () => {
    const strategy = dfsStrategy({ ...all, reduce: false });
    expect(explore({ ...twoPreemptions(0, false), strategy, executions: 100 }).executions).toBe(20);
  });

  it('the bound grows until nothing is kept back', () => {
    const executions = [0, 1, 2, 3].map((preemptions) => {
      const strategy = dfsStrategy({ preemptions, iterate: false });
      const found = explore({ ...lostUpdates(2), strategy, executions: 1000 });
      const { bound } = strategy.coverage!();
      return [found.executions, bound];
    });
    expect(executions).toEqual([
      [2, '0 preemptions'],
      [8, '1 preemption'],
      [26, '2 preemptions'],
      [44, '3 preemptions'],
    ]);
    const strategy = dfsStrategy();
    const { firstFailure } = explore({ ...lostUpdates(2), strategy, executions: 1000 });
    expect(firstFailure).toBeNull();
    expect(strategy.coverage?.()).toEqual({ verdict: 'proved' });
  });

  it('stopped in the middle it says what it has proved, and how far it came', () => {
    const strategy = dfsStrategy();
    explore({ ...lostUpdates(4), strategy, executions: 1000 });
    const { verdict, bound, share } = strategy.coverage!();
    expect([verdict, bound]).toEqual(['proved', '3 preemptions']);
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(1);
  });
});
