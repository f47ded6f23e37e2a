/** A failing program is cut down to what the failure needs, and stays the same failure. */
import { describe, expect, it } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import { assert } from '../../src/base/assert.ts';
import { findingId } from '../../src/base/finding.ts';
import type { Sim } from '../../src/base/sim.ts';
import { UsageError } from '../../src/base/usageError.ts';
import { allocationFails, cpuRelax } from '../../src/cpu/platform.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explain } from '../../src/explore/explain.ts';
import { explore, replay, type Program } from '../../src/explore/explore.ts';
import { minimise } from '../../src/explore/minimise.ts';
import { keepAll, reduceProgram } from '../../src/explore/reduceProgram.ts';
import { decodeSchedule, encodeSchedule, type Schedule } from '../../src/explore/schedule.ts';
import type { World } from '../../src/explore/world.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { applyRuleSettings } from '../../src/rules/resolve.ts';
import { findBug } from '../../stress/bugs/catalogue.ts';
import { findScenario } from '../../stress/scenarios/catalogue.ts';
import { crossedLocks, crowdedVma, movingVma } from '../support/failingPrograms.ts';
import { explored } from '../support/simTest.ts';
import { X, Y, bareProgram, type BareThread, type BareWorld } from './bare.ts';

function failing<T, W extends World<T>>(program: Program<T, W>, seed: number): Schedule {
  const { firstFailure } = explore({ ...program, executions: 500, seed });
  if (firstFailure === null) throw new Error('the program does not fail');
  return firstFailure.schedule;
}

function withDaemon(threads: readonly BareThread[], daemon: BareThread): Program<Task, BareWorld> {
  return { ...bareProgram([...threads, daemon]), threads, daemons: [daemon] };
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

  it('what was picked stays with the task that asked for it', () => {
    const outcomes: string[] = [];
    const asks = (task: Task): Sim<void> => {
      for (let i = 0; i < 3; i++) {
        load(task.heap, X);
        if (allocationFails({ ...task, chooseFailures: true })) outcomes.push(`${task.id}.${i}`);
      }
    };
    const nothing = (task: Task): Sim<void> => store(task.heap, X, 1);
    const program = bareProgram([nothing, asks, asks], (): Sim<void> => {
      assert(!outcomes.splice(0).includes('3.1'), 'the second allocation of the third task fails');
    });
    const least = minimise(program, failing(program, 4));
    expect(least.kept).toEqual([[], [], [0]]);
    expect(least.after).toMatchObject({ preemptions: 0 });
    expect(least.schedule.picks[1]).toBe(1);
    const picks = explain(least.program, least.schedule).events.filter(({ type }) => type === 'pick');
    expect(picks).toHaveLength(3);
    expect(picks[1]).toMatchObject({ task: 2, picked: 1, options: 2 });
  });

  it('a daemon may be needed, and is never waited for', () => {
    const waits = (task: Task): Sim<void> => {
      while (load(task.heap, X) === 0) cpuRelax(task);
      assert(load(task.heap, Y) === 1, 'seen before it was set');
    };
    const daemon = (task: Task): Sim<void> => {
      store(task.heap, X, 1);
      store(task.heap, Y, 1);
      while (load(task.heap, Y) !== 2) cpuRelax(task);
    };
    const looks = (task: Task): Sim<void> => {
      load(task.heap, Y);
    };
    const program = withDaemon([waits, looks], daemon);
    const least = minimise(program, failing(program, 4));
    expect(least.kept).toEqual([[0], []]);
    const trace = explain(least.program, least.schedule);
    expect(trace.tasks).toEqual(['CPU1', 'CPU2', 'daemon1']);
    expect(trace.violations[0].signature).toBe('seen before it was set');
  });

  // From many preemptions no sequence of single cuts need lead to the fewest.
  it.each([3, 6, 8])('a VMA that moves needs two preemptions, whatever was found (seed %i)', (seed) => {
    const { rules } = findBug('vma-adjust-unlocked');
    const { program: build, expected: seeks } = findScenario('vma-adjust-unlocked');
    const program = build(applyRuleSettings(LINUX_7_0, rules), { seeks });
    const { schedule } = explore({ ...program, executions: 2000, seed, strategy: 'random' }).firstFailure!;
    const least = minimise(program, schedule);
    expect(least.before.preemptions).toBeGreaterThan(20);
    expect(least.after).toMatchObject({ threads: 2, preemptions: 2 });
    const again = replay(least.program, least.schedule);
    expect(again.divergedAt).toBeNull();
    expect(findingId(again.violations[0])).toBe(findingId(replay(program, schedule).violations[0]));
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
