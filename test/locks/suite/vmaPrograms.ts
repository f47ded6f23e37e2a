/** Per-VMA locks, the mmap lock's sequence number and plain sequence counts under concurrency. */

import { load, readOnce, store, writeOnce } from '../../../src/arena/access.ts';
import { assert } from '../../../src/base/assert.ts';
import { EINTR } from '../../../src/base/errno.ts';
import type { Sim } from '../../../src/base/sim.ts';
import { cpuRelax } from '../../../src/cpu/platform.ts';
import type { Task } from '../../../src/cpu/task.ts';
import type { SeqCountPtr, TaskId } from '../../../src/layout/ids.ts';
import { CLASS_MMAP_LOCK } from '../../../src/layout/lockClass.ts';
import { MM, mmMmapLock } from '../../../src/layout/mm.ts';
import { VMA, setVmaMm } from '../../../src/layout/vma.ts';
import {
  mmapReadLock,
  mmapReadUnlock,
  mmapWriteDowngrade,
  mmapWriteLock,
  mmapWriteUnlock,
} from '../../../src/locks/mmapLock.ts';
import { rcuReadLock, rcuReadUnlock } from '../../../src/locks/rcu.ts';
import { rwSemInit } from '../../../src/locks/rwSem.ts';
import {
  readSeqcountBegin,
  readSeqcountRetry,
  writeSeqcountBegin,
  writeSeqcountEnd,
} from '../../../src/locks/seqCount.ts';
import { killTask } from '../../../src/locks/sleep.ts';
import {
  vmaAssertLocked,
  vmaAssertWriteLocked,
  vmaEndRead,
  vmaLockInit,
  vmaMarkAttached,
  vmaMarkDetached,
  vmaStartRead,
  vmaStartWrite,
  vmaStartWriteKillable,
} from '../../../src/locks/vmaLock.ts';
import {
  DATA,
  FLAG,
  groundMm,
  groundVma,
  otherMm,
  untilBlocked,
  untilWord,
  type Ground,
  type LockProgram,
} from './program.ts';

const SERVED = DATA;
const TORN = DATA + 1;
const SEQ = DATA + 2;
const PAIR = DATA + 3;

function setUp(task: Task, ground: Ground): Sim<void> {
  const { heap } = task;
  for (const mm of [groundMm(ground), otherMm(ground)]) rwSemInit(heap, mmMmapLock(mm), CLASS_MMAP_LOCK);
  const vma = groundVma(ground);
  setVmaMm(heap, vma, groundMm(ground));
  vmaLockInit(heap, vma);
  mmapWriteLock(task, groundMm(ground));
  vmaMarkAttached(task, vma);
  mmapWriteUnlock(task, groundMm(ground));
}

/** The VMA is as it was after the set-up, and the mm is free. */
function check(task: Task, ground: Ground): Sim<void> {
  const { heap } = task;
  assert(readOnce(heap, groundVma(ground) + VMA.refcnt) === 1, 'the reference count is not that of an idle VMA');
  assert((readOnce(heap, groundMm(ground) + MM.mmLockSeq) & 1) === 0, 'the sequence number is odd');
  assert(readOnce(heap, groundMm(ground) + MM.vmaWriterWait) === 0, 'a writer still waits');
}

/** Two words that change together under the VMA write lock. */
function move(task: Task, ground: Ground): Sim<void> {
  const vma = groundVma(ground);
  vmaAssertWriteLocked(task, vma);
  store(task.heap, vma + VMA.start, load(task.heap, vma + VMA.start) + 1);
  store(task.heap, vma + VMA.end, load(task.heap, vma + VMA.end) + 1);
}

function compare(task: Task, ground: Ground): Sim<void> {
  const vma = groundVma(ground);
  vmaAssertLocked(task, vma);
  assert(load(task.heap, vma + VMA.start) === load(task.heap, vma + VMA.end), 'the VMA changes under its reader');
}

const writer = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    mmapWriteLock(task, groundMm(ground));
    vmaStartWrite(task, groundMm(ground), groundVma(ground));
    move(task, ground);
    vmaStartWrite(task, groundMm(ground), groundVma(ground));
    mmapWriteUnlock(task, groundMm(ground));
  }
};

const downgrader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    mmapWriteLock(task, groundMm(ground));
    vmaStartWrite(task, groundMm(ground), groundVma(ground));
    move(task, ground);
    mmapWriteDowngrade(task, groundMm(ground));
    // The write lock is gone, but no other writer can come: as good as a read lock.
    assert(load(task.heap, groundVma(ground) + VMA.start) === load(task.heap, groundVma(ground) + VMA.end), 'torn');
    mmapReadUnlock(task, groundMm(ground));
  }
};

/** A fault: the VMA lock, or else the mmap lock. */
const faulter = (task: Task, ground: Ground): Sim<void> => {
  const vma = groundVma(ground);
  for (let round = 0; round < ground.rounds; round++) {
    rcuReadLock(task);
    const locked = vmaStartRead(task, groundMm(ground), vma);
    rcuReadUnlock(task);
    if (locked) {
      compare(task, ground);
      vmaEndRead(task, vma);
    } else {
      mmapReadLock(task, groundMm(ground));
      assert(load(task.heap, vma + VMA.start) === load(task.heap, vma + VMA.end), 'a writer is inside');
      mmapReadUnlock(task, groundMm(ground));
    }
  }
};

/** Unmaps the VMA, and maps it again as a VMA of the other mm and back: its slot is recycled under the readers. */
const recycler = (task: Task, ground: Ground): Sim<void> => {
  const vma = groundVma(ground);
  for (let round = 0; round < 2 * ground.rounds; round++) {
    const from = round % 2 === 0 ? groundMm(ground) : otherMm(ground);
    const to = round % 2 === 0 ? otherMm(ground) : groundMm(ground);
    mmapWriteLock(task, from);
    vmaStartWrite(task, from, vma);
    store(task.heap, vma + VMA.start, load(task.heap, vma + VMA.start) + 1);
    vmaMarkDetached(task, vma);
    mmapWriteUnlock(task, from);
    setVmaMm(task.heap, vma, to);
    vmaLockInit(task.heap, vma);
    store(task.heap, vma + VMA.end, load(task.heap, vma + VMA.end) + 1);
    mmapWriteLock(task, to);
    vmaMarkAttached(task, vma);
    mmapWriteUnlock(task, to);
  }
};

const lockOnlyFaulter = (task: Task, ground: Ground): Sim<void> => {
  const vma = groundVma(ground);
  for (let round = 0; round < ground.rounds; round++) {
    rcuReadLock(task);
    const locked = vmaStartRead(task, groundMm(ground), vma);
    rcuReadUnlock(task);
    if (!locked) continue;
    assert(load(task.heap, vma + VMA.mm) === groundMm(ground), 'a VMA of another mm was locked');
    compare(task, ground);
    vmaEndRead(task, vma);
  }
};

function program(name: string, threads: LockProgram['threads']): LockProgram {
  return { name: `vma lock: ${name}`, setUp, threads, check };
}

const KILLED_WRITER: LockProgram = {
  name: 'vma lock: a signal ends the wait for readers, who may come again',
  directed: true,
  setUp,
  threads: [
    (task: Task, ground: Ground): Sim<void> => {
      const vma = groundVma(ground);
      rcuReadLock(task);
      const first = vmaStartRead(task, groundMm(ground), vma);
      rcuReadUnlock(task);
      assert(first, 'the VMA is not free');
      writeOnce(task.heap, ground.at + FLAG, 1);
      untilBlocked(task, 2, vma + VMA.refcnt);
      rcuReadLock(task);
      const second = vmaStartRead(task, groundMm(ground), vma);
      rcuReadUnlock(task);
      assert(!second, 'a reader came in past the waiting writer');
      killTask(task, 2 as TaskId);
      untilWord(task, ground.at + SERVED, 1);
      rcuReadLock(task);
      const third = vmaStartRead(task, groundMm(ground), vma);
      rcuReadUnlock(task);
      assert(third, 'the killed writer still keeps readers out');
      vmaEndRead(task, vma);
      vmaEndRead(task, vma);
    },
    (task: Task, ground: Ground): Sim<void> => {
      untilWord(task, ground.at + FLAG, 1);
      mmapWriteLock(task, groundMm(ground));
      const error = vmaStartWriteKillable(task, groundMm(ground), groundVma(ground));
      assert(error === -EINTR, 'the killed writer got the VMA');
      writeOnce(task.heap, ground.at + SERVED, 1);
      mmapWriteUnlock(task, groundMm(ground));
    },
  ],
  check,
};

const seqWriter = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds; round++) {
    writeSeqcountBegin(task, seqAt(ground));
    writeOnce(task.heap, ground.at + PAIR, round + 1);
    writeOnce(task.heap, ground.at + PAIR + 1, round + 1);
    writeSeqcountEnd(task, seqAt(ground));
  }
};

const seqReader = (task: Task, ground: Ground): Sim<void> => {
  for (let round = 0; round < ground.rounds;) {
    const seq = readSeqcountBegin(task, seqAt(ground));
    if ((seq & 1) !== 0) {
      cpuRelax(task);
      continue;
    }
    const first = readOnce(task.heap, ground.at + PAIR);
    const torn = first !== readOnce(task.heap, ground.at + PAIR + 1);
    const retry = readSeqcountRetry(task, seqAt(ground), seq);
    assert(!torn || retry, 'a torn read was not detected');
    if (torn) writeOnce(task.heap, ground.at + TORN, 1);
    if (!retry) round++;
  }
};

function seqAt(ground: Ground): SeqCountPtr {
  return (ground.at + SEQ) as SeqCountPtr;
}

/** TORN is set once a reader has really seen a torn pair: tests of the test look at it. */
export const TORN_SEEN = TORN;

export const SEQCOUNT_PROGRAM: LockProgram = {
  name: 'seqcount: every torn read is detected',
  setUp: (task: Task, ground: Ground): Sim<void> => store(task.heap, seqAt(ground), 0),
  threads: [seqWriter, seqReader, seqReader],
  check: (task: Task, ground: Ground): Sim<void> => {
    assert((load(task.heap, seqAt(ground)) & 1) === 0, 'a writer is left inside');
  },
};

export const VMA_PROGRAMS: readonly LockProgram[] = [
  program('readers and writers exclude each other', [writer, faulter, faulter]),
  program('two writers take turns', [writer, writer, faulter]),
  program('the write lock ends at the downgrade', [downgrader, faulter, writer]),
  program('a recycled VMA is not taken for the old one', [recycler, lockOnlyFaulter, lockOnlyFaulter]),
  KILLED_WRITER,
  SEQCOUNT_PROGRAM,
];
