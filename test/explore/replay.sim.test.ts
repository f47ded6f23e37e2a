/** The same seed runs the same schedules; a recorded schedule runs again. */
import { describe, expect, it } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { UsageError } from '../../src/base/usageError.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explore, replay } from '../../src/explore/explore.ts';
import { decodeSchedule, encodeSchedule } from '../../src/explore/schedule.ts';
import { STRATEGIES, type StrategyName } from '../../src/explore/strategyNamed.ts';
import { hwLock, hwUnlock } from '../../src/locks/hwLock.ts';
import { explored } from '../support/simTest.ts';
import { LOCK_A, X, Y, bareProgram, type BareWorld } from './bare.ts';

/** Tears an update of two words, but only after some work under a lock. */
function update(task: Task): Sim<void> {
  for (let i = 0; i < 3; i++) {
    hwLock(task, LOCK_A);
    store(task.heap, Y, load(task.heap, Y) + 1);
    hwUnlock(task, LOCK_A);
  }
  store(task.heap, X, load(task.heap, X) + 1);
}

function torn(task: Task): Sim<void> {
  for (let i = 0; i < 4; i++) store(task.heap, Y, load(task.heap, Y) + task.id);
  store(task.heap, X, load(task.heap, X) + 1);
}

function nothingLost(world: BareWorld): Sim<void> {
  assert(load(world.heap, X) === 3, 'an update was lost');
}

const program = bareProgram([update, update, update], nothingLost);

describe.runIf(explored)('determinism', () => {
  it('same seed, same trace; another seed, another trace', () => {
    const hashOf = (seed: number): string => explore({ ...program, seed, executions: 200, keepGoing: true }).traceHash;
    expect(hashOf(5)).toBe(hashOf(5));
    expect(hashOf(6)).not.toBe(hashOf(5));
  });

  it('the trace is the same on every version of Node', () => {
    // Accesses only: no change of a lock can change it.
    const fixed = bareProgram([torn, torn, torn], nothingLost);
    const found = explore({ ...fixed, seed: 20_260_417, strategy: 'random', executions: 500, keepGoing: true });
    expect([found.traceHash, found.steps, found.verdicts.assertion]).toEqual(['a2d3128e', 16_500, 225]);
  });
});

describe.runIf(explored)('determinism of every strategy', () => {
  it('the executions are the same on every version of Node', () => {
    const fixed = bareProgram([torn, torn, torn], nothingLost);
    const hashes = Object.keys(STRATEGIES).map((strategy) => {
      const options = { seed: 7, strategy: strategy as StrategyName, executions: 200, keepGoing: true };
      return `${strategy} ${explore({ ...fixed, ...options }).traceHash}`;
    });
    expect(hashes).toEqual([
      'mixed 6f24054d',
      'urw e113eb79',
      'random 05231d78',
      'pct 0999f27f',
      'pos 40b1ac30',
      'stall d75963a7',
      'preempt-twice 8d2ad127',
      'round-robin d748bdf2',
      'dfs 6aac796e',
      'dpor d0ffc021',
    ]);
  });
});

describe.runIf(explored)('replay', () => {
  const { firstFailure } = explored ? explore({ ...program, seed: 1, executions: 1000 }) : { firstFailure: null };

  it('a failure runs again, through its text, step for step', () => {
    const schedule = decodeSchedule(encodeSchedule(firstFailure!.schedule));
    for (let i = 0; i < 3; i++) {
      const again = replay(program, schedule);
      expect(again).toMatchObject({ verdict: 'assertion', divergedAt: null, schedule: firstFailure!.schedule });
      expect(again.violations[0].title).toBe(firstFailure!.violations[0].title);
    }
  });

  it('every execution of an exploration can be replayed', () => {
    for (let seed = 0; seed < 50; seed++) {
      const fails = { ...program, check: (): Sim<void> => assert(false, 'stop here') };
      const { firstFailure: end } = explore({ ...fails, seed, executions: 1 });
      expect(replay(fails, end!.schedule)).toMatchObject({ divergedAt: null, schedule: end!.schedule });
    }
  });

  it('a program that has changed leaves the schedule, and the step is told', () => {
    const quick = (): Sim<void> => {};
    const changed = bareProgram([update, quick, update]);
    const again = replay(changed, decodeSchedule('2.3.a2b4c9'));
    expect(again.divergedAt).toBe(3);
  });

  it('a schedule that is too long for the program is a difference too', () => {
    const again = replay(bareProgram([(): Sim<void> => {}]), decodeSchedule('2.1.a5'));
    expect(again.divergedAt).toBe(1);
  });

  it('past the end of a schedule another strategy goes on', () => {
    const again = replay(program, decodeSchedule('2.3.b4'));
    expect(again.divergedAt).toBeNull();
    expect(encodeSchedule(again.schedule)).toMatch(/^2\.3\.b[4-9]/);
  });

  it('a schedule of another number of tasks is refused', () => {
    expect(() => replay(program, decodeSchedule('2.2.a'))).toThrow(UsageError);
  });
});
