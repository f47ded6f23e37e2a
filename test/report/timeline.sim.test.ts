/** Timelines, stories and documents of failing runs. `UPDATE_GOLDEN=1` rewrites the expected ones. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { explain } from '../../src/explore/explain.ts';
import { explore, type Program } from '../../src/explore/explore.ts';
import { randomStrategy } from '../../src/explore/randomStrategy.ts';
import { minimise } from '../../src/explore/minimise.ts';
import type { World } from '../../src/explore/world.ts';
import { chromeTrace } from '../../src/report/chromeTrace.ts';
import { storyLines } from '../../src/report/story.ts';
import { timelineLines } from '../../src/report/timeline.ts';
import type { Trace } from '../../src/report/trace.ts';
import { crossedLocks, crowdedVma, movingVma } from '../support/failingPrograms.ts';
import { expectGolden } from '../support/golden.ts';
import { explored } from '../support/simTest.ts';

/** The trace of the simplest failing run. */
function failure<T, W extends World<T>>(program: Program<T, W>): Trace {
  const { firstFailure } = explore({ ...program, executions: 500, strategy: randomStrategy(1) });
  if (firstFailure === null) throw new Error('the program does not fail');
  const least = minimise(program, firstFailure.schedule);
  return explain(least.program, least.schedule);
}

/** The trace of a failing run as it was found. */
function wildFailure<T, W extends World<T>>(program: Program<T, W>): Trace {
  const { firstFailure } = explore({ ...program, executions: 500, strategy: randomStrategy(1) });
  if (firstFailure === null) throw new Error('the program does not fail');
  return explain(program, firstFailure.schedule);
}

const ROLES = ['moves the start of the VMA', 'walks to page offset 17'];
/** Lines move with every edit of a file. */
const withoutLines = (line: string): string => line.replace(/(\.ts):\d+/g, '$1:N');

describe.runIf(explored)('timeline', () => {
  it('of a torn read, short and full', () => {
    const trace = failure(movingVma());
    expectGolden('timeline/movingVma', timelineLines(trace, { form: 'short', roles: ROLES }));
    expectGolden('timeline/movingVmaFull', timelineLines(trace, { form: 'full', roles: ROLES }).map(withoutLines));
    expectGolden('timeline/movingVmaStory', storyLines(trace));
  });

  it('of a deadlock: it ends with the cycle', () => {
    const trace = failure(crossedLocks());
    expectGolden('timeline/crossedLocks', timelineLines(trace, { form: 'short' }));
    expectGolden('timeline/crossedLocksStory', storyLines(trace));
  });

  it.each([80, 100, 120])('fits %d columns', (columns) => {
    for (const form of ['short', 'full'] as const) {
      const lines = timelineLines(wildFailure(crowdedVma()), { form, columns });
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(columns);
    }
  });

  it.each([12, 25, 40])('is at most %d lines in short', (maxLines) => {
    const trace = wildFailure(crowdedVma());
    expect(timelineLines(trace, { form: 'short', maxLines }).length).toBeLessThanOrEqual(maxLines);
    expect(timelineLines(trace, { form: 'full' }).length).toBeGreaterThan(30);
  });

  it('is the same text with colours', () => {
    const trace = failure(movingVma());
    const paint = (text: string): string => `\u001B[1m${text}\u001B[22m`;
    const colors = { bold: paint, dim: paint, red: paint, yellow: paint, cyan: paint };
    const painted = timelineLines(trace, { form: 'short', colors });
    // eslint-disable-next-line no-control-regex
    const stripped = painted.map((line) => line.replace(/\u001B\[\d+m/g, '').trimEnd());
    expect(painted.join('')).toContain('\u001B[1m');
    expect(stripped).toEqual(timelineLines(trace, { form: 'short' }));
  });
});

const COMMON = {
  name: z.string().min(1),
  cat: z.string().min(1),
  ts: z.int().nonnegative(),
  pid: z.literal(1),
  tid: z.int().positive(),
};
/** The trace event format, as far as it is used: "Trace Event Format", sections complete, instant and metadata events. */
const TRACE_EVENTS = z.strictObject({
  displayTimeUnit: z.enum(['ms', 'ns']),
  traceEvents: z.array(
    z.discriminatedUnion('ph', [
      z.strictObject({ ...COMMON, ph: z.literal('X'), dur: z.int().positive(), args: z.looseObject({}).optional() }),
      z.strictObject({ ...COMMON, ph: z.literal('i'), s: z.enum(['g', 'p', 't']), args: z.looseObject({}).optional() }),
      z.strictObject({
        ...COMMON,
        ph: z.literal('M'),
        name: z.enum(['thread_name', 'thread_sort_index', 'process_name']),
        args: z.union([z.strictObject({ name: z.string() }), z.strictObject({ sort_index: z.int() })]),
      }),
    ]),
  ),
});

type Slice = z.infer<typeof TRACE_EVENTS>['traceEvents'][number] & { readonly dur?: number };

function slicesOf(events: readonly Slice[], tid: number): Slice[] {
  return events.filter((event) => event.ph === 'X' && event.tid === tid);
}

/** Slices of one thread must lie beside or inside each other: anything else cannot be shown. */
function overlaps(slices: readonly Slice[]): string[] {
  const found: string[] = [];
  for (const a of slices) {
    for (const b of slices) {
      if (b.ts > a.ts && b.ts < a.ts + a.dur! && b.ts + b.dur! > a.ts + a.dur!) found.push(`${a.name} ${b.name}`);
    }
  }
  return found;
}

describe.runIf(explored)('chrome trace', () => {
  it.each([
    ['a torn read', (): Trace => wildFailure(movingVma())],
    ['a deadlock', (): Trace => wildFailure(crossedLocks())],
    ['a crowd', (): Trace => wildFailure(crowdedVma())],
  ])('%s is a document of the trace event format', (_name, fail) => {
    const trace = fail();
    const traceEvents = TRACE_EVENTS.parse(JSON.parse(JSON.stringify(chromeTrace(trace, ROLES)))).traceEvents;
    expect(Math.max(...traceEvents.map(({ ts }) => ts))).toBeLessThanOrEqual(trace.steps);
    for (const tid of new Set(traceEvents.map((event) => event.tid))) {
      expect(overlaps(slicesOf(traceEvents, tid))).toEqual([]);
      expect(traceEvents.filter((event) => event.name === 'thread_name' && event.tid === tid)).toHaveLength(1);
    }
    const broken = traceEvents.filter(({ cat }) => cat === 'violation');
    expect(broken).toHaveLength(trace.violations.length);
    expect(broken[0].name).toContain(trace.violations[0].title);
  });

  it('has functions, lock holds and preemptions', () => {
    const { traceEvents } = chromeTrace(failure(movingVma()), ROLES);
    const names = (ph: string): string[] => traceEvents.filter((event) => event.ph === ph).map(({ name }) => name);
    expect(names('X')).toEqual(expect.arrayContaining(['setRange', 'addressOf17', 'mm#1.mmap_lock (write)']));
    expect(names('i')).toContain('preempted');
    const lock = traceEvents.find(({ cat }) => cat === 'lock');
    const store = traceEvents.find(({ name }) => name === 'setRange');
    expect(store!.ts).toBeGreaterThanOrEqual(lock!.ts);
    expect(store!.ts + store!.dur!).toBeLessThanOrEqual(lock!.ts + lock!.dur!);
  });
});
