/**
 * The machine of a scenario, as small as it can be: putting it back before each execution costs what its size costs. The
 * helpers are what set-ups are made of; each asserts that it worked, for a set-up runs alone and has no excuse.
 */

import type { Heap } from '../../src/arena/heap.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { ledgerWords } from '../../src/check/ledger.ts';
import { createChecker } from '../../src/check/watch.ts';
import type { CheckHook, LockdepHook } from '../../src/cpu/hooks.ts';
import { SMALL_MACHINE, createMachine, type MachineSize } from '../../src/cpu/machine.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import { MachineWorld } from '../../src/explore/machineWorld.ts';
import type { ViolationSink } from '../../src/explore/world.ts';
import { NO_MM, NO_TABLE, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../../src/layout/pageTable.ts';
import { pteIsPresent, ptePfn } from '../../src/layout/pte.ts';
import { bothLockdep } from '../../src/detect/heldLocks.ts';
import { createLockdep } from '../../src/lockdep/lockdep.ts';
import { noTrace } from '../../src/lockdep/trace.ts';
import { LOCKDEP_SMALL, initLockdep, lockdepWords, type LockdepSize } from '../../src/lockdep/section.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { sysFork } from '../../src/mm/fork.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../src/mm/syscallFlags.ts';
import { sysMmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { lockdepViolation } from '../../src/report/lockdepViolation.ts';
import type { Rules } from '../../src/rules/rules.ts';

/** Room for one process with a few pages; scenarios with more say so. */
const STAGE_MACHINE: MachineSize = {
  ...SMALL_MACHINE,
  frames: 10,
  pageTables: 5,
  mms: 2,
  vmas: 6,
  anonVmas: 4,
  anonVmaChains: 12,
  vmaNodes: [5, 0, 0, 0],
  tlbEntries: 4,
  waitBuckets: 1,
};

/** Room for a parent and a child. */
export const FAMILY: Partial<MachineSize> = {
  frames: 12,
  pageTables: 10,
  mms: 3,
  vmas: 8,
  anonVmas: 6,
  anonVmaChains: 24,
  vmaNodes: [8, 0, 0, 0],
};

const STAGE_LOCKDEP: LockdepSize = {
  ...LOCKDEP_SMALL,
  chains: 512,
  edges: 120,
  instances: 32,
  textWords: 4096,
  nested: 16,
};

/** First page of every mapping that a set-up makes. */
const PAGE = 16;

export interface StageOptions {
  readonly rules: Rules;
  readonly cpus: number;
  readonly size: Partial<MachineSize>;
  readonly sink: ViolationSink;
  /** Lockdep notes places. */
  readonly places: boolean;
  /** Hears of every lock beside lockdep. */
  readonly locks?: LockdepHook | undefined;
}

export class Stage {
  readonly heap: Heap;
  private readonly rules: Rules;
  private readonly sink: ViolationSink;
  private check: CheckHook;
  private readonly lockdep: LockdepHook;
  private readonly tasks: Task[] = [];

  constructor({ rules, cpus, size, sink, places, locks }: StageOptions) {
    const machine = { ...STAGE_MACHINE, ...size, cpus };
    this.rules = rules;
    this.heap = createMachine({
      ...machine,
      lockdepWords: lockdepWords(cpus, STAGE_LOCKDEP),
      userWords: ledgerWords(machine.frames),
    });
    initLockdep(this.heap, STAGE_LOCKDEP);
    this.sink = sink;
    this.check = createChecker(sink, {});
    const trace = places ? {} : { trace: noTrace };
    const lockdep = createLockdep(this.heap, (report) => sink(lockdepViolation(report)), trace);
    this.lockdep = locks === undefined ? lockdep : bothLockdep(lockdep, locks);
  }

  /** The task with this id (from 1) during the set-up. */
  task(id: number): Task {
    return (this.tasks[id] ??= this.newTask(id));
  }

  /** A fresh task with this id. */
  newTask(id: number): Task {
    const { heap, rules, check, lockdep } = this;
    return createTask({ heap, id, rules, seed: 0, check, lockdep });
  }

  /** A task for what is done alone once all threads have finished. */
  newJudge(): Task {
    return { ...this.newTask(1), lockdep: null };
  }

  /** The machine as it is now is the start of every execution. */
  newWorld(): MachineWorld {
    return new MachineWorld(this.heap, (index) => {
      // What a checker remembers of its tasks belongs to one execution, which may have ended anywhere.
      if (index === 0) this.check = createChecker(this.sink, {});
      return this.newTask(index + 1);
    });
  }
}

/** A process with `pages` writable pages from PAGE on, none of them touched; task `id` runs in it from now on. */
export function newProcess(stage: Stage, pages: number, id = 1): Sim<MmPtr> {
  const task = stage.task(id);
  const mm = mmAlloc(task);
  assert(mm !== NO_MM, 'no memory for a process');
  task.mm = mm;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const at = sysMmap(task, vpnToAddr(PAGE), pages * PAGE_SIZE, PROT_READ | PROT_WRITE, flags);
  assert(at === vpnToAddr(PAGE), 'mmap failed');
  return mm;
}

/** Writes to a page of the task's process, counted from PAGE. */
export function touch(task: Task, page: number, value = 1): Sim<void> {
  const error = userWrite(task, pageAt(page), 0, value);
  assert(error === 0, 'user write failed');
}

/** A child of the task's process. */
export function forkOf(task: Task): Sim<MmPtr> {
  const child = sysFork(task);
  assert(child > 0, 'fork failed');
  return child as MmPtr;
}

/** Virtual page number of a page counted from PAGE. */
export function pageAt(page: number): Vpn {
  return (PAGE + page) as Vpn;
}

/** Byte address of a page counted from PAGE. */
export function addressOf(page: number): number {
  return vpnToAddr(PAGE + page);
}

/** The frame that a page of the task's process is in. */
export function frameOf(task: Task, vpn: Vpn): Sim<Pfn> {
  const table = findTable(task, task.mm, vpn, LEVEL_PTE);
  assert(table !== NO_TABLE, 'no page table there');
  const entry = readOncePte(task.heap, entryAt(table, vpn, LEVEL_PTE));
  assert(pteIsPresent(entry), 'no page there');
  return ptePfn(entry);
}

/** A kernel thread's migration of one frame, wherever it is mapped. */
export function compactFrame(task: Task, pfn: Pfn): Sim<void> {
  const moved = compactScan(task, pfn, 1);
  assert(moved >= 0, 'no frame to migrate to');
}

/** The process must read `value` in its page: reports it as lost otherwise. */
export function readBack(task: Task, page: number, word: number, value: number, report: ViolationSink): Sim<void> {
  const error = userRead(task, pageAt(page), word);
  if (error === 0 && task.loaded === value) return;
  const seen = error === 0 ? `holds ${task.loaded}` : 'cannot be read';
  report({
    kind: 'lost-write',
    title: `word ${word} of page ${PAGE + page} ${seen} after ${value} was stored there`,
    signature: 'a stored value is gone',
    evidence: [],
  });
}
