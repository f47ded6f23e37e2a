/**
 * Store buffers: what x86 allows and nothing else. Every schedule is tried, so the sets of outcomes are exact, and they
 * are held against an operational model of TSO.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cas,
  load,
  loadAcquire,
  readOnce,
  smpMb,
  store,
  storeRelease,
  writeOnce,
  xchg,
} from '../../src/arena/access.ts';
import { UsageError } from '../../src/base/usageError.ts';
import type { Access, Sim } from '../../src/base/sim.ts';
import { cpuRelax } from '../../src/cpu/platform.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explore, replay, type Memory } from '../../src/explore/explore.ts';
import { hwLock, hwUnlock } from '../../src/locks/hwLock.ts';
import { explored } from '../support/simTest.ts';
import { LOCK_A, X, Y, bareProgram, type BareThread, type BareWorld } from './bare.ts';
import { EverySchedule } from './everySchedule.ts';
import { modelOutcomes, type Instruction } from './tsoModel.ts';

const EXECUTIONS = 400_000;

/** What each thread has read, in program order. */
let reads: number[][] = [];

/** Every outcome of a program over words X, Y, ...: `reads of thread 0,reads of thread 1|memory`. */
function outcomes(threads: readonly BareThread[], memory: Memory = 'tso', words = 2): string[] {
  const seen = new Set<string>();
  const check = (world: BareWorld): Sim<void> => {
    const values = Array.from(world.heap.subarray(X, X + words));
    seen.add(`${reads.map((values) => values.join('')).join(',')}|${values.join('')}`);
    reads = threads.map(() => []);
  };
  reads = threads.map(() => []);
  const strategy = new EverySchedule();
  const { verdicts, executions } = explore({
    ...bareProgram(threads, check),
    executions: EXECUTIONS,
    strategy,
    memory,
  });
  expect(strategy.complete).toBe(true);
  expect(verdicts.done).toBe(executions);
  return [...seen].sort();
}

function run(task: Task, code: readonly Instruction[]): Sim<void> {
  const { heap } = task;
  const mine = reads[task.id - 1];
  for (const { kind, word, value } of code) {
    if (kind === 'store') store(heap, X + word, value);
    else if (kind === 'load') mine.push(load(heap, X + word));
    else if (kind === 'rmw') mine.push(xchg(heap, X + word, value));
    else smpMb();
  }
}

function threadOf(code: readonly Instruction[]): BareThread {
  return (task: Task): Sim<void> => run(task, code);
}

function threadsOf(programs: readonly (readonly Instruction[])[]): BareThread[] {
  let threads: BareThread[] = [];
  for (const code of programs) threads = [...threads, threadOf(code)];
  return threads;
}

const w = (word: number, value = 1): Instruction => ({ kind: 'store', word, value });
const r = (word: number): Instruction => ({ kind: 'load', word, value: 0 });
const mb: Instruction = { kind: 'fence', word: 0, value: 0 };
const rmw = (word: number, value = 1): Instruction => ({ kind: 'rmw', word, value });

/** What was read, without the memory at the end. */
const readsOf = (all: readonly string[]): string[] => [...new Set(all.map((outcome) => outcome.split('|')[0]))];

describe.runIf(explored)('litmus tests under TSO', () => {
  const storeBuffering = threadsOf([
    [w(0), r(1)],
    [w(1), r(0)],
  ]);

  it('SB: both may read 0', () => {
    expect(outcomes(storeBuffering)).toEqual(['0,0|11', '0,1|11', '1,0|11', '1,1|11']);
    expect(outcomes(storeBuffering, 'sc')).toEqual(['0,1|11', '1,0|11', '1,1|11']);
  });

  it('SB with smp_mb in both: not any more; in one only: still', () => {
    const fenced = [w(0), mb, r(1)];
    expect(readsOf(outcomes(threadsOf([fenced, [w(1), mb, r(0)]])))).not.toContain('0,0');
    expect(readsOf(outcomes(threadsOf([fenced, [w(1), r(0)]])))).toContain('0,0');
  });

  it('SB with a locked operation in between: not any more', () => {
    const all = outcomes(
      threadsOf([
        [w(0), rmw(2), r(1)],
        [w(1), rmw(3), r(0)],
      ]),
      'tso',
      4,
    );
    expect(readsOf(all)).not.toContain('00,00');
    expect(readsOf(all)).toContain('00,01');
  });

  it('SB with releases and acquires instead of plain accesses: both may read 0', () => {
    const thread = (mine: number, other: number): BareThread => {
      return (task: Task): Sim<void> => {
        storeRelease(task.heap, mine, 1);
        reads[task.id - 1].push(loadAcquire(task.heap, other));
      };
    };
    expect(readsOf(outcomes([thread(X, Y), thread(Y, X)]))).toContain('0,0');
  });

  it('SB with a compare-and-swap that fails in between: a barrier too', () => {
    const thread = (mine: number, other: number): BareThread => {
      return (task: Task): Sim<void> => {
        writeOnce(task.heap, mine, 1);
        cas(task.heap, LOCK_A, 1, 2);
        reads[task.id - 1].push(readOnce(task.heap, other));
      };
    };
    expect(readsOf(outcomes([thread(X, Y), thread(Y, X)]))).not.toContain('0,0');
  });

  it('MP, LB and 2+2W stay forbidden', () => {
    expect(
      readsOf(
        outcomes(
          threadsOf([
            [w(0), w(1)],
            [r(1), r(0)],
          ]),
        ),
      ),
    ).not.toContain(',10');
    expect(
      readsOf(
        outcomes(
          threadsOf([
            [r(0), w(1)],
            [r(1), w(0)],
          ]),
        ),
      ),
    ).not.toContain('1,1');
    expect(
      outcomes(
        threadsOf([
          [w(0, 1), w(1, 2)],
          [w(1, 1), w(0, 2)],
        ]),
      ),
    ).not.toContain(',|11');
  });

  it('n6 and R: what the buffers allow beyond sequential consistency', () => {
    // A thread that stored x reads it from its own buffer, before another store of x that memory got first.
    const n6 = threadsOf([
      [w(0, 1), r(0), r(1)],
      [w(1, 2), w(0, 2)],
    ]);
    expect(outcomes(n6)).toContain('10,|12');
    expect(outcomes(n6, 'sc')).not.toContain('10,|12');
    const relaxed = threadsOf([
      [w(0, 1), w(1, 1)],
      [w(1, 2), r(0)],
    ]);
    expect(outcomes(relaxed)).toContain(',0|12');
    expect(outcomes(relaxed, 'sc')).not.toContain(',0|12');
  });

  it('the outcomes of any small program are those of the operational model', () => {
    const instruction = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('store' as const),
          word: fc.nat(1),
          value: fc.integer({ min: 1, max: 3 }),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('load' as const), word: fc.nat(1), value: fc.constant(0) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('rmw' as const),
          word: fc.nat(1),
          value: fc.integer({ min: 4, max: 6 }),
        }),
      },
      { weight: 1, arbitrary: fc.constant(mb) },
    );
    const program = fc
      .tuple(fc.array(instruction, { maxLength: 3 }), fc.array(instruction, { maxLength: 3 }))
      // Each store is a step more, at any later time: the number of schedules explodes.
      .filter((code) => code.flat().filter(({ kind }) => kind === 'store').length <= 3);
    fc.assert(
      fc.property(program, (code) => {
        const threads = threadsOf(code);
        expect(outcomes(threads)).toEqual(modelOutcomes(code, 2));
        expect(outcomes(threads, 'sc')).toEqual(modelOutcomes(code, 2, false));
      }),
      { numRuns: 80, seed: 1 },
    );
  });
});

/** Word 2 counts who is inside. */
const INSIDE = X + 6;

function critical(task: Task): Sim<void> {
  const { heap } = task;
  if (xchg(heap, INSIDE, task.id) !== 0) reads[0].push(1);
  xchg(heap, INSIDE, 0);
}

/** Peterson's lock, with a full barrier between its stores and its look at the other, or without. */
function peterson(fenced: boolean): BareThread {
  return (task: Task): Sim<void> => {
    const { heap } = task;
    const me = task.id - 1;
    writeOnce(heap, X + me, 1);
    writeOnce(heap, X + 2, 1 - me);
    if (fenced) smpMb();
    while (readOnce(heap, X + 1 - me) === 1 && readOnce(heap, X + 2) === 1 - me) cpuRelax(task);
    critical(task);
    storeRelease(heap, X + me, 0);
  };
}

/** Dekker's core: who sees the other's flag does not go in. */
function dekker(fenced: boolean): BareThread {
  return (task: Task): Sim<void> => {
    const { heap } = task;
    const me = task.id - 1;
    writeOnce(heap, X + me, 1);
    if (fenced) smpMb();
    if (readOnce(heap, X + 1 - me) === 0) critical(task);
    writeOnce(heap, X + me, 0);
  };
}

describe.runIf(explored)('locks made of loads and stores', () => {
  function meetings(thread: BareThread, memory: Memory): number {
    let met = 0;
    reads = [[]];
    const check = (): Sim<void> => {
      met += reads[0].splice(0).length;
    };
    const { verdicts } = explore({ ...bareProgram([thread, thread], check), executions: 3000, seed: 2, memory });
    expect(verdicts.done).toBe(3000);
    return met;
  }

  it('Peterson excludes under SC, fails under TSO, and holds there with a barrier', () => {
    expect(meetings(peterson(false), 'sc')).toBe(0);
    expect(meetings(peterson(false), 'tso')).toBeGreaterThan(0);
    expect(meetings(peterson(true), 'tso')).toBe(0);
  });

  it('Dekker likewise', () => {
    expect(meetings(dekker(false), 'sc')).toBe(0);
    expect(meetings(dekker(false), 'tso')).toBeGreaterThan(0);
    expect(meetings(dekker(true), 'tso')).toBe(0);
  });
});

/** As the layouts initialise an object. */
function pastTheBuffer(task: Task): Access<void> {
  task.heap[X] = 7;
}

describe.runIf(explored)('the engine under TSO', () => {
  const thread = (task: Task): Sim<void> => {
    hwLock(task, LOCK_A);
    store(task.heap, X, load(task.heap, X) + 1);
    hwUnlock(task, LOCK_A);
    store(task.heap, Y, task.id);
  };

  it('locks guard what they guard, and memory is complete at the end', () => {
    const check = (world: BareWorld): Sim<void> => {
      expect(load(world.heap, X)).toBe(3);
      expect(load(world.heap, Y)).not.toBe(0);
    };
    const program = bareProgram([thread, thread, thread], check);
    const { verdicts, firstFailure } = explore({ ...program, executions: 500, seed: 1, memory: 'tso' });
    expect(firstFailure).toBeNull();
    expect(verdicts.done).toBe(500);
  });

  it('a failing schedule with drains replays, and only under TSO', () => {
    const sb = threadsOf([
      [w(0), r(1)],
      [w(1), r(0)],
    ]);
    reads = [[], []];
    const check = (): Sim<void> => {
      const both = reads.map((values) => values.splice(0).join('')).join('');
      if (both === '00') throw new Error('both read 0');
    };
    const program = bareProgram(sb, check);
    const { firstFailure } = explore({ ...program, executions: 500, seed: 1, memory: 'tso' });
    const { schedule } = firstFailure!;
    expect(schedule.tasks).toBe(4);
    const again = replay(program, schedule, { memory: 'tso' });
    expect(again).toMatchObject({ verdict: 'crash', divergedAt: null, schedule });
    expect(() => replay(program, schedule)).toThrow(UsageError);
  });

  it('every second number is an agent: 15 threads fit, 16 do not', () => {
    const threads = Array.from({ length: 16 }, () => [w(0)]);
    const many = (count: number): BareThread[] => threadsOf(threads.slice(0, count));
    expect(() => explore({ ...bareProgram(many(16)), executions: 1, memory: 'tso' })).toThrow(UsageError);
    expect(explore({ ...bareProgram(many(15)), executions: 1, memory: 'tso' }).verdicts.done).toBe(1);
  });

  it('a write past the buffer takes the place of older buffered stores of the word', () => {
    const raw = (task: Task): Sim<void> => {
      store(task.heap, X, 1);
      store(task.heap, Y, 1);
      pastTheBuffer(task);
      store(task.heap, Y, 2);
      reads[0].push(load(task.heap, X));
    };
    expect(outcomes([raw])).toEqual(['7|72']);
  });
});
