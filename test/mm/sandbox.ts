/**
 * A small booted machine for tests of the simulated kernel: one process, four tasks, every detector switched on.
 */
import { expect } from 'vitest';
import type { Heap } from '../../src/arena/heap.ts';
import { assert } from '../../src/base/assert.ts';
import type { FindingKind, Violation } from '../../src/base/finding.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import { checkLeaks } from '../../src/check/leaks.ts';
import type { MachineSize } from '../../src/cpu/machine.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, NO_TABLE, type MmPtr, type Pfn, type PteVal, type VmaPtr, type Vpn } from '../../src/layout/ids.ts';
import { KSM_RUN_STOP, KSM_RUN_UNMERGE } from '../../src/layout/ksm.ts';
import {
  PG_anonExclusive,
  readOncePageFlags,
  readOncePageMapcount,
  readOncePageRefcount,
} from '../../src/layout/page.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../../src/layout/pageTable.ts';
import { PTE_NONE, ptePfn } from '../../src/layout/pte.ts';
import { allTaskIds, taskAt, taskRcuNesting } from '../../src/layout/task.ts';
import { folioLock, folioUnlock } from '../../src/locks/folioLock.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { doMmap } from '../../src/mm/mmap.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { ksmSetRun } from '../../src/mm/ksmd.ts';
import { isolateFolio, putbackFolio } from '../../src/mm/migrate.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { removeMigrationPtes } from '../../src/mm/removeMigrationPtes.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { tryToMigrate } from '../../src/mm/tryToMigrate.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { mmKernel } from './mmKernel.ts';

/** A lock that is missing harms nobody by itself: the machine is sound and can be checked further. */
const MISSING_LOCK: FindingKind = 'lock-held';

export const PROT_RW = PROT_READ | PROT_WRITE;

export interface SandboxOptions {
  readonly rules?: Rules;
  readonly size?: Partial<MachineSize>;
  /** Signatures of the violations that the test provokes; any other fails it. */
  readonly expected?: readonly string[];
}

/** One process on a small machine; all four tasks run in it. */
export interface Sandbox {
  readonly heap: Heap;
  mm: MmPtr;
  readonly task: Task;
  readonly task2: Task;
  readonly task3: Task;
  readonly task4: Task;
  /** Address spaces that the test made, dropped at its end. */
  readonly others: MmPtr[];
}

/** A test of one process, with every detector on. At its end nothing may be wrong, and nothing may be left. */
export function mmTest(name: string, body: (box: Sandbox) => Sim<void>, options: SandboxOptions = {}): void {
  const { rules = LINUX_7_0, size = {}, expected = [] } = options;
  const violations: Violation[] = [];
  const run = (kernel: Kernel): Sim<void> => {
    violations.length = 0;
    const box = openSandbox(kernel);
    body(box);
    const found = [...violations, ...checkQuiescent(box.heap)].map(({ signature }) => signature);
    expect([...new Set(found)]).toEqual(expected);
    if (expected.length > 0 && violations.some(({ kind }) => kind !== MISSING_LOCK)) return;
    closeSandbox(box);
    const wrong = violations.filter(({ kind }) => kind !== MISSING_LOCK);
    expect([...wrong, ...checkLeaks(box.heap)].map(({ title }) => title)).toEqual([]);
  };
  simTest(
    name,
    run,
    mmKernel(rules, size, (violation) => violations.push(violation)),
  );
}

/** Makes the process and lets every task run in it. */
export function openSandbox(kernel: Kernel): Sim<Sandbox> {
  const { heap } = kernel;
  const mm = mmAlloc(kernel.task);
  assert(mm !== NO_MM, 'no memory for the process');
  const tasks = [1, 2, 3, 4].map((id) => kernel.taskOn(id)) as [Task, Task, Task, Task];
  for (const task of tasks) task.mm = mm;
  const [task, task2, task3, task4] = tasks;
  return { heap, mm, task, task2, task3, task4, others: [] };
}

/** Nothing is wrong with a machine on which nothing runs: for the ends of concurrent tests. */
export function expectQuiet(box: Sandbox): Sim<void> {
  for (const id of allTaskIds(box.heap)) expect(taskRcuNesting(box.heap, taskAt(box.heap, id))).toBe(0);
  rcuBarrier(box.task);
  expect(checkQuiescent(box.heap).map(({ title }) => title)).toEqual([]);
}

/** Ends all processes and waits for what RCU still holds. */
export function closeSandbox(box: Sandbox): Sim<void> {
  for (const mm of box.others) mmput(box.task, mm);
  mmput(box.task, box.mm);
  // KSM forgets what has ended only when it comes by.
  ksmSetRun(box.task, KSM_RUN_STOP);
  ksmSetRun(box.task, KSM_RUN_UNMERGE);
  rcuBarrier(box.task);
}

/** Maps `nrPages` pages at `vpn` into the process; returns the VMA. */
export function mapPages(box: Sandbox, vpn: number, nrPages: number, prot = PROT_RW): Sim<VmaPtr> {
  mmapWriteLock(box.task, box.mm);
  const at = doMmap(box.task, box.mm, vpn as Vpn, nrPages, prot, MAP_FIXED);
  mmapWriteUnlock(box.task, box.mm);
  assert(at === vpn, 'the mapping is not where it should be');
  return vmaLookup(box.task, box.mm, vpn as Vpn);
}

/** Maps a new shared object of `nrPages` pages at `vpn` of the task's process. */
export function mapShared(task: Task, vpn: number, nrPages: number, prot = PROT_RW): Sim<void> {
  const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
  const at = sysMmap(task, vpnToAddr(vpn), nrPages * PAGE_SIZE, prot, flags);
  assert(at === vpnToAddr(vpn), 'mmap of shared memory failed');
}

/** munmap of the process's pages; 0 or an error. */
export function unmapPages(box: Sandbox, vpn: number, nrPages: number): Sim<number> {
  return sysMunmap(box.task, vpnToAddr(vpn), nrPages * PAGE_SIZE);
}

/** mprotect of the process's pages; 0 or an error. */
export function protectPages(box: Sandbox, vpn: number, nrPages: number, prot: number): Sim<number> {
  return sysMprotect(box.task, vpnToAddr(vpn), nrPages * PAGE_SIZE, prot);
}

/** mremap of the process's pages to a given place; 0 or an error. */
export function movePages(box: Sandbox, from: number, nrPages: number, to: number, task = box.task): Sim<number> {
  const bytes = nrPages * PAGE_SIZE;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const at = sysMremap(task, vpnToAddr(from), bytes, bytes, flags, vpnToAddr(to));
  return at === vpnToAddr(to) ? 0 : at;
}

/** fork of the process; the child is dropped at the end of the test. */
export function forkProcess(box: Sandbox): Sim<MmPtr> {
  const child = dupMm(box.task, box.mm);
  assert(child > 0, 'fork failed');
  box.others.push(child as MmPtr);
  return child as MmPtr;
}

/** What `task` reads in word 0 of `vpn` when it runs in `mm`. */
export function readIn(task: Task, mm: MmPtr, vpn: number): Sim<number> {
  const own = task.mm;
  task.mm = mm;
  const error = userRead(task, vpn as Vpn, 0);
  task.mm = own;
  return error === 0 ? task.loaded : error;
}

/** Stores into word 0 of `vpn` as a task of `mm`. */
export function writeIn(task: Task, mm: MmPtr, vpn: number, value: number): Sim<number> {
  const own = task.mm;
  task.mm = mm;
  const error = userWrite(task, vpn as Vpn, 0, value);
  task.mm = own;
  return error;
}

/** First half of a migration: the page is isolated, locked and mapped by migration entries only. */
export function beginMigration(box: Sandbox, pfn: Pfn): Sim<void> {
  const isolated = isolateFolio(box.task4, pfn);
  assert(isolated, 'the page is not on the LRU');
  folioLock(box.task4, pfn);
  tryToMigrate(box.task4, pfn, 0);
}

/** Second half, of a migration that gave up: the page is mapped again where it was. */
export function endMigration(box: Sandbox, pfn: Pfn): Sim<void> {
  removeMigrationPtes(box.task4, pfn, pfn);
  folioUnlock(box.task4, pfn);
  putbackFolio(box.task4, pfn);
}

/** The entry of `vpn` in an address space, PTE_NONE without a table. */
export function pteAt(box: Sandbox, vpn: number, mm = box.mm): Sim<PteVal> {
  const table = findTable(box.task, mm, vpn as Vpn, LEVEL_PTE);
  return table === NO_TABLE ? PTE_NONE : readOncePte(box.heap, entryAt(table, vpn as Vpn, LEVEL_PTE));
}

/** The frame that the entry of `vpn` names. */
export function pfnAtVpn(box: Sandbox, vpn: number, mm = box.mm): Sim<Pfn> {
  return ptePfn(pteAt(box, vpn, mm));
}

/** Mapcount, refcount and PG_anon_exclusive of a frame, as `mapcount/refcount` with an `e` for exclusive. */
export function pageState(box: Sandbox, pfn: Pfn): Sim<string> {
  const exclusive = (readOncePageFlags(box.heap, pfn) & PG_anonExclusive) !== 0 ? 'e' : '';
  return `${readOncePageMapcount(box.heap, pfn)}/${readOncePageRefcount(box.heap, pfn)}${exclusive}`;
}

/** The task with its allocations failing from the `n`-th on (0 = the first), `times` of them. */
export function failingTask(task: Task, n: number, times = 1): Task {
  let left = n;
  const chance = (): boolean => {
    left--;
    return left < 0 && left >= -times;
  };
  return { ...task, failAlloc: 1, injectedFailures: 0, prng: { chance } as unknown as Prng };
}
