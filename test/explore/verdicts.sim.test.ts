/** How executions end, and what is said about them. */
import { describe, expect, it } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import { AssertionError, assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { UsageError } from '../../src/base/usageError.ts';
import { cpuRelax, parkWhile, unpark } from '../../src/cpu/platform.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explore } from '../../src/explore/explore.ts';
import type { ViolationSink } from '../../src/explore/world.ts';
import { CLASS_TEST_MUTEX } from '../../src/layout/lockClass.ts';
import { MUTEX_WORDS } from '../../src/layout/lockWords.ts';
import type { MutexPtr } from '../../src/layout/ids.ts';
import { hwLock, hwUnlock } from '../../src/locks/hwLock.ts';
import { mutexInit, mutexLock, mutexUnlock } from '../../src/locks/mutex.ts';
import type { Kernel } from '../support/kernel.ts';
import { simExplore } from '../support/simConcurrent.ts';
import { explored } from '../support/simTest.ts';
import { lockWord, unlockWord } from '../../src/arena/wordLock.ts';
import { twoLocks } from './knownPrograms.ts';
import { BareWorld, LOCK_A, LOCK_B, X, Y, bareProgram, type BareThread } from './bare.ts';

function takeBoth(first: number, second: number): BareThread {
  return (task: Task): Sim<void> => {
    hwLock(task, first);
    hwLock(task, second);
    hwUnlock(task, second);
    hwUnlock(task, first);
  };
}

function nothing(): Sim<void> {}

function find(threads: readonly BareThread[], maxSteps = 1000) {
  return explore({ ...bareProgram(threads), executions: 100, seed: 3, maxSteps });
}

describe.runIf(explored)('verdicts', () => {
  it('deadlock: both locks, the other way round; the tasks and the words are named', () => {
    const { firstFailure, verdicts } = find([takeBoth(LOCK_A, LOCK_B), takeBoth(LOCK_B, LOCK_A)]);
    expect(verdicts.deadlock).toBe(1);
    expect(firstFailure?.violations[0]).toMatchObject({
      kind: 'hung',
      title: 'hung: 2 tasks sleep for ever, and nobody is left to wake them',
      signature: 'hung a word a word',
    });
    const { evidence } = firstFailure!.violations[0];
    expect(evidence.slice(0, 2)).toEqual([`task 1 sleeps on word ${LOCK_B}`, `task 2 sleeps on word ${LOCK_A}`]);
  });

  it('deadlock: locks of one word name their holders, and the tasks that wait for each other', () => {
    const { firstFailure } = explore({ ...twoLocks(true), strategy: 'dpor', executions: 10 });
    expect(firstFailure?.violations[0]).toMatchObject({
      kind: 'deadlock',
      title: 'deadlock: tasks 1 and 2 wait for each other',
      evidence: [
        `task 1 waits for the lock at word ${LOCK_B}, held by task 2`,
        `task 2 waits for the lock at word ${LOCK_A}, held by task 1`,
        'after 4 steps',
      ],
    });
  });

  it('deadlock: who waits behind the circle is no part of it', () => {
    const third: BareThread = (task: Task): Sim<void> => {
      lockWord(task.heap, LOCK_A);
      unlockWord(task.heap, LOCK_A);
    };
    const { threads } = twoLocks(true);
    const { firstFailure } = find([...threads, third]);
    expect(firstFailure?.violations[0].title).toBe('deadlock: tasks 1 and 2 wait for each other');
  });

  it('lost wake-up: the word was set before the task slept, and nobody wakes it', () => {
    const sleeper = (task: Task): Sim<void> => parkWhile(task, X, 0);
    const setter = (task: Task): Sim<void> => store(task.heap, X, 7);
    const { firstFailure } = find([sleeper, setter]);
    expect(firstFailure?.violations[0]).toMatchObject({
      kind: 'hung',
      title: 'lost wake-up: the word that 1 task sleeps on has changed, and nobody woke it',
      signature: 'lost wake-up a word',
    });
    expect(firstFailure?.violations[0].evidence[0]).toBe(`task 1 fell asleep while word ${X} was 0; it is 7`);
  });

  it('deadlock: the same order has none', () => {
    expect(find([takeBoth(LOCK_A, LOCK_B), takeBoth(LOCK_A, LOCK_B)]).verdicts.done).toBe(100);
  });

  it('deadlock: one task sleeps and the others have finished', () => {
    const sleeper = (task: Task): Sim<void> => parkWhile(task, X, 0);
    const { firstFailure } = find([sleeper, nothing]);
    expect(firstFailure?.violations[0].title).toBe('hung: 1 task sleeps for ever, and nobody is left to wake it');
  });

  it('livelock: two tasks wait for each other in spin loops', () => {
    const spinner = (task: Task): Sim<void> => {
      while (load(task.heap, X) === 0) cpuRelax(task);
    };
    const { firstFailure } = find([spinner, spinner]);
    expect(firstFailure).toMatchObject({ verdict: 'livelock', violations: [{ kind: 'livelock' }] });
    expect(firstFailure?.violations[0].evidence).toEqual(['task 1 spins', 'task 2 spins']);
  });

  it('livelock: a loop that never relaxes ends at the step limit too', () => {
    const looper = (task: Task): Sim<void> => {
      while (load(task.heap, X) === 0);
    };
    const { firstFailure, steps } = find([looper], 500);
    expect(firstFailure?.verdict).toBe('livelock');
    expect(steps).toBe(500);
  });

  it('a task in a spin loop lets others run first, so that waiting for one ends', () => {
    const waiter = (task: Task): Sim<void> => {
      while (load(task.heap, X) === 0) cpuRelax(task);
    };
    const setter = (task: Task): Sim<void> => store(task.heap, X, 1);
    expect(find([waiter, setter], 30).verdicts.done).toBe(100);
  });

  it('assertion: the message, the task, and what was thrown', () => {
    const failing = (task: Task): Sim<void> => assert(load(task.heap, X) === 1, 'x is set');
    const { firstFailure } = find([failing, nothing]);
    expect(firstFailure?.verdict).toBe('assertion');
    expect(firstFailure?.thrown).toBeInstanceOf(AssertionError);
    expect(firstFailure?.violations[0]).toMatchObject({ title: 'assertion failed: x is set', signature: 'x is set' });
    expect(firstFailure?.violations[0].evidence[0]).toBe('in task 1');
  });

  it('crash: anything else that is thrown, also by the check at the end', () => {
    const check = (): Sim<void> => {
      throw new TypeError('at the end');
    };
    const { firstFailure } = explore({ ...bareProgram([nothing], check), executions: 1 });
    expect(firstFailure?.violations[0]).toMatchObject({
      kind: 'crash',
      title: 'the check at the end threw: at the end',
    });
  });

  it('violation: what a detector reports ends the execution at the next point', () => {
    let report: ViolationSink = () => undefined;
    const setup = (sink: ViolationSink): Sim<BareWorld> => {
      report = sink;
      return new BareWorld(1);
    };
    const violation = { kind: 'data-race', title: 'race', signature: 'r', evidence: [] } as const;
    const thread = (task: Task): Sim<void> => {
      for (let i = 1; i < 9; i++) {
        store(task.heap, X, i);
        if (i === 3) report(violation);
      }
    };
    const found = explore({ setup, threads: [thread], executions: 5 });
    expect(found).toMatchObject({
      executions: 1,
      steps: 4,
      firstFailure: { verdict: 'violation', violations: [violation] },
    });
  });

  it('going on counts them all', () => {
    const program = bareProgram([takeBoth(LOCK_A, LOCK_B), takeBoth(LOCK_B, LOCK_A)]);
    const { executions, verdicts } = explore({ ...program, executions: 200, keepGoing: true });
    expect(executions).toBe(200);
    expect(verdicts.done + verdicts.deadlock).toBe(200);
    expect(verdicts.deadlock).toBeGreaterThan(20);
  });

  it('sleepers wake in the order in which they went to sleep, as many as asked for', () => {
    const world = new BareWorld(4);
    const sleeper = (task: Task): Sim<void> => {
      world.notes.push(task.id);
      parkWhile(task, X, 0);
      world.notes.push(-Number(task.id));
    };
    const waker = (task: Task): Sim<void> => {
      while (world.notes.length < 3) cpuRelax(task);
      const order = world.notes.slice(0, 3);
      unpark(task, X, 1);
      while (world.notes.length < 4) cpuRelax(task);
      assert(world.notes[3] === -order[0], 'the first sleeper wakes first');
      unpark(task, Y, 9);
      unpark(task, X, 9);
    };
    const setup = (): Sim<BareWorld> => world;
    const { verdicts } = explore({
      setup,
      threads: [sleeper, sleeper, sleeper, waker],
      executions: 100,
      maxSteps: 500,
    });
    expect(verdicts.done).toBe(100);
  });

  it('a word that has changed is not slept on', () => {
    const sleeper = (task: Task): Sim<void> => parkWhile(task, X, 5);
    expect(find([sleeper]).verdicts.done).toBe(100);
  });

  it('1 to 31 threads', () => {
    expect(() => find([])).toThrow(UsageError);
    expect(() => find(Array.from({ length: 32 }, (): BareThread => nothing))).toThrow(UsageError);
    expect(find(Array.from({ length: 31 }, (): BareThread => takeBoth(LOCK_A, LOCK_B))).verdicts.done).toBe(100);
  });
});

interface TwoMutexes {
  readonly a: MutexPtr;
  readonly b: MutexPtr;
}

function setup(kernel: Kernel): Sim<TwoMutexes> {
  const locks = { a: kernel.words(MUTEX_WORDS) as MutexPtr, b: kernel.words(MUTEX_WORDS) as MutexPtr };
  mutexInit(kernel.heap, locks.a, CLASS_TEST_MUTEX);
  mutexInit(kernel.heap, locks.b, CLASS_TEST_MUTEX);
  return locks;
}

function takeMutexes(task: Task, first: MutexPtr, second: MutexPtr): Sim<void> {
  mutexLock(task, first);
  mutexLock(task, second);
  mutexUnlock(task, second);
  mutexUnlock(task, first);
}

simExplore(
  'deadlock on a machine: the lock classes are named',
  {
    setup,
    threads: [
      (task: Task, { a, b }: TwoMutexes): Sim<void> => takeMutexes(task, a, b),
      (task: Task, { a, b }: TwoMutexes): Sim<void> => takeMutexes(task, b, a),
    ],
    executions: 200,
  },
  ({ firstFailure }) => {
    expect(firstFailure?.violations[0].signature).toBe('deadlock test_mutex test_mutex');
    expect(firstFailure?.violations[0].evidence[0]).toMatch(
      /^task 1 waits for test_mutex \(lock at word \d+\), held by task 2$/,
    );
  },
);
