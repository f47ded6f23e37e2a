/** What explorations of locks must find: deadlocks that Linux has too, and the rare paths that the suite is about. */
import { expect } from 'vitest';
import { load, store, writeOnce } from '../../src/arena/access.ts';
import type { Sim } from '../../src/base/sim.ts';
import { cpuRelax } from '../../src/cpu/platform.ts';
import type { Task } from '../../src/cpu/task.ts';
import { MUTEX, RWSEM } from '../../src/layout/lockWords.ts';
import { TASK, taskAt } from '../../src/layout/task.ts';
import type { TaskId } from '../../src/layout/ids.ts';
import { mutexLock, mutexUnlock } from '../../src/locks/mutex.ts';
import { downRead, downWrite, rwSemIsLocked, upRead, upWrite } from '../../src/locks/rwSem.ts';
import type { Kernel } from '../support/kernel.ts';
import { simExplore, type Concurrent } from '../support/simConcurrent.ts';
import { HANDOFFS_SEEN as FOLIO_HANDOFFS, UNFAIRNESS_PROGRAM } from './suite/folioPrograms.ts';
import { HANDOFFS_SEEN as MUTEX_HANDOFFS, HANDOFF_PROGRAM as MUTEX_HANDOFF } from './suite/mutexPrograms.ts';
import {
  DATA,
  FLAG,
  GROUND_WORDS,
  LOCK2,
  untilBlocked,
  untilWord,
  type Ground,
  type LockProgram,
} from './suite/program.ts';
import { HANDOFFS_SEEN as RWSEM_HANDOFFS, HANDOFF_PROGRAM as RWSEM_HANDOFF } from './suite/rwSemPrograms.ts';
import { initMutex, initSem, mutexAt, semAt } from './suite/sections.ts';
import { SEQCOUNT_PROGRAM, TORN_SEEN } from './suite/vmaPrograms.ts';

const EXECUTIONS = 500;

function exploring(program: LockProgram, check: LockProgram['check'], rounds = 1): Concurrent<Ground> {
  return {
    setup: (kernel: Kernel): Sim<Ground> => {
      const ground = { at: kernel.words(GROUND_WORDS), rounds };
      program.setUp(kernel.task, ground);
      return ground;
    },
    threads: program.threads,
    check: (kernel: Kernel, ground: Ground): Sim<void> => check(kernel.task, ground),
    executions: EXECUTIONS,
  };
}

function ends(_task: Task, _ground: Ground): Sim<void> {
  // That all threads finished is what these programs are asked for.
}

/** Reads twice, nested, the second time once task 2 queues. */
function nestedReader(task: Task, ground: Ground): Sim<void> {
  downRead(task, semAt(ground));
  untilBlocked(task, 2, semAt(ground));
  downRead(task, semAt(ground));
  upRead(task, semAt(ground));
  upRead(task, semAt(ground));
}

function writer(task: Task, ground: Ground): Sim<void> {
  untilHeld(task, ground);
  downWrite(task, semAt(ground));
  upWrite(task, semAt(ground));
}

function untilHeld(task: Task, ground: Ground): Sim<void> {
  while (!rwSemIsLocked(task.heap, semAt(ground))) cpuRelax(task);
}

/** The second read queues behind the writer, which waits for the first one's release. */
const NESTED_READ: LockProgram = { name: 'nested read', setUp: initSem, threads: [nestedReader, writer], check: ends };

simExplore(
  'rwsem: a nested read behind a waiting writer deadlocks',
  { ...exploring(NESTED_READ, ends), keepGoing: true },
  ({ verdicts, firstFailure }) => {
    expect(verdicts.deadlock).toBe(EXECUTIONS);
    expect(firstFailure?.violations[0].signature).toBe('deadlock test_rwsem');
  },
);

/** The classic: two mutexes in both orders. */
const ABBA: LockProgram = {
  name: 'ABBA',
  setUp: initMutex,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      mutexLock(task, mutexAt(ground));
      mutexLock(task, mutexAt(ground, LOCK2));
      mutexUnlock(task, mutexAt(ground, LOCK2));
      mutexUnlock(task, mutexAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      mutexLock(task, mutexAt(ground, LOCK2));
      mutexLock(task, mutexAt(ground));
      mutexUnlock(task, mutexAt(ground));
      mutexUnlock(task, mutexAt(ground, LOCK2));
    },
  ],
  check: ends,
};

simExplore('mutex: ABBA deadlocks', { ...exploring(ABBA, ends), keepGoing: true }, ({ verdicts }) => {
  expect(verdicts.deadlock).toBeGreaterThan(0);
  expect(verdicts.deadlock + verdicts.done).toBe(EXECUTIONS);
});

let seen = 0;

/** Counts the executions in which a program set a word: that which it guards against was really there. */
function counting(program: LockProgram, word: number): Concurrent<Ground> {
  const check = (task: Task, ground: Ground): Sim<void> => {
    program.check(task, ground);
    seen += load(task.heap, ground.at + word);
  };
  return exploring(program, check, 2);
}

for (const [program, word] of [
  [RWSEM_HANDOFF, RWSEM_HANDOFFS],
  [MUTEX_HANDOFF, MUTEX_HANDOFFS],
  [UNFAIRNESS_PROGRAM, FOLIO_HANDOFFS],
  [SEQCOUNT_PROGRAM, TORN_SEEN],
] as const) {
  simExplore(`the suite reaches what it is about: ${program.name}`, counting(program, word), ({ firstFailure }) => {
    expect(firstFailure).toBeNull();
    expect(seen).toBeGreaterThan(0);
    seen = 0;
  });
}

const OVERTAKEN = DATA;

/** A released lock with a woken writer in the queue: whoever comes first has it. */
const STEAL: LockProgram = {
  name: 'steal',
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downWrite(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, semAt(ground));
      upWrite(task, semAt(ground));
      downRead(task, semAt(ground));
      const waits = load(task.heap, taskAt(task.heap, 2 as TaskId) + TASK.blockedOn) !== 0;
      store(task.heap, ground.at + OVERTAKEN, waits ? 1 : 2);
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      downWrite(task, semAt(ground));
      upWrite(task, semAt(ground));
    },
  ],
  check: ends,
};

const outcomes = new Set<number>();

simExplore(
  'rwsem: a reader may steal a free lock from a woken writer, or come too late',
  exploring(STEAL, (task: Task, ground: Ground): Sim<void> => {
    outcomes.add(load(task.heap, ground.at + OVERTAKEN));
    expect(load(task.heap, semAt(ground) + RWSEM.count)).toBe(0);
  }),
  ({ firstFailure }) => {
    expect(firstFailure).toBeNull();
    expect([...outcomes].sort()).toEqual([1, 2]);
  },
);

/** An owner that never queues and a waiter: the waiter is not starved, whatever the schedule. */
const GREEDY: LockProgram = {
  name: 'greedy',
  setUp: initMutex,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      for (let round = 0; round < 20; round++) {
        mutexLock(task, mutexAt(ground));
        mutexUnlock(task, mutexAt(ground));
      }
    },
    (task: Task, ground: Ground): Sim<void> => {
      mutexLock(task, mutexAt(ground));
      mutexUnlock(task, mutexAt(ground));
    },
  ],
  check: (task: Task, ground: Ground): Sim<void> => {
    expect(load(task.heap, mutexAt(ground) + MUTEX.owner)).toBe(0);
  },
};

simExplore('mutex: a greedy owner and a waiter end free', exploring(GREEDY, GREEDY.check), ({ firstFailure }) => {
  expect(firstFailure).toBeNull();
});
