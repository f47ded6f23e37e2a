/** Mutexes under concurrency: handoff, signals. */

import { readOnce, store, writeOnce } from '../../../src/arena/access.ts';
import { assert } from '../../../src/base/assert.ts';
import { EINTR } from '../../../src/base/errno.ts';
import type { Sim } from '../../../src/base/sim.ts';
import type { Task } from '../../../src/cpu/task.ts';
import type { TaskId } from '../../../src/layout/ids.ts';
import { MUTEX, MUTEX_HANDOFF } from '../../../src/layout/lockWords.ts';
import { mutexLock, mutexLockKillable, mutexTryLock, mutexUnlock } from '../../../src/locks/mutex.ts';
import { killTask } from '../../../src/locks/sleep.ts';
import { DATA, FLAG, stayAlone, untilBlocked, untilWord, type Ground, type LockProgram } from './program.ts';
import { initMutex, mutexAt } from './sections.ts';

const SERVED = DATA;
/** Set once an owner has seen the handoff flag: tests of the test look at it. */
export const HANDOFFS_SEEN = DATA + 1;

/** At the end the word is zero: no owner, no flags. */
function checkFree(task: Task, ground: Ground): Sim<void> {
  assert(readOnce(task.heap, mutexAt(ground) + MUTEX.owner) === 0, 'the mutex is not free');
  assert(readOnce(task.heap, mutexAt(ground) + MUTEX.head) === 0, 'somebody still queues');
}

/** An owner that drops the mutex and takes it at once again overtakes the woken waiter, until that asks for handoff. */
export const HANDOFF_PROGRAM: LockProgram = {
  name: 'mutex: a waiter that asked for handoff is next',
  directed: true,
  setUp: initMutex,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      const { heap } = task;
      mutexLock(task, mutexAt(ground));
      writeOnce(heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, mutexAt(ground));
      for (let round = 0; round < 5; round++) {
        const handoff = (readOnce(heap, mutexAt(ground) + MUTEX.owner) & MUTEX_HANDOFF) !== 0;
        if (handoff) store(heap, ground.at + HANDOFFS_SEEN, 1);
        mutexUnlock(task, mutexAt(ground));
        mutexLock(task, mutexAt(ground));
        if (handoff) assert(readOnce(heap, ground.at + SERVED) === 1, 'the owner came back before the waiter');
      }
      mutexUnlock(task, mutexAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      mutexLock(task, mutexAt(ground));
      writeOnce(task.heap, ground.at + SERVED, 1);
      mutexUnlock(task, mutexAt(ground));
    },
  ],
  check: checkFree,
};

const KILLED_WAITER: LockProgram = {
  name: 'mutex: a signal ends a killable wait and leaves the queue in order',
  directed: true,
  setUp: initMutex,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      mutexLock(task, mutexAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 3, mutexAt(ground));
      killTask(task, 2 as TaskId);
      untilWord(task, ground.at + SERVED, 1);
      mutexUnlock(task, mutexAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      const error = mutexLockKillable(task, mutexAt(ground));
      assert(error === -EINTR, 'the killed waiter got the mutex');
      writeOnce(task.heap, ground.at + SERVED, 1);
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilBlocked(task, 2, mutexAt(ground));
      mutexLock(task, mutexAt(ground));
      mutexUnlock(task, mutexAt(ground));
    },
  ],
  check: checkFree,
};

const visitor = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    mutexLock(task, mutexAt(ground));
    stayAlone(task, ground);
    mutexUnlock(task, mutexAt(ground));
  }
};

const killableVisitor = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    if (!mutexTryLock(task, mutexAt(ground)) && mutexLockKillable(task, mutexAt(ground)) !== 0) continue;
    stayAlone(task, ground);
    mutexUnlock(task, mutexAt(ground));
  }
};

/** The signal may meet the victim anywhere: before the wait, in the queue, while the mutex is being handed to it. */
const KILLED_ANYWHERE: LockProgram = {
  name: 'mutex: a killed waiter loses neither a release nor a handoff',
  setUp: initMutex,
  threads: [
    visitor,
    killableVisitor,
    (task: Task, ground: Ground): Sim<void> => {
      visitor(task, ground);
      killTask(task, 2 as TaskId);
      visitor(task, ground);
    },
  ],
  check: checkFree,
};

export const MUTEX_PROGRAMS: readonly LockProgram[] = [HANDOFF_PROGRAM, KILLED_WAITER, KILLED_ANYWHERE];
