/** A program that is set up once: each exploration of it must be what it would be alone. */
import { describe, expect, it } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import {
  exploreMemory,
  prepareMemory,
  type MemoryProgram,
  type MemoryRunOptions,
} from '../../src/explore/memoryProgram.ts';
import { explored } from '../support/simTest.ts';

const COUNT = 1;
const START = 5;

/** Two increments that may lose one; `least` says how many must be left. `setUps` holds the worlds. */
function counting(least: number): MemoryProgram<Heap> & { readonly setUps: Heap[] } {
  // As a program may: its threads know by heart what the last set-up made.
  const setUps: Heap[] = [];
  const setup = (memory: Heap): Sim<Heap> => {
    const world = memory.subarray(0);
    setUps.push(world);
    store(world, COUNT, START);
    return world;
  };
  const increment = (memory: Heap): Sim<void> => {
    assert(memory === setUps.at(-1), 'the thread runs in the world that was set up last');
    store(memory, COUNT, load(memory, COUNT) + 1);
  };
  const check = (memory: Heap): Sim<void> => {
    const count = load(memory, COUNT);
    assert(count >= START + least, 'an update was lost');
  };
  return { heap: 8, setup, threads: [increment, increment], check, setUps };
}

const RUNS: readonly MemoryRunOptions[] = [
  { strategy: 'dpor' },
  { strategy: 'dfs' },
  { strategy: 'random', seed: 3, executions: 50 },
  { strategy: 'mixed', seed: 4, executions: 50 },
  { strategy: 'dpor', keepGoing: true },
];

describe.runIf(explored)('a prepared program', () => {
  it.each([
    ['right', 1, 'done'],
    ['wrong', 2, 'assertion'],
  ] as const)('that is %s, explored again and again, gives what it gives alone', (_, least, verdict) => {
    const prepared = prepareMemory(counting(least));
    for (const run of RUNS) {
      const exploration = prepared.explore({ ...run, confirm: false });
      expect(exploration).toEqual(exploreMemory({ ...counting(least), ...run, confirm: false }));
      expect(exploration.firstFailure?.verdict ?? 'done').toBe(verdict);
    }
  });

  it('is set up once', () => {
    const program = counting(1);
    const prepared = prepareMemory(program);
    for (const run of RUNS) prepared.explore(run);
    expect(program.setUps).toHaveLength(1);
  });

  it('is set up anew behind a failure that was run a second time in a world of its own', () => {
    const prepared = prepareMemory(counting(2));
    for (const run of RUNS) {
      const { firstFailure } = prepared.explore(run);
      expect(firstFailure?.violations[0].title).toContain('an update was lost');
      expect(firstFailure?.repeats).toBe(true);
    }
  });
});
