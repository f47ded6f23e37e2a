/**
 * The programs of the table of explorers, through the library that others use: explored build only.
 *
 *   P1ok   two threads take two locks in the same order
 *   P2(n)  two threads, n times each: v = load(c); store(c, v + 1)
 *   P3ok   reader, writer, reader under one lock
 *   P4(k)  one thread reads x twice; the other one makes k private stores, x = 1, x = 2
 */

import { load, store } from '../src/arena/access.ts';
import { createHeap, type Heap } from '../src/arena/heap.ts';
import { lockWord, lockWordShared, unlockWord, unlockWordShared } from '../src/arena/wordLock.ts';
import { assert } from '../src/base/assert.ts';
import type { Sim } from '../src/base/sim.ts';
import { dfsStrategy } from '../src/explore/dfsStrategy.ts';
import { dporStrategy } from '../src/explore/dporStrategy.ts';
import { prepareMemory, type MemoryProgram } from '../src/explore/memoryProgram.ts';
import type { Strategy } from '../src/explore/strategy.ts';
import { strategyNamed } from '../src/explore/strategyNamed.ts';
import type { Measured } from './case.ts';
import type { ExploreRow } from './cases/explore.ts';

const A = 1;
const B = 2;
const X = 3;
const Y = 4;

const heap = createHeap(8);

const setup = (words: Heap): Sim<Heap> => words;

function takeBoth(memory: Heap): Sim<void> {
  lockWord(memory, A);
  lockWord(memory, B);
  unlockWord(memory, B);
  unlockWord(memory, A);
}

function incrementTwice(memory: Heap): Sim<void> {
  store(memory, X, load(memory, X) + 1);
  store(memory, X, load(memory, X) + 1);
}

function incrementThrice(memory: Heap): Sim<void> {
  store(memory, X, load(memory, X) + 1);
  store(memory, X, load(memory, X) + 1);
  store(memory, X, load(memory, X) + 1);
}

function incrementOften(memory: Heap): Sim<void> {
  for (let i = 0; i < 5; i++) store(memory, X, load(memory, X) + 1);
}

function counted(memory: Heap): Sim<void> {
  assert(load(memory, X) >= 1, 'something was counted');
}

function readBoth(memory: Heap): Sim<void> {
  lockWordShared(memory, A);
  assert(load(memory, X) === load(memory, Y), 'both words are of one write');
  unlockWordShared(memory, A);
}

function writeBoth(memory: Heap): Sim<void> {
  lockWord(memory, A);
  store(memory, X, 1);
  store(memory, Y, 1);
  unlockWord(memory, A);
}

function readTwice(memory: Heap): Sim<void> {
  const first = load(memory, X);
  const second = load(memory, X);
  assert(second >= first, 'values do not go back');
}

function writeLate(memory: Heap): Sim<void> {
  for (let i = 0; i < 16; i++) store(memory, Y, i);
  store(memory, X, 1);
  store(memory, X, 2);
}

const PROGRAMS: Record<ExploreRow['program'], MemoryProgram<Heap>> = {
  P1ok: { heap, setup, threads: [takeBoth, takeBoth] },
  'P2(2)': { heap, setup, threads: [incrementTwice, incrementTwice], check: counted },
  'P2(3)': { heap, setup, threads: [incrementThrice, incrementThrice], check: counted },
  'P2(5)': { heap, setup, threads: [incrementOften, incrementOften], check: counted },
  P3ok: { heap, setup, threads: [readBoth, writeBoth, readBoth] },
  'P4(16)': { heap, setup, threads: [readTwice, writeLate] },
};

/** What a row measures: at least `batch` executions, as many explorations of the program, set up before, as that takes. */
export function measureExploring({ program, strategy, batch }: ExploreRow): Measured {
  const prepared = prepareMemory(PROGRAMS[program]);
  const options = { strategy: make(strategy), keepGoing: true };
  const run = (): void => {
    for (let left = batch; left > 0;) left -= prepared.explore({ ...options, executions: left }).executions;
  };
  return { run };
}

function make(strategy: ExploreRow['strategy']): Strategy {
  if (strategy === 'dfs') return dfsStrategy({ iterate: false });
  if (strategy === 'dpor') return dporStrategy();
  return strategyNamed(strategy);
}
