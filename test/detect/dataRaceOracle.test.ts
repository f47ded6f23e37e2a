/** The race detector against happens-before by the book, on random traces. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createHeap } from '../../src/arena/heap.ts';
import type { Violation } from '../../src/base/finding.ts';
import { DataRaces } from '../../src/detect/dataRaces.ts';
import { SchedulerView } from '../../src/explore/strategy.ts';
import { ACCESS, L, LOG_ENTRY } from '../../src/instrument/runtime.ts';
import { firstRace, type TraceEvent } from './raceOracle.ts';

const TASKS = 3;
const heap = createHeap(256);

/** Step (index of the event) at which the detector reports; -1 never. */
function detected(detector: DataRaces, trace: readonly TraceEvent[]): number {
  const view = new SchedulerView();
  view.tasks = TASKS;
  const found: Violation[] = [];
  detector.begin(view, heap, (violation) => found.push(violation));
  for (const [step, { task, kind, at }] of trace.entries()) {
    view.firstStep = step;
    L.words.set([at, kind, 0, 0]);
    L.used = LOG_ENTRY.words;
    detector.ran(task, view);
  }
  L.used = 0;
  return found.length === 0 ? -1 : found[0].accesses![1].step;
}

const kinds = [
  ACCESS.read,
  ACCESS.write,
  ACCESS.readOnce,
  ACCESS.writeOnce,
  ACCESS.acquire,
  ACCESS.release,
  ACCESS.rmw,
  ACCESS.casFailed,
  ACCESS.fence,
  ACCESS.park,
  ACCESS.wake,
];

const event = fc
  .record({ task: fc.nat(TASKS - 1), kind: fc.constantFrom(...kinds), at: fc.integer({ min: 200, max: 203 }) })
  // Words 200 and 201 are data, 202 and 203 what orders it: random accesses of one word would race at once.
  .map(({ task, kind, at }) => ({
    task,
    kind: at < 202 && kind > ACCESS.write ? kind & 1 : at >= 202 && kind < ACCESS.readOnce ? kind + 4 : kind,
    at,
  }));

it('finds the first race of any trace, and none where there is none', () => {
  const detector = new DataRaces();
  let racy = 0;
  let ordered = 0;
  fc.assert(
    fc.property(fc.array(event, { minLength: 4, maxLength: 24 }), (trace) => {
      const expected = firstRace(trace);
      if (expected < 0) ordered++;
      else racy++;
      expect(detected(detector, trace)).toBe(expected);
    }),
    { numRuns: 4000, seed: 1 },
  );
  // Both outcomes are common.
  expect(Math.min(racy, ordered)).toBeGreaterThan(400);
});

it('agrees on traces in which every kind meets every word', () => {
  const detector = new DataRaces();
  const any = fc.record({
    task: fc.nat(TASKS - 1),
    kind: fc.constantFrom(...kinds),
    at: fc.integer({ min: 200, max: 203 }),
  });
  fc.assert(
    fc.property(fc.array(any, { maxLength: 12 }), (trace) => {
      expect(detected(detector, trace)).toBe(firstRace(trace));
    }),
    { numRuns: 4000, seed: 2 },
  );
});
