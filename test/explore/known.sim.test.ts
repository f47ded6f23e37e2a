/**
 * Classic programs with their exact numbers: one execution for each set of equivalent schedules, and all outcomes. The
 * outcomes are those of all interleavings, which the depth-first search runs one by one.
 */
import { describe, expect, it } from 'vitest';
import { cas, load, store } from '../../src/arena/access.ts';
import { createHeap, type Heap } from '../../src/arena/heap.ts';
import { lockWord, unlockWord } from '../../src/arena/wordLock.ts';
import { parkWord, relax, unparkWord } from '../../src/arena/wordWait.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { exploreMemory, replayMemory, type MemoryProgram } from '../../src/explore/memoryProgram.ts';
import { dfsStrategy } from '../../src/explore/dfsStrategy.ts';
import type { Strategy } from '../../src/explore/strategy.ts';
import type { Thread } from '../../src/explore/world.ts';
import { explored } from '../support/simTest.ts';

/** Words of the programs; RESULT and the words behind it hold what threads saw. */
const X = 1;
const Y = 2;
const TURN = 3;
const INSIDE = 5;
const RESULT = 8;

const setup = (memory: Heap): Sim<Heap> => memory;

interface Counted {
  /** Complete executions, deadlocks among them. */
  readonly executions: number;
  readonly deadlocks: number;
  readonly outcomes: readonly string[];
}

/** Runs everything. @param words how many results there are */
function runAll(threads: readonly Thread<Heap>[], words: number, strategy: Strategy | 'dpor'): Counted {
  const seen = new Set<string>();
  const check = (memory: Heap): Sim<void> => {
    seen.add(memory.subarray(RESULT, RESULT + words).join(''));
  };
  const program: MemoryProgram<Heap> = { heap: 32, setup, threads, check };
  const { verdicts, coverage } = exploreMemory({
    ...program,
    strategy,
    executions: 500_000,
    keepGoing: true,
    maxSteps: 500,
  });
  expect(coverage).toEqual({ verdict: 'proved' });
  const { done, deadlock } = verdicts;
  return { executions: done + deadlock, deadlocks: deadlock, outcomes: [...seen].sort() };
}

/** One execution of each kind; the outcomes must be those of the search without any reduction. */
function countAll(threads: readonly Thread<Heap>[], words: number): Counted {
  const reduced = runAll(threads, words, 'dpor');
  expect(runAll(threads, words, dfsStrategy({ iterate: false })).outcomes).toEqual(reduced.outcomes);
  return reduced;
}

/** Notes what a thread saw: a word of its own, so that nothing depends on it. */
function note(memory: Heap, index: number, value: number): Sim<void> {
  store(memory, RESULT + index, value);
}

function storeThenLoad(stored: number, loaded: number, index: number): Thread<Heap> {
  return (memory: Heap): Sim<void> => {
    store(memory, stored, 1);
    note(memory, index, load(memory, loaded));
  };
}

function loadBoth(first: number, second: number, index: number): Thread<Heap> {
  return (memory: Heap): Sim<void> => {
    note(memory, index, load(memory, first));
    note(memory, index + 1, load(memory, second));
  };
}

function storeOne(at: number): Thread<Heap> {
  return (memory: Heap): Sim<void> => store(memory, at, 1);
}

/** Peterson's lock. @param asksFirst the turn is given away only after the flag is up, as it must be */
function peterson(me: 0 | 1, asksFirst: boolean): Thread<Heap> {
  const mine = me === 0 ? X : Y;
  const other = me === 0 ? Y : X;
  return (memory: Heap): Sim<void> => {
    if (asksFirst) store(memory, mine, 1);
    store(memory, TURN, 1 - me);
    if (!asksFirst) store(memory, mine, 1);
    while (load(memory, other) === 1 && load(memory, TURN) === 1 - me) relax();
    const seen = load(memory, RESULT);
    store(memory, RESULT, seen + 1);
    store(memory, mine, 0);
  };
}

/** Dekker's entry without turns: each enters unless the other one's flag is up. */
function dekker(mine: number, other: number, index: number): Thread<Heap> {
  return (memory: Heap): Sim<void> => {
    store(memory, mine, 1);
    if (load(memory, other) === 0) {
      assert(load(memory, INSIDE) === 0, 'two are inside');
      store(memory, INSIDE, 1);
      note(memory, index, 1);
      store(memory, INSIDE, 0);
    }
    store(memory, mine, 0);
  };
}

function philosopher(first: number, second: number): Thread<Heap> {
  return (memory: Heap): Sim<void> => {
    lockWord(memory, first);
    lockWord(memory, second);
    unlockWord(memory, second);
    unlockWord(memory, first);
  };
}

/** Takes the top of a stack: node n has its successor in word NEXT + n. */
const TOP = 4;
const NEXT = 20;

function pop(memory: Heap): Sim<number> {
  while (true) {
    const top = load(memory, TOP);
    if (top === 0) return 0;
    const next = load(memory, NEXT + top);
    if (cas(memory, TOP, top, next) === top) return top;
  }
}

function push(memory: Heap, node: number): Sim<void> {
  while (true) {
    const top = load(memory, TOP);
    store(memory, NEXT + node, top);
    if (cas(memory, TOP, top, node) === top) return;
  }
}

function popOne(memory: Heap): Sim<void> {
  pop(memory);
}

/** Pops two nodes and puts the first one back: its successor is another one now. */
function popTwoPushOne(memory: Heap): Sim<void> {
  const first = pop(memory);
  const second = pop(memory);
  note(memory, 0, second);
  if (first !== 0) push(memory, first);
}

/** A buffer of one place. @param careful the word that the consumer sleeps on is changed before it is woken */
function produce(careful: boolean): Thread<Heap> {
  return (memory: Heap): Sim<void> => {
    store(memory, X, 1);
    if (careful) store(memory, Y, 1);
    unparkWord(memory, Y, 1);
  };
}

function consume(memory: Heap): Sim<void> {
  while (load(memory, X) === 0) parkWord(memory, Y, 0);
  note(memory, 0, 1);
}

describe.runIf(explored)('a failure is run again', () => {
  it('and does not repeat where the program depends on something else', () => {
    let runs = 0;
    const thread = (memory: Heap): Sim<void> => {
      store(memory, X, 1);
      runs++;
      assert(runs !== 5, 'the fifth run fails');
    };
    const { firstFailure } = exploreMemory({ setup, threads: [thread] });
    expect(firstFailure).toMatchObject({ execution: 4, repeats: false });
  });

  it('and a memory that is given is what it was before the exploration', () => {
    const heap = createHeap(4);
    heap[X] = 5;
    const thread = (words: Heap): Sim<void> => {
      store(words, X, load(words, X) + 1);
      assert(load(words, X) !== 6, 'five and one is six');
    };
    expect(exploreMemory({ heap, setup, threads: [thread] }).firstFailure?.repeats).toBe(true);
  });
});

describe.runIf(explored)('classic programs, all of their executions', () => {
  it('store buffering: 3 executions, never two zeros', () => {
    const found = countAll([storeThenLoad(X, Y, 0), storeThenLoad(Y, X, 1)], 2);
    expect(found).toEqual({ executions: 3, deadlocks: 0, outcomes: ['01', '10', '11'] });
  });

  it('message passing: 3 executions, never the flag without the data', () => {
    const writer = (memory: Heap): Sim<void> => {
      store(memory, X, 1);
      store(memory, Y, 1);
    };
    const found = countAll([writer, loadBoth(Y, X, 0)], 2);
    expect(found).toEqual({ executions: 3, deadlocks: 0, outcomes: ['00', '01', '11'] });
  });

  it('independent reads of independent writes: 15 executions and outcomes, the readers agree', () => {
    const found = countAll([storeOne(X), storeOne(Y), loadBoth(X, Y, 0), loadBoth(Y, X, 2)], 4);
    expect([found.executions, found.outcomes.length]).toEqual([15, 15]);
    expect(found.outcomes).not.toContain('1010');
  });

  it('Dekker: both may be kept out, never both are inside', () => {
    const found = countAll([dekker(X, Y, 0), dekker(Y, X, 1)], 2);
    expect(found).toEqual({ executions: 7, deadlocks: 0, outcomes: ['00', '01', '10', '11'] });
  });

  it('Peterson: nobody gets lost; with flag and turn the wrong way round somebody does', () => {
    const right = countAll([peterson(0, true), peterson(1, true)], 1);
    const wrong = countAll([peterson(0, false), peterson(1, false)], 1);
    expect([right, wrong]).toEqual([
      { executions: 12, deadlocks: 0, outcomes: ['2'] },
      { executions: 18, deadlocks: 0, outcomes: ['1', '2'] },
    ]);
  });

  it('dining philosophers: one deadlock among three, none when one of them is left-handed', () => {
    const dining = countAll([philosopher(X, Y), philosopher(Y, TURN), philosopher(TURN, X)], 0);
    const leftHanded = countAll([philosopher(X, Y), philosopher(Y, TURN), philosopher(X, TURN)], 0);
    expect([dining, leftHanded]).toMatchObject([
      { executions: 7, deadlocks: 1 },
      { executions: 6, deadlocks: 0 },
    ]);
  });

  it('a stack that mixes up a node that came back: the top is a node that is in use', () => {
    const seen = new Set<string>();
    const fill = (memory: Heap): Sim<Heap> => {
      for (let node = 1; node <= 3; node++) store(memory, NEXT + node, node === 3 ? 0 : node + 1);
      store(memory, TOP, 1);
      return memory;
    };
    const check = (memory: Heap): Sim<void> => {
      const top = load(memory, TOP);
      seen.add(top !== 0 && top === load(memory, RESULT) ? 'in use' : 'free');
    };
    const program: MemoryProgram<Heap> = { heap: 32, setup: fill, threads: [popOne, popTwoPushOne], check };
    const { coverage, verdicts } = exploreMemory({ ...program, strategy: 'dpor', executions: 100_000 });
    expect([coverage.verdict, verdicts.done]).toEqual(['proved', 33]);
    expect([...seen].sort()).toEqual(['free', 'in use']);
  });

  it('bounded buffer: a wake-up is lost unless the word slept on says what has happened', () => {
    const careless: MemoryProgram<Heap> = { setup, threads: [produce(false), consume] };
    const { firstFailure } = exploreMemory({ ...careless, strategy: 'dpor' });
    expect(firstFailure?.violations[0].kind).toBe('hung');
    expect(firstFailure?.repeats).toBe(true);
    expect(replayMemory(careless, firstFailure!.schedule).violations).toEqual(firstFailure!.violations);
    expect(countAll([produce(true), consume], 1)).toEqual({ executions: 4, deadlocks: 0, outcomes: ['1'] });
  });
});
