/** Digests of accesses: equal for equal executions, however they came about; different where anything touched differs. */
import { describe, expect, it } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { AccessDigest } from '../../src/explore/accessDigest.ts';
import { explore, replay } from '../../src/explore/explore.ts';
import { decodeSchedule, type Schedule } from '../../src/explore/schedule.ts';
import { explored } from '../support/simTest.ts';
import { X, Y, bareProgram } from './bare.ts';

const threads = (value: number): ((task: Task) => Sim<void>)[] => [
  (task: Task): Sim<void> => {
    store(task.heap, X, 1);
    store(task.heap, Y, value);
  },
  (task: Task): Sim<void> => {
    load(task.heap, X);
    load(task.heap, Y);
  },
];

function digestsOf(schedule: Schedule, value = 2): string[] {
  const digest = new AccessDigest();
  replay({ ...bareProgram(threads(value)), observers: [digest] }, schedule);
  return digest.digests();
}

const BOTH = decodeSchedule('2.2.ab3a2');

describe.runIf(explored)('digests', () => {
  it('there is one for each run of the schedule, and the same again', () => {
    expect(digestsOf(BOTH)).toHaveLength(BOTH.runs.length);
    expect(digestsOf(BOTH)).toEqual(digestsOf(BOTH));
  });

  it('do not depend on how often the scheduler was asked', () => {
    const digest = new AccessDigest();
    const observed = { ...bareProgram(threads(2)), observers: [digest] };
    const asked: string[][] = [];
    explore({ ...observed, executions: 1, strategy: 'random', seed: 3 });
    asked.push(digest.digests());
    const { schedule } = replay(observed, decodeSchedule('2.2.a3b3'));
    expect(digest.digests()).toHaveLength(schedule.runs.length);
    expect(new Set(asked.flat()).size).toBeGreaterThan(1);
  });

  it('the first that differs is that of the run in which another value was stored', () => {
    const [first, second, third] = digestsOf(BOTH);
    expect(digestsOf(BOTH, 3)).toEqual([first, second, expect.not.stringMatching(third)]);
  });

  it('another order of the same accesses is another execution', () => {
    expect(digestsOf(decodeSchedule('2.2.a3b3'))[0]).not.toBe(digestsOf(decodeSchedule('2.2.b3a3'))[0]);
  });
});
