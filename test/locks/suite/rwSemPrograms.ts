/** Reader-writer semaphores under concurrency: who excludes whom, who is woken in which order, who overtakes whom. */

import { load, readOnce, store, writeOnce } from '../../../src/arena/access.ts';
import { assert } from '../../../src/base/assert.ts';
import { EINTR } from '../../../src/base/errno.ts';
import type { Sim } from '../../../src/base/sim.ts';
import { cpuRelax, nowNs } from '../../../src/cpu/platform.ts';
import type { Task } from '../../../src/cpu/task.ts';
import type { TaskId } from '../../../src/layout/ids.ts';
import { RWSEM, RWSEM_HANDOFF } from '../../../src/layout/lockWords.ts';
import { taskAt } from '../../../src/layout/task.ts';
import {
  downRead,
  downReadKillable,
  downReadTrylock,
  downWrite,
  downWriteKillable,
  downgradeWrite,
  rwSemIsContended,
  rwSemIsLocked,
  upRead,
  upWrite,
} from '../../../src/locks/rwSem.ts';
import { killTask } from '../../../src/locks/sleep.ts';
import { hwLock, hwUnlock } from '../../../src/locks/hwLock.ts';
import { setWaiterDeadline } from '../../../src/locks/waitList.ts';
import { DATA, FLAG, untilBlocked, untilWord, type Ground, type LockProgram } from './program.ts';
import { initSem, semAt } from './sections.ts';

const WRITES = DATA + 2;
const READER_IN = DATA + 3;

/** Two words that only writers change, one after the other: equal whenever no writer is inside. */
function changeBoth(task: Task, ground: Ground): Sim<void> {
  const { heap } = task;
  store(heap, ground.at + DATA, load(heap, ground.at + DATA) + 1);
  store(heap, ground.at + DATA + 1, load(heap, ground.at + DATA + 1) + 1);
}

function compareBoth(task: Task, ground: Ground): Sim<number> {
  const first = load(task.heap, ground.at + DATA);
  assert(first === load(task.heap, ground.at + DATA + 1), 'a writer is inside together with this task');
  return first;
}

/** At the end the lock is free and its queue empty. */
function checkFree(task: Task, ground: Ground): Sim<void> {
  assert(readOnce(task.heap, semAt(ground) + RWSEM.count) === 0, 'the count is not zero');
  assert(!rwSemIsLocked(task.heap, semAt(ground)), 'the lock is held');
  assert(!rwSemIsContended(task.heap, semAt(ground)), 'somebody still queues');
}

function checkWrites(writers: number): (task: Task, ground: Ground) => Sim<void> {
  return (task: Task, ground: Ground): Sim<void> => {
    checkFree(task, ground);
    assert(compareBoth(task, ground) === writers * ground.rounds, 'a write was lost');
  };
}

const writer = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    downWrite(task, semAt(ground));
    changeBoth(task, ground);
    upWrite(task, semAt(ground));
  }
};

const reader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    downRead(task, semAt(ground));
    compareBoth(task, ground);
    upRead(task, semAt(ground));
  }
};

const tryingReader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    while (!downReadTrylock(task, semAt(ground))) cpuRelax(task);
    compareBoth(task, ground);
    upRead(task, semAt(ground));
  }
};

const downgrader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    downWrite(task, semAt(ground));
    changeBoth(task, ground);
    const written = load(task.heap, ground.at + DATA);
    downgradeWrite(task, semAt(ground));
    assert(compareBoth(task, ground) === written, 'a writer came in at the downgrade');
    upRead(task, semAt(ground));
  }
};

/** Counts in DATA what it really wrote; a fatal signal may keep it out. */
const killableWriter = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    const error = downWriteKillable(task, semAt(ground));
    assert(error === 0 || error === -EINTR, 'an unknown error');
    if (error !== 0) continue;
    changeBoth(task, ground);
    upWrite(task, semAt(ground));
  }
};

const killableReader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    if (downReadKillable(task, semAt(ground)) !== 0) continue;
    compareBoth(task, ground);
    upRead(task, semAt(ground));
  }
};

function killerOf(victim: number): (task: Task, ground: Ground) => Sim<void> {
  return (task: Task, ground: Ground): Sim<void> => {
    killTask(task, victim as TaskId);
    writer(task, ground);
  };
}

function checkEqual(task: Task, ground: Ground): Sim<void> {
  checkFree(task, ground);
  compareBoth(task, ground);
}

function mixed(name: string, threads: LockProgram['threads'], check: LockProgram['check']): LockProgram {
  return { name: `rwsem: ${name}`, setUp: initSem, threads, check };
}

const MIXED: readonly LockProgram[] = [
  mixed('readers and a writer exclude each other', [writer, reader, reader], checkWrites(1)),
  mixed('two writers and readers', [writer, reader, writer, reader], checkWrites(2)),
  mixed('readers by trylock', [writer, tryingReader, writer], checkWrites(2)),
  mixed('nobody writes between a downgrade and its release', [downgrader, reader, writer], checkWrites(2)),
  mixed('two tasks downgrade', [downgrader, downgrader, reader], checkWrites(2)),
  mixed('a killed writer leaves the lock to the others', [writer, killableWriter, killerOf(2)], checkEqual),
  mixed('a killed reader leaves the lock to the others', [writer, killableReader, killerOf(2), reader], checkEqual),
  mixed('a killed writer wakes those behind it', [reader, killableWriter, killerOf(2), writer], checkEqual),
];

/** T1 reads until a writer and, behind it, a reader queue: the writer writes first. */
const WRITER_FIRST: LockProgram = {
  name: 'rwsem: a reader queues behind a waiting writer while readers hold the lock',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, semAt(ground));
      const got = downReadTrylock(task, semAt(ground));
      assert(!got, 'the trylock passed a waiting writer');
      untilBlocked(task, 3, semAt(ground));
      untilBlocked(task, 4, semAt(ground));
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      downWrite(task, semAt(ground));
      store(task.heap, ground.at + WRITES, 1);
      upWrite(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      untilBlocked(task, 2, semAt(ground));
      downRead(task, semAt(ground));
      assert(load(task.heap, ground.at + WRITES) === 1, 'the reader overtook the writer');
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      untilBlocked(task, 2, semAt(ground));
      const error = downReadKillable(task, semAt(ground));
      assert(error === 0 && load(task.heap, ground.at + WRITES) === 1, 'the killable reader overtook the writer');
      upRead(task, semAt(ground));
    },
  ],
  check: checkFree,
};

/** Queue behind a writer: reader, writer, reader. One release grants both readers past the writer between them. */
const GRANT_BATCH: LockProgram = {
  name: 'rwsem: a wake grants all queued readers, past the writers between them',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downWrite(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 4, semAt(ground));
      upWrite(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      downRead(task, semAt(ground));
      // Leaves only when the other reader is in as well.
      untilWord(task, ground.at + READER_IN, 1);
      assert(load(task.heap, ground.at + WRITES) === 0, 'the writer came in between');
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilBlocked(task, 2, semAt(ground));
      downWrite(task, semAt(ground));
      store(task.heap, ground.at + WRITES, 1);
      upWrite(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilBlocked(task, 3, semAt(ground));
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
  ],
  check: checkFree,
};

const DOWNGRADE_WAKES_READER: LockProgram = {
  name: 'rwsem: a downgrade lets the reader at the head in',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downWrite(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, semAt(ground));
      downgradeWrite(task, semAt(ground));
      untilWord(task, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
  ],
  check: checkFree,
};

/** As above, but the reader may be anywhere on its way into the queue when the lock is downgraded. */
const DOWNGRADE_MEETS_READER: LockProgram = {
  name: 'rwsem: a reader that queues during a downgrade gets in',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downWrite(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      downgradeWrite(task, semAt(ground));
      untilWord(task, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      const error = downReadKillable(task, semAt(ground));
      assert(error === 0, 'nobody sent a signal');
      writeOnce(task.heap, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
  ],
  check: checkFree,
};

const DOWNGRADE_BEHIND_WRITER: LockProgram = {
  name: 'rwsem: a downgrade lets nobody in when a writer is the head',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downWrite(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 3, semAt(ground));
      downgradeWrite(task, semAt(ground));
      assert(readOnce(task.heap, ground.at + READER_IN) === 0, 'a reader came in past the writer');
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      downWrite(task, semAt(ground));
      store(task.heap, ground.at + WRITES, 1);
      upWrite(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilBlocked(task, 2, semAt(ground));
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + READER_IN, 1);
      assert(load(task.heap, ground.at + WRITES) === 1, 'the reader overtook the writer');
      upRead(task, semAt(ground));
    },
  ],
  check: checkFree,
};

/** A killed head: the reader behind it must not wait for a release that may never come. */
const KILLED_HEAD: LockProgram = {
  name: 'rwsem: a killed writer at the head lets the readers behind it in',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilWord(task, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      const error = downWriteKillable(task, semAt(ground));
      assert(error === -EINTR, 'the killed writer got the lock');
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilBlocked(task, 2, semAt(ground));
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilBlocked(task, 3, semAt(ground));
      killTask(task, 2 as TaskId);
    },
  ],
  check: checkFree,
};

/** A signal for somebody who may not be killed changes nothing. */
const UNKILLABLE: LockProgram = {
  name: 'rwsem: a signal does not end a wait that is not killable',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downWrite(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, semAt(ground));
      killTask(task, 2 as TaskId);
      assert(readOnce(task.heap, ground.at + READER_IN) === 0, 'the reader came in beside the writer');
      upWrite(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + READER_IN, 1);
      upRead(task, semAt(ground));
    },
  ],
  check: checkFree,
};

/** Once the handoff bit is set, nobody gets the lock before the head. */
export const HANDOFF_PROGRAM: LockProgram = {
  name: 'rwsem: after its deadline the head gets the lock before anybody else',
  directed: true,
  setUp: initSem,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      downRead(task, semAt(ground));
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, semAt(ground));
      hwLock(task, semAt(ground) + RWSEM.waitLock);
      setWaiterDeadline(task.heap, taskAt(task.heap, 2 as TaskId), (Math.floor(nowNs(task) / 1000) - 1000) | 0);
      hwUnlock(task, semAt(ground) + RWSEM.waitLock);
      // From here on: before that somebody else could become the head.
      writeOnce(task.heap, ground.at + FLAG, 2);
      upRead(task, semAt(ground));
      overtake(task, ground);
    },
    (task: Task, ground: Ground): Sim<void> => {
      while (readOnce(task.heap, ground.at + FLAG) === 0) cpuRelax(task);
      downWrite(task, semAt(ground));
      writeOnce(task.heap, ground.at + WRITES, 1);
      upWrite(task, semAt(ground));
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 2);
      overtake(task, ground);
    },
  ],
  check: checkFree,
};

/** Takes the lock again and again; whoever has seen the handoff bit must find the head's mark. */
function overtake(task: Task, ground: Ground): Sim<void> {
  const { heap } = task;
  for (let round = 0; round < 6; round++) {
    const handoff = (readOnce(heap, semAt(ground) + RWSEM.count) & RWSEM_HANDOFF) !== 0;
    if (handoff) writeOnce(heap, ground.at + HANDOFFS_SEEN, 1);
    const writes = round % 2 === 1;
    if (writes) downWrite(task, semAt(ground));
    else downRead(task, semAt(ground));
    if (handoff) assert(readOnce(heap, ground.at + WRITES) === 1, 'somebody passed the handoff');
    if (writes) upWrite(task, semAt(ground));
    else upRead(task, semAt(ground));
  }
}

/** Set once somebody has seen the handoff bit: tests of the test look at it. */
export const HANDOFFS_SEEN = DATA + 4;

export const RWSEM_PROGRAMS: readonly LockProgram[] = [
  ...MIXED,
  WRITER_FIRST,
  GRANT_BATCH,
  DOWNGRADE_WAKES_READER,
  DOWNGRADE_MEETS_READER,
  DOWNGRADE_BEHIND_WRITER,
  KILLED_HEAD,
  UNKILLABLE,
  HANDOFF_PROGRAM,
];
