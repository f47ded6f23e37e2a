/** A failing program is cut down to what the failure needs, and stays the same failure. */
import { describe, expect, it } from 'vitest';
import { findingId } from '../../src/base/finding.ts';
import { UsageError } from '../../src/base/usageError.ts';
import { explore, replay, type Program } from '../../src/explore/explore.ts';
import { minimise } from '../../src/explore/minimise.ts';
import { keepAll, reduceProgram } from '../../src/explore/reduceProgram.ts';
import { decodeSchedule, encodeSchedule, type Schedule } from '../../src/explore/schedule.ts';
import type { World } from '../../src/explore/world.ts';
import { crossedLocks, crowdedVma, movingVma } from '../support/failingPrograms.ts';
import { explored } from '../support/simTest.ts';

function failing<T, W extends World<T>>(program: Program<T, W>, seed: number): Schedule {
  const { firstFailure } = explore({ ...program, executions: 500, seed });
  if (firstFailure === null) throw new Error('the program does not fail');
  return firstFailure.schedule;
}

describe.runIf(explored)('minimise', () => {
  it.each([1, 2, 3])('a torn read needs one preemption (seed %d)', (seed) => {
    const schedule = failing(movingVma(), seed);
    const least = minimise(movingVma(), schedule);
    expect(least.after).toMatchObject({ threads: 2, operations: 2, preemptions: 1, switches: 1 });
    expect(least.after.steps).toBeLessThanOrEqual(least.before.steps);
    const original = replay(movingVma(), schedule).violations[0];
    const again = replay(least.program, least.schedule);
    expect(again).toMatchObject({ divergedAt: null, verdict: 'assertion' });
    expect(findingId(again.violations[0])).toBe(findingId(original));
    expect(encodeSchedule(again.schedule)).toBe(encodeSchedule(least.schedule));
  });

  it('a deadlock of two locks needs one preemption', () => {
    const least = minimise(crossedLocks(), failing(crossedLocks(), 5));
    expect(least.after).toMatchObject({ threads: 2, preemptions: 1 });
    expect(replay(crossedLocks(), least.schedule).verdict).toBe('deadlock');
  });

  it('threads and operations that do not matter go', () => {
    const program = crowdedVma();
    const least = minimise(program, failing(program, 4));
    expect(least.before).toMatchObject({ threads: 3, operations: 9 });
    expect(least.after).toMatchObject({ threads: 2, operations: 2, preemptions: 1 });
    expect(least.kept[0]).toEqual([]);
    expect(least.kept[2]).toEqual([1]);
    const again = replay(reduceProgram(crowdedVma(), least.kept), least.schedule);
    expect(again.violations[0].signature).toBe('a walk computes a wrong address');
  });

  it('threads of a program without operations go whole', () => {
    const { variants: _, ...program } = crowdedVma();
    const least = minimise(program, failing(program, 4));
    expect(least.kept).toEqual([[], [0], [0]]);
    expect(replay(reduceProgram(program, least.kept), least.schedule).verdict).toBe('assertion');
  });

  it('is the same every time', () => {
    const schedule = failing(crowdedVma(), 9);
    const summary = (): unknown => {
      const { kept, schedule: found, executions, before, after } = minimise(crowdedVma(), schedule);
      return { kept, schedule: encodeSchedule(found), executions, before, after };
    };
    expect(summary()).toEqual(summary());
  });

  it('keeps to its budget and still gives something that fails', () => {
    const schedule = failing(crowdedVma(), 9);
    const least = minimise(crowdedVma(), schedule, { executions: 5 });
    expect(least.executions).toBeLessThanOrEqual(5);
    expect(replay(least.program, least.schedule).verdict).toBe('assertion');
  });

  it('refuses a schedule that does not fail', () => {
    expect(() => minimise(movingVma(), decodeSchedule('2.2.a9b9'))).toThrow(UsageError);
  });

  it('keeps everything by default', () => {
    expect(keepAll(crowdedVma())).toEqual([
      [0, 1],
      [0, 1, 2, 3],
      [0, 1, 2],
    ]);
  });
});
