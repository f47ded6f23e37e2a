/** RCU under concurrency: what a reader found lives until the reader is done; deferred frees happen. */

import { load, loadAcquire, readOnce, store, writeOnce, xchg } from '../../../src/arena/access.ts';
import { CACHES } from '../../../src/arena/header.ts';
import { slabAllocatedCount } from '../../../src/arena/slab.ts';
import { assert } from '../../../src/base/assert.ts';
import type { Sim } from '../../../src/base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../../../src/cpu/alloc.ts';
import type { Task } from '../../../src/cpu/task.ts';
import { TASK, allTaskIds, taskAt } from '../../../src/layout/task.ts';
import { callRcu, rcuBarrier, rcuReadLock, rcuReadUnlock, synchronizeRcu } from '../../../src/locks/rcu.ts';
import { COUNT, DATA, FLAG, type Ground, type LockProgram } from './program.ts';

/** Where readers find the object. */
const ROOT = DATA;
const MAGIC = 0x1dea_5eed;
const CACHE = CACHES.anonVmaChain;
const OBJECT_WORDS = 4;

/** An object whose words say that it is alive; freed ones are poisoned. 0 when all are waiting for a grace period. */
function newObject(task: Task): Sim<number> {
  const ptr = kmemCacheAlloc(task, CACHE);
  if (ptr === 0) return 0;
  for (let word = 0; word < OBJECT_WORDS; word++) store(task.heap, ptr + word, MAGIC);
  return ptr;
}

function setUp(task: Task, ground: Ground): Sim<void> {
  writeOnce(task.heap, ground.at + ROOT, newObject(task));
}

function lookTwice(task: Task, ground: Ground): Sim<void> {
  const ptr = loadAcquire(task.heap, ground.at + ROOT);
  for (let word = 0; word < OBJECT_WORDS; word++) {
    assert(load(task.heap, ptr + word) === MAGIC, 'an object was freed under its reader');
  }
}

const reader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    rcuReadLock(task);
    lookTwice(task, ground);
    rcuReadUnlock(task);
  }
};

const nestedReader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    rcuReadLock(task);
    const ptr = loadAcquire(task.heap, ground.at + ROOT);
    rcuReadLock(task);
    lookTwice(task, ground);
    rcuReadUnlock(task);
    assert(load(task.heap, ptr) === MAGIC, 'an inner section ended the outer one');
    rcuReadUnlock(task);
  }
};

const synchronousUpdater = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    const fresh = newObject(task);
    if (fresh === 0) continue;
    const old = xchg(task.heap, ground.at + ROOT, fresh);
    synchronizeRcu(task);
    kmemCacheFree(task, CACHE, old);
  }
};

const deferringUpdater = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    const fresh = newObject(task);
    if (fresh === 0) continue;
    callRcu(task, CACHE, xchg(task.heap, ground.at + ROOT, fresh));
  }
};

/** Unlinks inside a read section of its own: the free must wait for that as well. */
const readingUpdater = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    const fresh = newObject(task);
    if (fresh === 0) continue;
    rcuReadLock(task);
    const old = xchg(task.heap, ground.at + ROOT, fresh);
    callRcu(task, CACHE, old);
    assert(load(task.heap, old) === MAGIC, 'the task freed an object under itself');
    rcuReadUnlock(task);
  }
};

const barrierCaller = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) rcuBarrier(task);
};

/** Everything that was replaced is free again, whoever deferred it; nobody is inside. */
function check(task: Task, _ground: Ground): Sim<void> {
  rcuBarrier(task);
  assert(slabAllocatedCount(task.heap, CACHE) === 1, 'a deferred free did not happen');
  for (const id of allTaskIds(task.heap)) {
    const other = taskAt(task.heap, id);
    assert(readOnce(task.heap, other + TASK.rcuActive) === 0, 'a task left its read section open');
    assert(readOnce(task.heap, other + TASK.rcuNesting) === 0, 'a nesting depth is left');
  }
}

function program(name: string, threads: LockProgram['threads']): LockProgram {
  return { name: `rcu: ${name}`, setUp, threads, check };
}

/** A reader that is inside keeps a grace period from ending, however often others come and go. */
const LONG_READER: LockProgram = {
  name: 'rcu: a grace period does not end while a reader that saw its begin is inside',
  directed: true,
  setUp: (task: Task, ground: Ground): Sim<void> => store(task.heap, ground.at + COUNT, 0),
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      rcuReadLock(task);
      writeOnce(task.heap, ground.at + FLAG, 1);
      for (let look = 0; look < 5; look++) {
        assert(readOnce(task.heap, ground.at + COUNT) === 0, 'the grace period ended under its reader');
      }
      rcuReadUnlock(task);
    },
    (task: Task, ground: Ground): Sim<void> => {
      while (readOnce(task.heap, ground.at + FLAG) === 0) {
        rcuReadLock(task);
        rcuReadUnlock(task);
      }
      synchronizeRcu(task);
      writeOnce(task.heap, ground.at + COUNT, 1);
    },
    (task: Task, _ground: Ground): Sim<void> => {
      for (let round = 0; round < 3; round++) {
        rcuReadLock(task);
        rcuReadUnlock(task);
      }
      synchronizeRcu(task);
    },
  ],
  check: (task: Task, ground: Ground): Sim<void> => {
    assert(readOnce(task.heap, ground.at + COUNT) === 1, 'the grace period never ended');
  },
};

export const RCU_PROGRAMS: readonly LockProgram[] = [
  program('synchronizeRcu waits for readers', [reader, synchronousUpdater, reader]),
  program('callRcu waits for readers', [reader, deferringUpdater, nestedReader]),
  program('two tasks defer', [deferringUpdater, reader, deferringUpdater]),
  program('a task that defers inside its own read section', [readingUpdater, synchronousUpdater, nestedReader]),
  program('rcuBarrier takes what others deferred', [deferringUpdater, barrierCaller, reader]),
  LONG_READER,
];
