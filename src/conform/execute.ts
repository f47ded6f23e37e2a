/**
 * One step of a trace on the simulated kernel. A process is an address space; the one CPU runs whichever acts, as in the
 * recording.
 *
 * Kernel entry points as the recording used them: the system calls by their names, `pin` through an io_uring registered
 * buffer (FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE), `migrate` through mbind(MPOL_DEFAULT, MPOL_MF_MOVE_ALL).
 */

import { assert } from '../base/assert.ts';
import { EFAULT, errnoName } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_MM, type MmPtr, type Pfn, type Vpn } from '../layout/ids.ts';
import { KSM_RUN_MERGE, KSM_RUN_STOP } from '../layout/ksm.ts';
import { sysFork } from '../mm/fork.ts';
import { pinUserPagesFast, unpinUserPages } from '../mm/gup.ts';
import { ksmSetRun, ksmdPasses } from '../mm/ksmd.ts';
import { sysMadvise } from '../mm/madvise.ts';
import { migrateRange } from '../mm/migrate.ts';
import { sysMlock, sysMlock2, sysMunlock } from '../mm/mlock.ts';
import { mmput } from '../mm/mmStruct.ts';
import { sysMseal } from '../mm/mseal.ts';
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NORMAL,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../mm/syscalls.ts';
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, userRead, userWrite } from '../mm/userAccess.ts';
import {
  PAGE_BYTES,
  WINDOW_BASE,
  WINDOW_PAGES,
  type Action,
  type Operand,
  type Protection,
  type Result,
} from './traceFormat.ts';

/** A process of the case; mm is 0 once it has exited. */
export interface SimulatedProcess {
  mm: MmPtr;
  /** Pages of each pin it holds. */
  readonly pins: Map<number, Pfn[]>;
}

type Of<Op extends Action['op']> = Extract<Action, { readonly op: Op }>;

const MMAP_BITS: Readonly<Record<string, number>> = {
  fixed: MAP_FIXED,
  fixed_noreplace: MAP_FIXED_NOREPLACE,
  populate: MAP_POPULATE,
  noreserve: MAP_NORESERVE,
  hugetlb: MAP_HUGETLB,
  locked: MAP_LOCKED,
};
const MREMAP_BITS: Readonly<Record<string, number>> = {
  maymove: MREMAP_MAYMOVE,
  fixed: MREMAP_FIXED,
  dontunmap: MREMAP_DONTUNMAP,
  bad8: 8,
};
const ADVICE: Readonly<Record<Of<'madvise'>['advice'], number>> = {
  normal: MADV_NORMAL,
  random: MADV_RANDOM,
  sequential: MADV_SEQUENTIAL,
  willneed: MADV_WILLNEED,
  dontneed: MADV_DONTNEED,
  free: MADV_FREE,
  dontfork: MADV_DONTFORK,
  dofork: MADV_DOFORK,
  mergeable: MADV_MERGEABLE,
  unmergeable: MADV_UNMERGEABLE,
  wipeonfork: MADV_WIPEONFORK,
  keeponfork: MADV_KEEPONFORK,
  populate_read: MADV_POPULATE_READ,
  populate_write: MADV_POPULATE_WRITE,
  bad: 99,
};
const MLOCK_BITS: Readonly<Record<string, number>> = { onfault: MLOCK_ONFAULT, bad8: 8 };
const PROT_BITS: Readonly<Record<Protection, number>> = { none: PROT_NONE, r: PROT_READ, rw: PROT_READ | PROT_WRITE };

/** Does what the step says; a child that fork makes is added to `processes`. */
export function executeStep(task: Task, processes: SimulatedProcess[], action: Action): Sim<Result> {
  if (action.op === 'ksm') {
    runKsm(task);
    return 0;
  }
  const process = processes[action.p];
  assert(process !== undefined && process.mm !== NO_MM, 'conform: the acting process is not alive');
  task.mm = process.mm;
  switch (action.op) {
    case 'mmap': {
      const type = action.shared ? MAP_SHARED : MAP_PRIVATE;
      const flags = type | MAP_ANONYMOUS | bitsOf(action.flags, MMAP_BITS);
      return addressResult(sysMmap(task, action.at?.bytes ?? 0, action.len.bytes, PROT_BITS[action.prot], flags));
    }
    case 'munmap':
      return plainResult(sysMunmap(task, action.at.bytes, action.len.bytes));
    case 'mprotect':
      return plainResult(sysMprotect(task, action.at.bytes, action.len.bytes, PROT_BITS[action.prot]));
    case 'mremap': {
      const { at, len, newLen, to } = action;
      const flags = bitsOf(action.flags, MREMAP_BITS);
      return addressResult(sysMremap(task, at.bytes, len.bytes, newLen.bytes, flags, to?.bytes ?? 0));
    }
    case 'madvise':
      return plainResult(sysMadvise(task, action.at.bytes, action.len.bytes, ADVICE[action.advice]));
    case 'mlock':
      return plainResult(sysMlock(task, action.at.bytes, action.len.bytes));
    case 'mlock2':
      return plainResult(sysMlock2(task, action.at.bytes, action.len.bytes, bitsOf(action.flags, MLOCK_BITS)));
    case 'munlock':
      return plainResult(sysMunlock(task, action.at.bytes, action.len.bytes));
    case 'mseal':
      return plainResult(sysMseal(task, action.at.bytes, action.len.bytes, 0));
    case 'read':
      return accessResult(userRead(task, action.page as Vpn, 0), task.loaded);
    case 'write':
      return accessResult(userWrite(task, action.page as Vpn, 0, action.value), 0);
    case 'fork':
      return forkProcess(task, processes, action);
    case 'exit':
      exitProcess(task, process);
      return 0;
    case 'pin':
      return plainResult(pinRange(task, process, action));
    case 'unpin':
      return unpin(task, process, action.id);
    case 'migrate': {
      const [first, count] = pagesOf(action.at, action.len);
      const left = count === 0 ? -EFAULT : migrateRange(task, process.mm, first, count, 'sync');
      // Without MPOL_MF_STRICT, pages that stay where they are do not make mbind fail.
      return plainResult(Math.min(left, 0));
    }
  }
}

/** KSM runs until at least so many passes are complete, then it is stopped. */
const KSM_PASSES = 5;

function runKsm(task: Task): Sim<void> {
  task.mm = NO_MM;
  ksmSetRun(task, KSM_RUN_MERGE);
  ksmdPasses(task, KSM_PASSES);
  ksmSetRun(task, KSM_RUN_STOP);
}

/** The process unpins what it pinned and gives up its address space. */
export function exitProcess(task: Task, process: SimulatedProcess): Sim<void> {
  for (const pages of process.pins.values()) unpinUserPages(task, pages);
  process.pins.clear();
  const mm = process.mm;
  process.mm = NO_MM;
  task.mm = NO_MM;
  mmput(task, mm);
}

function forkProcess(task: Task, processes: SimulatedProcess[], { child }: Of<'fork'>): Sim<Result> {
  const mm = sysFork(task);
  if (mm < 0) return errnoName(mm);
  processes[child] = { mm: mm as MmPtr, pins: new Map() };
  return child;
}

/** Registers a buffer: all pages or none stay pinned, pages before a failing one may have been faulted in. */
function pinRange(task: Task, process: SimulatedProcess, { at, len, id }: Of<'pin'>): Sim<number> {
  const [first, count] = pagesOf(at, len);
  if (count === 0) return -EFAULT;
  const pages: Pfn[] = [];
  const pinned = pinUserPagesFast(task, first, count, true, pages);
  if (pinned === count) {
    process.pins.set(id, pages);
    return 0;
  }
  if (pinned > 0) unpinUserPages(task, pages);
  return pinned < 0 ? pinned : -EFAULT;
}

function unpin(task: Task, process: SimulatedProcess, id: number): Sim<Result> {
  const pages = process.pins.get(id);
  assert(pages !== undefined, 'conform: the pin was recorded as taken');
  unpinUserPages(task, pages);
  process.pins.delete(id);
  return 0;
}

/** First page and number of pages of a byte range; none when it leaves the window, where nothing is simulated. */
function pagesOf(at: Operand, len: Operand): [Vpn, number] {
  const first = Math.floor((at.bytes - WINDOW_BASE) / PAGE_BYTES);
  const last = Math.ceil((at.bytes + len.bytes - WINDOW_BASE) / PAGE_BYTES);
  const isInside = first >= 0 && first < last && last <= WINDOW_PAGES;
  return [first as Vpn, isInside ? last - first : 0];
}

function bitsOf(names: readonly string[], bits: Readonly<Record<string, number>>): number {
  return names.reduce((flags, name) => flags | (bits[name] ?? 0), 0);
}

function plainResult(value: number): Result {
  return value < 0 ? errnoName(value) : value;
}

/** A byte address as a page index of the window. */
function addressResult(value: number): Result {
  return value < 0 ? errnoName(value) : (value - WINDOW_BASE) / PAGE_BYTES;
}

function accessResult(value: number, loaded: number): Result {
  switch (value) {
    case 0:
      return loaded;
    case SEGV_MAPERR:
      return 'segv_maperr';
    case SEGV_ACCERR:
      return 'segv_accerr';
    case BUS_ADRERR:
      return 'sigbus';
    default:
      return `fault ${value}`;
  }
}
