/** Mutual exclusion, for every way to hold a lock alone. */

import { load } from '../../../src/arena/access.ts';
import { assert } from '../../../src/base/assert.ts';
import type { Sim } from '../../../src/base/sim.ts';
import { cpuRelax } from '../../../src/cpu/platform.ts';
import type { Task } from '../../../src/cpu/task.ts';
import { waitBucket, waitBucketLock } from '../../../src/layout/globals.ts';
import type { MutexPtr, RwSemPtr, SpinLockPtr } from '../../../src/layout/ids.ts';
import {
  CLASS_FOLIO_WAIT_TABLE,
  CLASS_MMAP_LOCK,
  CLASS_TEST_MUTEX,
  CLASS_TEST_RWSEM,
  CLASS_TEST_SPIN,
} from '../../../src/layout/lockClass.ts';
import { mmMmapLock } from '../../../src/layout/mm.ts';
import { folioLock, folioTryLock, folioUnlock } from '../../../src/locks/folioLock.ts';
import { hwLock, hwUnlock } from '../../../src/locks/hwLock.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../../src/locks/mmapLock.ts';
import { mutexInit, mutexLock, mutexTryLock, mutexUnlock } from '../../../src/locks/mutex.ts';
import { downWrite, downWriteTrylock, rwSemInit, upWrite } from '../../../src/locks/rwSem.ts';
import { spinLock, spinLockInit, spinTryLock, spinUnlock } from '../../../src/locks/spinLock.ts';
import { COUNT, FOLIO, LOCK, groundMm, stayAlone, type Ground, type LockProgram } from './program.ts';

type Step = (task: Task, ground: Ground) => Sim<void>;

/** One way to be alone. */
interface SectionLock {
  readonly name: string;
  readonly setUp: Step;
  readonly enterSection: Step;
  readonly leaveSection: Step;
}

export function spinAt(ground: Ground, offset = LOCK): SpinLockPtr {
  return (ground.at + offset) as SpinLockPtr;
}
export function mutexAt(ground: Ground, offset = LOCK): MutexPtr {
  return (ground.at + offset) as MutexPtr;
}
export function semAt(ground: Ground, offset = LOCK): RwSemPtr {
  return (ground.at + offset) as RwSemPtr;
}

export const initSpin: Step = (task: Task, ground: Ground): Sim<void> => {
  spinLockInit(task.heap, spinAt(ground), CLASS_TEST_SPIN);
};
export const initMutex: Step = (task: Task, ground: Ground): Sim<void> => {
  mutexInit(task.heap, mutexAt(ground), CLASS_TEST_MUTEX);
};
export const initSem: Step = (task: Task, ground: Ground): Sim<void> => {
  rwSemInit(task.heap, semAt(ground), CLASS_TEST_RWSEM);
};
export const initMmap: Step = (task: Task, ground: Ground): Sim<void> => {
  rwSemInit(task.heap, mmMmapLock(groundMm(ground)), CLASS_MMAP_LOCK);
};
export const initFolio: Step = (task: Task, _ground: Ground): Sim<void> => {
  spinLockInit(task.heap, waitBucketLock(waitBucket(task.heap, FOLIO)), CLASS_FOLIO_WAIT_TABLE);
};

const spinUnlockStep: Step = (task: Task, ground: Ground): Sim<void> => spinUnlock(task, spinAt(ground));
const mutexUnlockStep: Step = (task: Task, ground: Ground): Sim<void> => mutexUnlock(task, mutexAt(ground));
const upWriteStep: Step = (task: Task, ground: Ground): Sim<void> => upWrite(task, semAt(ground));
const folioUnlockStep: Step = (task: Task, _ground: Ground): Sim<void> => folioUnlock(task, FOLIO);

const SECTION_LOCKS: readonly SectionLock[] = [
  {
    name: 'hardware lock',
    setUp: initSpin,
    enterSection: (task: Task, ground: Ground): Sim<void> => hwLock(task, ground.at),
    leaveSection: (task: Task, ground: Ground): Sim<void> => hwUnlock(task, ground.at),
  },
  {
    name: 'spinlock',
    setUp: initSpin,
    enterSection: (task: Task, ground: Ground): Sim<void> => spinLock(task, spinAt(ground)),
    leaveSection: spinUnlockStep,
  },
  {
    name: 'spinlock by trylock',
    setUp: initSpin,
    enterSection: (task: Task, ground: Ground): Sim<void> => {
      while (!spinTryLock(task, spinAt(ground))) cpuRelax(task);
    },
    leaveSection: spinUnlockStep,
  },
  {
    name: 'mutex',
    setUp: initMutex,
    enterSection: (task: Task, ground: Ground): Sim<void> => mutexLock(task, mutexAt(ground)),
    leaveSection: mutexUnlockStep,
  },
  {
    name: 'mutex by lock and trylock',
    setUp: initMutex,
    enterSection: (task: Task, ground: Ground): Sim<void> => {
      if (!mutexTryLock(task, mutexAt(ground))) mutexLock(task, mutexAt(ground));
    },
    leaveSection: mutexUnlockStep,
  },
  {
    name: 'rwsem for write',
    setUp: initSem,
    enterSection: (task: Task, ground: Ground): Sim<void> => downWrite(task, semAt(ground)),
    leaveSection: upWriteStep,
  },
  {
    name: 'rwsem for write by trylock',
    setUp: initSem,
    enterSection: (task: Task, ground: Ground): Sim<void> => {
      while (!downWriteTrylock(task, semAt(ground))) cpuRelax(task);
    },
    leaveSection: upWriteStep,
  },
  {
    name: 'mmap lock for write',
    setUp: initMmap,
    enterSection: (task: Task, ground: Ground): Sim<void> => mmapWriteLock(task, groundMm(ground)),
    leaveSection: (task: Task, ground: Ground): Sim<void> => mmapWriteUnlock(task, groundMm(ground)),
  },
  {
    name: 'folio lock',
    setUp: initFolio,
    enterSection: (task: Task, _ground: Ground): Sim<void> => folioLock(task, FOLIO),
    leaveSection: folioUnlockStep,
  },
  {
    name: 'folio lock by lock and trylock',
    setUp: initFolio,
    enterSection: (task: Task, _ground: Ground): Sim<void> => {
      if (!folioTryLock(task, FOLIO)) folioLock(task, FOLIO);
    },
    leaveSection: folioUnlockStep,
  },
];

const NR_TASKS = 3;

function exclusion(lock: SectionLock): LockProgram {
  const visitor = (task: Task, ground: Ground): Sim<void> => {
    for (let round = 0; round < ground.rounds; round++) {
      lock.enterSection(task, ground);
      stayAlone(task, ground);
      lock.leaveSection(task, ground);
    }
    assert(task.preemptCount === 0, 'preemption stays off');
  };
  return {
    name: `${lock.name}: one task at a time is in the section, and every task gets in`,
    setUp: lock.setUp,
    threads: [visitor, visitor, visitor],
    check: (task: Task, ground: Ground): Sim<void> => {
      assert(load(task.heap, ground.at + COUNT) === NR_TASKS * ground.rounds, 'a visit was lost');
    },
  };
}

export const SECTION_PROGRAMS: readonly LockProgram[] = SECTION_LOCKS.map(exclusion);
