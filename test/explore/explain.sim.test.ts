/** What a replay tells: every access with its place, locks, sleeps, switches, and the moment something broke. */
import { describe, expect, it } from 'vitest';
import { store } from '../../src/arena/access.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { placeName, plainNames } from '../../src/check/wordNames.ts';
import { cpuRelax } from '../../src/cpu/platform.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explain } from '../../src/explore/explain.ts';
import { explore, type Program } from '../../src/explore/explore.ts';
import { decodeSchedule, type Schedule } from '../../src/explore/schedule.ts';
import type { World } from '../../src/explore/world.ts';
import { L } from '../../src/instrument/runtime.ts';
import { timelineLines } from '../../src/report/timeline.ts';
import type { AccessEvent, Trace, TraceEvent } from '../../src/report/trace.ts';
import { crossedLocks, movingVma } from '../support/failingPrograms.ts';
import { explored } from '../support/simTest.ts';
import { BareWorld, X, bareProgram } from './bare.ts';

function failing<T, W extends World<T>>(program: Program<T, W>): Schedule {
  const { firstFailure } = explore({ ...program, executions: 500, seed: 1 });
  if (firstFailure === null) throw new Error('the program does not fail');
  return firstFailure.schedule;
}

function ofType<Type extends TraceEvent['type']>({ events }: Trace, type: Type): (TraceEvent & { type: Type })[] {
  return events.filter((event): event is TraceEvent & { type: Type } => event.type === type);
}

function places(accesses: readonly AccessEvent[]): string[] {
  return accesses.map(({ place, was, is }) => `${placeName(place, false)} ${was} → ${is}`);
}

describe.runIf(explored)('explain', () => {
  it('tells each access by object, field and value, with the functions it was made in', () => {
    const trace = explain(movingVma(), decodeSchedule('2.2.a9b9'));
    const writes = ofType(trace, 'access').filter(({ writes, place }) => writes && place.object.startsWith('vma'));
    expect(places(writes)).toEqual(['vma#1.vm_start 16 → 17', 'vma#1.vm_end 18 → 18', 'vma#1.vm_pgoff 16 → 17']);
    expect(writes[0].place.state).toBe('[17-18)');
    const frames = writes[0].stack();
    expect(frames.slice(0, 2).map(({ name }) => name)).toEqual(['setRange', 'moveStart']);
    expect(frames[0]).toMatchObject({ file: 'test/support/failingPrograms.ts' });
    expect(frames.every(({ line }) => line > 0)).toBe(true);
    expect(frames.every(({ file }) => !file.startsWith('src/'))).toBe(true);
  });

  it('steps are those of the schedule, switches those that the schedule makes', () => {
    const schedule = failing(movingVma());
    const trace = explain(movingVma(), schedule);
    expect(trace).toMatchObject({ verdict: 'assertion', divergedAt: null });
    expect(trace.steps).toBe(schedule.runs.reduce((sum, { steps }) => sum + steps, 0));
    let step = 0;
    const ends = schedule.runs.slice(0, -1).map(({ steps }) => (step += steps));
    expect(ofType(trace, 'switch').map((event) => event.step)).toEqual(ends);
    const order = trace.events.map((event) => event.step);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  it('locks are got and dropped, in the words of the kernel', () => {
    const trace = explain(movingVma(), decodeSchedule('2.2.a9b9'));
    const told = ofType(trace, 'lock').map(({ action, name, mode, contended }) => ({ action, name, mode, contended }));
    const lock = { name: 'mm#1.mmap_lock', mode: 'write', contended: false };
    expect(told).toEqual([
      { action: 'acquired', ...lock },
      { action: 'released', ...lock },
    ]);
  });

  it('an assertion is the last event, at the place that threw', () => {
    const trace = explain(movingVma(), failing(movingVma()));
    const last = trace.events.at(-1);
    expect(last).toMatchObject({ type: 'violation', violation: { kind: 'assertion' }, task: 1 });
    if (last?.type === 'violation') expect(last.stack()[0].name).toMatch(/addressOf17|assert/);
  });

  it('a deadlock ends with who waits for whom', () => {
    const trace = explain(crossedLocks(), failing(crossedLocks()));
    expect(trace.verdict).toBe('deadlock');
    const [a, b] = trace.waits;
    expect(a).toMatchObject({ task: 0, holders: [1] });
    expect(b).toMatchObject({ task: 1, holders: [0] });
    expect(a.what).not.toBe(b.what);
    expect(ofType(trace, 'sleep').map(({ what }) => what)).toEqual(expect.arrayContaining([a.what, b.what]));
  });

  it('a wait that ends is told with who ended it', () => {
    // The first thread has both locks when the second one wants its first.
    const trace = explain(crossedLocks(), decodeSchedule('2.2.a3b99'));
    expect(trace.verdict).toBe('done');
    expect(ofType(trace, 'sleep').map(({ task }) => task)).toContain(1);
    expect(ofType(trace, 'woken')[0]).toMatchObject({ task: 1, by: 0 });
    expect(ofType(trace, 'lock').some(({ contended, task }) => contended && task === 1)).toBe(true);
    expect(ofType(trace, 'end').map(({ task }) => task)).toHaveLength(2);
  });

  it('worlds may name their own words', () => {
    class NamedWorld extends BareWorld {
      readonly names = plainNames({ x: X });
    }
    const thread = (task: Task): Sim<void> => {
      store(task.heap, X, 5);
      cpuRelax(task);
    };
    const setup = (): Sim<NamedWorld> => new NamedWorld(1);
    const trace = explain({ setup, threads: [thread] }, decodeSchedule('2.1.a9'));
    expect(places(ofType(trace, 'access'))).toEqual(['x 0 → 5']);
    expect(ofType(trace, 'relax')).toHaveLength(1);
    expect(trace.divergedAt).not.toBeNull();
  });

  it('store buffers are told by whose they are', () => {
    const sets = (task: Task): Sim<void> => store(task.heap, X, 1);
    const program = bareProgram([sets, sets]);
    const { firstFailure } = explore({
      ...program,
      memory: 'tso',
      check: (): Sim<void> => assert(false, 'the end'),
      executions: 1,
      seed: 1,
    });
    const trace = explain(program, firstFailure!.schedule);
    expect(trace.tasks).toEqual(['CPU1', 'CPU2', 'buffer of CPU1', 'buffer of CPU2']);
    expect(trace).toMatchObject({ verdict: 'done', divergedAt: null });
    expect(timelineLines(trace, { form: 'full' })[0]).toContain('buffer of CPU2');
  });

  it('the check at the end speaks for nobody', () => {
    const nothing = (): Sim<void> => {};
    const program = bareProgram([nothing, nothing], (): Sim<void> => assert(false, 'never'));
    expect(explain(program, decodeSchedule('2.2.ab')).events.at(-1)).toMatchObject({ type: 'violation', task: -1 });
  });

  it('leaves nothing behind: exploring is what it was, also when the set-up throws', () => {
    const explored = (): string => explore({ ...movingVma(), executions: 50, keepGoing: true }).traceHash;
    const before = explored();
    explain(movingVma(), decodeSchedule('2.2.a9b9'));
    expect(explored()).toBe(before);
    const broken = {
      ...bareProgram([(): Sim<void> => {}]),
      setup: (): Sim<BareWorld> => assert(false, 'no world') as unknown as BareWorld,
    };
    expect(() => explain(broken, decodeSchedule('2.1.a'))).toThrow('no world');
    expect(L.trace).toBeNull();
  });
});
