/** The folio lock under concurrency: lockers and waiters in one hashed queue, migration entries. */

import { load, racyLoad, readOnce, store, writeOnce } from '../../../src/arena/access.ts';
import { assert } from '../../../src/base/assert.ts';
import type { Sim } from '../../../src/base/sim.ts';
import { cpuRelax } from '../../../src/cpu/platform.ts';
import type { Task } from '../../../src/cpu/task.ts';
import { WAIT_BUCKET, waitBucket } from '../../../src/layout/globals.ts';
import type { Pfn, SpinLockPtr, TaskId } from '../../../src/layout/ids.ts';
import { CLASS_PTE_LOCK } from '../../../src/layout/lockClass.ts';
import { PAGE, PG_locked, PG_reserved, pageAt, readOncePageFlags, setPageFlags } from '../../../src/layout/page.ts';
import { TASK, taskAt } from '../../../src/layout/task.ts';
import {
  folioLock,
  folioTryLock,
  folioUnlock,
  folioWaitLocked,
  migrationEntryWaitOnLocked,
} from '../../../src/locks/folioLock.ts';
import { spinLock, spinLockInit, spinUnlock } from '../../../src/locks/spinLock.ts';
import { WAIT_HANDOFF } from '../../../src/locks/waitList.ts';
import {
  DATA,
  FLAG,
  FOLIO,
  LOCK2,
  OTHER_FOLIO,
  stayAlone,
  untilBlocked,
  untilWord,
  type Ground,
  type LockProgram,
} from './program.ts';
import { initFolio } from './sections.ts';

const COLLIDING = { waitBuckets: 1 };
const ENTRY = DATA + 2;
const SERVED = DATA + 3;
/** Set once an unlocker has seen that it must hand the lock over: tests of the test look at it. */
export const HANDOFFS_SEEN = DATA + 4;

/** At the end both folios are unlocked and nobody queues. PG_waiters may be stale: the next unlock clears it. */
function checkFree(task: Task, _ground: Ground): Sim<void> {
  const { heap } = task;
  for (const pfn of [FOLIO, OTHER_FOLIO]) {
    assert((readOncePageFlags(heap, pfn) & PG_locked) === 0, 'a folio is locked');
    assert(load(heap, waitBucket(heap, pfn) + WAIT_BUCKET.head) === 0, 'somebody still queues');
  }
}

/** Two counters, one per folio, in one bucket. */
function visitFolio(pfn: Pfn, count: number): (task: Task, ground: Ground) => Sim<void> {
  return (task: Task, ground: Ground): Sim<void> => {
    for (let round = 0; round < ground.rounds; round++) {
      folioLock(task, pfn);
      store(task.heap, ground.at + count, load(task.heap, ground.at + count) + 1);
      folioUnlock(task, pfn);
    }
  };
}

const HASH_COLLISION: LockProgram = {
  name: 'folio lock: two folios in one bucket do not take each other for themselves',
  size: COLLIDING,
  setUp: initFolio,
  threads: [
    visitFolio(FOLIO, DATA),
    visitFolio(OTHER_FOLIO, DATA + 1),
    visitFolio(FOLIO, DATA),
    visitFolio(OTHER_FOLIO, DATA + 1),
  ],
  check: (task: Task, ground: Ground): Sim<void> => {
    checkFree(task, ground);
    assert(load(task.heap, ground.at + DATA) === 2 * ground.rounds, 'a visit of the first folio was lost');
    assert(load(task.heap, ground.at + DATA + 1) === 2 * ground.rounds, 'a visit of the second folio was lost');
  },
};

const locker = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    folioLock(task, FOLIO);
    stayAlone(task, ground);
    folioUnlock(task, FOLIO);
  }
};

const waiter = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) folioWaitLocked(task, FOLIO);
};

const LOCKERS_AND_WAITERS: LockProgram = {
  name: 'folio lock: lockers and waiters in one queue all get on',
  size: COLLIDING,
  setUp: initFolio,
  threads: [locker, waiter, locker, waiter],
  check: checkFree,
};

/** Queue behind the holder: waiter, locker, waiter. The first unlock wakes the waiter and the locker, whose unlock the rest. */
const QUEUE_ORDER: LockProgram = {
  name: 'folio lock: an unlock wakes waiters up to the first locker, which wakes the rest',
  directed: true,
  setUp: initFolio,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      folioLock(task, FOLIO);
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 4, pageAt(task.heap, FOLIO) + PAGE.flags);
      folioUnlock(task, FOLIO);
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      folioWaitLocked(task, FOLIO);
      writeOnce(task.heap, ground.at + SERVED, 1);
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilBlocked(task, 2, pageAt(task.heap, FOLIO) + PAGE.flags);
      folioLock(task, FOLIO);
      untilWord(task, ground.at + SERVED, 1);
      stayAlone(task, ground);
      folioUnlock(task, FOLIO);
    },
    (task: Task, _ground: Ground): Sim<void> => {
      untilBlocked(task, 3, pageAt(task.heap, FOLIO) + PAGE.flags);
      folioWaitLocked(task, FOLIO);
    },
  ],
  check: checkFree,
};

/** A waiter must not take the unlock of another folio of its bucket for that of its own. */
const WAITER_COLLISION: LockProgram = {
  name: 'folio lock: a waiter is not woken by the unlock of another folio',
  directed: true,
  size: COLLIDING,
  setUp: initFolio,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      folioLock(task, FOLIO);
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilWord(task, ground.at + SERVED, 1);
      writeOnce(task.heap, ground.at + DATA, 1);
      folioUnlock(task, FOLIO);
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      folioWaitLocked(task, FOLIO);
      assert(readOnce(task.heap, ground.at + DATA) === 1, 'the wait ended while the folio is locked');
    },
    (task: Task, ground: Ground): Sim<void> => {
      folioLock(task, OTHER_FOLIO);
      writeOnce(task.heap, ground.at + ENTRY, 1);
      untilBlocked(task, 2, pageAt(task.heap, FOLIO) + PAGE.flags);
      untilBlocked(task, 4, pageAt(task.heap, OTHER_FOLIO) + PAGE.flags);
      folioUnlock(task, OTHER_FOLIO);
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + ENTRY, 1);
      untilBlocked(task, 2, pageAt(task.heap, FOLIO) + PAGE.flags);
      folioLock(task, OTHER_FOLIO);
      folioUnlock(task, OTHER_FOLIO);
      writeOnce(task.heap, ground.at + SERVED, 1);
    },
  ],
  check: checkFree,
};

/** A locker that lost five times to tasks that did not queue is handed the lock. */
export const UNFAIRNESS_PROGRAM: LockProgram = {
  name: 'folio lock: a locker that lost too often is next',
  directed: true,
  setUp: initFolio,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      const { heap } = task;
      folioLock(task, FOLIO);
      writeOnce(heap, ground.at + FLAG, 1);
      const other = taskAt(heap, 2 as TaskId);
      for (let round = 0; round < 10 && readOnce(heap, ground.at + SERVED) === 0; round++) {
        untilQueuedOrServed(task, ground);
        const blocked = readOnce(heap, other + TASK.blockedOn) !== 0;
        const flags = racyLoad(heap, other + TASK.waitFlags);
        const handoff = blocked && (flags & WAIT_HANDOFF) !== 0;
        if (handoff) store(heap, ground.at + HANDOFFS_SEEN, 1);
        folioUnlock(task, FOLIO);
        const stole = folioTryLock(task, FOLIO);
        if (stole && handoff) assert(readOnce(heap, ground.at + SERVED) === 1, 'the lock was not handed over');
        if (!stole) folioLock(task, FOLIO);
      }
      folioUnlock(task, FOLIO);
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      folioLock(task, FOLIO);
      writeOnce(task.heap, ground.at + SERVED, 1);
      folioUnlock(task, FOLIO);
    },
  ],
  check: checkFree,
};

function untilQueuedOrServed(task: Task, ground: Ground): Sim<void> {
  const { heap } = task;
  const blockedOn = taskAt(heap, 2 as TaskId) + TASK.blockedOn;
  const list = waitBucket(heap, FOLIO) + WAIT_BUCKET.head;
  while (readOnce(heap, ground.at + SERVED) === 0) {
    if (readOnce(heap, list) !== 0 && readOnce(heap, blockedOn) !== 0) return;
    cpuRelax(task);
  }
}

/**
 * Migration in miniature: with the folio locked an entry becomes a migration entry and back, each under the ptl; who finds
 * one waits. When the folio is unlocked the entry is gone, and the page may be freed at once (its flags cleared).
 */
const migrator = (task: Task, ground: Ground): Sim<void> => {
  const { heap } = task;
  const ptl = ptlAt(ground);
  for (let round = 0; round < ground.rounds; round++) {
    folioLock(task, FOLIO);
    spinLock(task, ptl);
    writeOnce(heap, ground.at + ENTRY, FOLIO);
    spinUnlock(task, ptl);
    spinLock(task, ptl);
    writeOnce(heap, ground.at + ENTRY, 0);
    spinUnlock(task, ptl);
    folioUnlock(task, FOLIO);
  }
};

const faulter = (task: Task, ground: Ground): Sim<void> => {
  const { heap } = task;
  const ptl = ptlAt(ground);
  for (let round = 0; round < ground.rounds;) {
    spinLock(task, ptl);
    if (readOnce(heap, ground.at + ENTRY) === 0) {
      spinUnlock(task, ptl);
      round++;
    } else {
      assert((readOncePageFlags(heap, FOLIO) & PG_locked) !== 0, 'a migration entry of an unlocked folio');
      migrationEntryWaitOnLocked(task, FOLIO, ptl);
    }
    assert(task.preemptCount === 0, 'the ptl is still held');
  }
};

function ptlAt(ground: Ground): SpinLockPtr {
  return (ground.at + LOCK2) as SpinLockPtr;
}

function initMigration(task: Task, ground: Ground): Sim<void> {
  initFolio(task, ground);
  spinLockInit(task.heap, ptlAt(ground), CLASS_PTE_LOCK);
}

const MIGRATION: LockProgram = {
  name: 'migrationEntryWaitOnLocked: whoever found the entry is woken when the folio is unlocked',
  setUp: initMigration,
  threads: [migrator, faulter, faulter],
  check: checkFree,
};

/** The waiters hold no reference: after its unlock the migrated page is freed and used anew while they still wake. */
const MIGRATION_FREES: LockProgram = {
  name: 'migrationEntryWaitOnLocked: the page may be freed right after its unlock',
  directed: true,
  setUp: initMigration,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      const { heap } = task;
      folioLock(task, FOLIO);
      spinLock(task, ptlAt(ground));
      writeOnce(heap, ground.at + ENTRY, FOLIO);
      spinUnlock(task, ptlAt(ground));
      writeOnce(heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, pageAt(heap, FOLIO) + PAGE.flags);
      untilBlocked(task, 3, pageAt(heap, FOLIO) + PAGE.flags);
      spinLock(task, ptlAt(ground));
      writeOnce(heap, ground.at + ENTRY, 0);
      spinUnlock(task, ptlAt(ground));
      folioUnlock(task, FOLIO);
      setPageFlags(heap, FOLIO, 0);
      locker(task, { at: ground.at, rounds: 2 });
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      faulter(task, { at: ground.at, rounds: 1 });
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      faulter(task, { at: ground.at, rounds: 1 });
    },
  ],
  check: checkFree,
};

/** Whoever comes to wait does so under the ptl: once the entry is gone nobody touches the folio any more. */
const MIGRATION_WITHOUT_REFERENCE: LockProgram = {
  name: 'migrationEntryWaitOnLocked: nobody touches the page after its entry is gone and its folio unlocked',
  directed: true,
  setUp: initMigration,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      migrator(task, { at: ground.at, rounds: 1 });
      setPageFlags(task.heap, FOLIO, PG_reserved);
    },
    (task: Task, ground: Ground): Sim<void> => faulter(task, { at: ground.at, rounds: 2 }),
    (task: Task, ground: Ground): Sim<void> => faulter(task, { at: ground.at, rounds: 2 }),
  ],
  check: (task: Task, ground: Ground): Sim<void> => {
    checkFree(task, ground);
    assert(readOncePageFlags(task.heap, FOLIO) === PG_reserved, 'a waiter touched a page that was freed');
  },
};

export const FOLIO_PROGRAMS: readonly LockProgram[] = [
  HASH_COLLISION,
  LOCKERS_AND_WAITERS,
  QUEUE_ORDER,
  WAITER_COLLISION,
  UNFAIRNESS_PROGRAM,
  MIGRATION,
  MIGRATION_FREES,
  MIGRATION_WITHOUT_REFERENCE,
];
