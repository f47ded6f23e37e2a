/**
 * Every operation of the mm as one thread does it to the same small process: what is paired with what in pairs.ts. Each
 * works on the pages that all others work on too, tolerates what another may have done to them before, and leaves no lock
 * and no pin behind. What it must not do to the machine the detectors know.
 */

import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, type MmPtr, type Pfn } from '../../src/layout/ids.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { sysFork } from '../../src/mm/fork.ts';
import { pinUserPages, pinUserPagesFast, unpinUserPages } from '../../src/mm/gup.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { sysMlock, sysMunlock } from '../../src/mm/mlock.ts';
import { mmDropAllLocks, mmTakeAllLocks } from '../../src/mm/mmTakeAllLocks.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { sysMseal } from '../../src/mm/mseal.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import {
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import { addressOf, pageAt } from './stage.ts';

/** What the set-up hands to both threads. */
export interface PairShared {
  readonly mm: MmPtr;
  /** Frame of page 1. */
  readonly pfn: Pfn;
}

/** Does the operation once. `shared.mm` is the task's mm. */
export type OperationAct = (task: Task, shared: PairShared) => Sim<void>;

/** Pages of the process that the operations are about: [FIRST, FIRST + COUNT) counted from PAGE. */
const FIRST = 1;
const COUNT = 2;
const BYTES = COUNT * PAGE_SIZE;
/** Where mremap moves them to. */
const ELSEWHERE = 6;

function read(task: Task): Sim<void> {
  userRead(task, pageAt(FIRST), 0);
}

/** The page is shared with a child: the write copies it. */
function write(task: Task): Sim<void> {
  userWrite(task, pageAt(FIRST), 0, 2);
}

/** The page was never touched. */
function firstWrite(task: Task): Sim<void> {
  userWrite(task, pageAt(FIRST + COUNT), 0, 2);
}

function mmap(task: Task): Sim<void> {
  sysMmap(task, addressOf(FIRST), BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
}

function munmap(task: Task): Sim<void> {
  sysMunmap(task, addressOf(FIRST), BYTES);
}

function mprotect(task: Task): Sim<void> {
  sysMprotect(task, addressOf(FIRST), BYTES, PROT_READ);
}

function mremap(task: Task): Sim<void> {
  sysMremap(task, addressOf(FIRST), BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, addressOf(ELSEWHERE));
}

function dontneed(task: Task): Sim<void> {
  sysMadvise(task, addressOf(FIRST), BYTES, MADV_DONTNEED);
}

function lazyfree(task: Task): Sim<void> {
  sysMadvise(task, addressOf(FIRST), BYTES, MADV_FREE);
}

function dontfork(task: Task): Sim<void> {
  sysMadvise(task, addressOf(FIRST), BYTES, MADV_DONTFORK);
}

function mlock(task: Task): Sim<void> {
  sysMlock(task, addressOf(FIRST), BYTES);
  sysMunlock(task, addressOf(FIRST), BYTES);
}

function mseal(task: Task): Sim<void> {
  sysMseal(task, addressOf(FIRST), BYTES, 0);
}

function fork(task: Task): Sim<void> {
  sysFork(task);
}

/** The thread gives up its hold on the address space; whoever does so last takes it down. */
function exit(task: Task, { mm }: PairShared): Sim<void> {
  task.mm = NO_MM;
  mmput(task, mm);
}

function migrate(task: Task, { mm }: PairShared): Sim<void> {
  migrateRange(task, mm, pageAt(FIRST), COUNT, 'sync');
}

/** A kernel thread: it has no address space of its own. */
function compact(task: Task, { pfn }: PairShared): Sim<void> {
  task.mm = NO_MM;
  compactScan(task, pfn, 1);
}

function reclaim(task: Task, { pfn }: PairShared): Sim<void> {
  task.mm = NO_MM;
  reclaimScan(task, pfn, 1);
}

function pinFast(task: Task): Sim<void> {
  const pages: Pfn[] = [];
  if (pinUserPagesFast(task, pageAt(FIRST), 1, true, pages) > 0) unpinUserPages(task, pages);
}

/** Through the tables of an address space as another process pins it. */
function pinSlow(task: Task, { mm }: PairShared): Sim<void> {
  const pages: Pfn[] = [];
  if (pinUserPages(task, mm, pageAt(FIRST), 1, false, pages) > 0) unpinUserPages(task, pages);
}

function takeAllLocks(task: Task, { mm }: PairShared): Sim<void> {
  mmapWriteLock(task, mm);
  if (mmTakeAllLocks(task, mm) === 0) mmDropAllLocks(task, mm);
  mmapWriteUnlock(task, mm);
}

/** Operations of kernel threads, which hold no address space: they may meet one that goes away. */
export const KERNEL_THREADS: readonly string[] = ['compact', 'reclaim'];

/** By name, in the order of the table of pairs. */
export const OPERATION_ACTS: Readonly<Record<string, OperationAct>> = {
  read,
  write,
  'first-write': firstWrite,
  mmap,
  munmap,
  mprotect,
  mremap,
  dontneed,
  lazyfree,
  dontfork,
  mlock,
  mseal,
  fork,
  exit,
  migrate,
  compact,
  reclaim,
  'pin-fast': pinFast,
  'pin-slow': pinSlow,
  'take-all-locks': takeAllLocks,
};
