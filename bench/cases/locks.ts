/** Uncontended lock pairs, alone and with lockdep watching. */

import type { RwSemPtr, MutexPtr, SpinLockPtr } from '../../src/layout/ids.ts';
import { userBase } from '../../src/arena/header.ts';
import { STRESS_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import { CLASS_TEST_MUTEX, CLASS_TEST_RWSEM, CLASS_TEST_SPIN } from '../../src/layout/lockClass.ts';
import { createLockdep } from '../../src/lockdep/lockdep.ts';
import { initLockdep, lockdepWords } from '../../src/lockdep/section.ts';
import { mutexInit, mutexLock, mutexUnlock } from '../../src/locks/mutex.ts';
import { downRead, downWrite, rwSemInit, upRead, upWrite } from '../../src/locks/rwSem.ts';
import { spinLock, spinLockInit, spinUnlock } from '../../src/locks/spinLock.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { BenchCase, Measured } from '../case.ts';

const BATCH = 10_000;
const LOCK_WORDS = 16;

type Pair = (task: Task, lock: number) => void;

function spinPair(task: Task, lock: number): void {
  spinLock(task, lock as SpinLockPtr);
  spinUnlock(task, lock as SpinLockPtr);
}

function readPair(task: Task, lock: number): void {
  downRead(task, lock as RwSemPtr);
  upRead(task, lock as RwSemPtr);
}

function writePair(task: Task, lock: number): void {
  downWrite(task, lock as RwSemPtr);
  upWrite(task, lock as RwSemPtr);
}

function mutexPair(task: Task, lock: number): void {
  mutexLock(task, lock as MutexPtr);
  mutexUnlock(task, lock as MutexPtr);
}

function pairCase(name: string, pair: Pair, lockdep: boolean): BenchCase {
  return {
    name: lockdep ? `${name} with lockdep` : name,
    group: 'locks',
    unit: 'pair',
    batch: BATCH,
    ...(lockdep ? { against: name } : {}),
    setup: () => measurePair(pair, lockdep),
  };
}

function measurePair(pair: Pair, lockdep: boolean): Measured {
  const words = lockdep ? lockdepWords(1) : 0;
  const heap = createMachine({ ...STRESS_MACHINE, cpus: 1, lockdepWords: words, userWords: LOCK_WORDS });
  if (lockdep) initLockdep(heap);
  const hook = lockdep ? createLockdep(heap, () => {}) : null;
  const task = createTask({ heap, id: 1, rules: LINUX_7_0, seed: 1, lockdep: hook });
  const lock = userBase(heap);
  if (pair === spinPair) spinLockInit(heap, lock as SpinLockPtr, CLASS_TEST_SPIN);
  else if (pair === mutexPair) mutexInit(heap, lock as MutexPtr, CLASS_TEST_MUTEX);
  else rwSemInit(heap, lock as RwSemPtr, CLASS_TEST_RWSEM);
  return {
    run: () => {
      for (let i = 0; i < BATCH; i++) pair(task, lock);
    },
  };
}

const PAIRS: readonly (readonly [string, Pair])[] = [
  ['spinlock pair', spinPair],
  ['rwsem read pair', readPair],
  ['rwsem write pair', writePair],
  ['mutex pair', mutexPair],
];

export const LOCK_CASES: readonly BenchCase[] = [
  ...PAIRS.map(([name, pair]) => pairCase(name, pair, false)),
  ...PAIRS.map(([name, pair]) => pairCase(name, pair, true)),
];
