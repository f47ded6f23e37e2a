/**
 * Litmus tests: tiny programs whose outcomes are known. Memory is sequentially consistent, so each set of outcomes is
 * exactly that of the interleavings; random must see all of them and nothing else.
 */
import { describe, expect, it } from 'vitest';
import { cas, load, store } from '../../src/arena/access.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explore } from '../../src/explore/explore.ts';
import type { StrategyName } from '../../src/explore/strategyNamed.ts';
import { hwLock, hwUnlock } from '../../src/locks/hwLock.ts';
import { explored } from '../support/simTest.ts';
import { LOCK_A, X, Y, bareProgram, type BareThread, type BareWorld } from './bare.ts';

const EXECUTIONS = 1000;

/** Outcomes of a program, sorted, as `describeEnd` writes them down. */
function outcomes(
  threads: readonly BareThread[],
  describeEnd: (world: BareWorld) => Sim<string>,
  strategy: StrategyName = 'urw',
): string[] {
  const seen = new Set<string>();
  const check = (world: BareWorld): Sim<void> => {
    seen.add(describeEnd(world));
  };
  const { verdicts } = explore({ ...bareProgram(threads, check), executions: EXECUTIONS, seed: 1, strategy });
  expect(verdicts.done).toBe(EXECUTIONS);
  return [...seen].sort();
}

const results = new Int32Array(4);

function words(world: BareWorld): Sim<string> {
  return `x=${load(world.heap, X)} y=${load(world.heap, Y)}`;
}

const registers = (): Sim<string> => results.join('').slice(0, 2);

function increment(task: Task): Sim<void> {
  store(task.heap, X, load(task.heap, X) + 1);
}

function lockedIncrement(task: Task): Sim<void> {
  hwLock(task, LOCK_A);
  increment(task);
  hwUnlock(task, LOCK_A);
}

describe.runIf(explored)('litmus', () => {
  it('lost update: two increments give 1 or 2', () => {
    expect(outcomes([increment, increment], words)).toEqual(['x=1 y=0', 'x=2 y=0']);
  });

  it('lost update: under a lock they give 2', () => {
    expect(outcomes([lockedIncrement, lockedIncrement, lockedIncrement], words)).toEqual(['x=3 y=0']);
  });

  it('store buffering: both reading 0 is impossible', () => {
    const first = (task: Task): Sim<void> => {
      store(task.heap, X, 1);
      results[0] = load(task.heap, Y);
    };
    const second = (task: Task): Sim<void> => {
      store(task.heap, Y, 1);
      results[1] = load(task.heap, X);
    };
    expect(outcomes([first, second], registers)).toEqual(['01', '10', '11']);
  });

  it('message passing: the flag is never seen without the data', () => {
    const writer = (task: Task): Sim<void> => {
      store(task.heap, X, 1);
      store(task.heap, Y, 1);
    };
    const reader = (task: Task): Sim<void> => {
      results[0] = load(task.heap, Y);
      results[1] = load(task.heap, X);
    };
    expect(outcomes([writer, reader], registers)).toEqual(['00', '01', '11']);
  });

  it('load buffering: both reading 1 is impossible', () => {
    const first = (task: Task): Sim<void> => {
      results[0] = load(task.heap, X);
      store(task.heap, Y, 1);
    };
    const second = (task: Task): Sim<void> => {
      results[1] = load(task.heap, Y);
      store(task.heap, X, 1);
    };
    expect(outcomes([first, second], registers)).toEqual(['00', '01', '10']);
  });

  it('independent reads: the readers agree on the order of the writes', () => {
    const writer = (at: number): BareThread => {
      return (task: Task): Sim<void> => store(task.heap, at, 1);
    };
    const reader = (first: number, second: number, into: number): BareThread => {
      return (task: Task): Sim<void> => {
        results[into] = load(task.heap, first);
        results[into + 1] = load(task.heap, second);
      };
    };
    const all = outcomes([writer(X), writer(Y), reader(X, Y, 0), reader(Y, X, 2)], (): Sim<string> => results.join(''));
    expect(all).not.toContain('1010');
    expect(all.length).toBe(15);
  });

  it('compare and swap: exactly one of three wins', () => {
    const contender = (value: number): BareThread => {
      return (task: Task): Sim<void> => {
        results[value] = cas(task.heap, X, 0, value);
      };
    };
    const winners = outcomes([contender(1), contender(2), contender(3)], words);
    expect(winners).toEqual(['x=1 y=0', 'x=2 y=0', 'x=3 y=0']);
  });

  it('every interleaving of two threads with three accesses each is seen: 20 of them', () => {
    const order: number[] = [];
    const thread = (task: Task): Sim<void> => {
      for (let i = 0; i < 3; i++) {
        load(task.heap, X);
        order.push(task.id);
      }
    };
    // What follows an access belongs to the step after its point: the order of the notes is that of these steps.
    const all = outcomes([thread, thread], (): Sim<string> => order.splice(0).join(''), 'random');
    expect(all.length).toBe(20);
  });
});
