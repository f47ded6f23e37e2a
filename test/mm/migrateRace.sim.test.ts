/** Migration while everybody else is at work on the same pages. Under the newest rules nothing is lost; under older ones it is. */
import { describe, expect } from 'vitest';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { dupMm, sysFork } from '../../src/mm/fork.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import type { MigrateMode } from '../../src/mm/migrateFolio.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/mm/syscallFlags.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, simExplore, type Concurrent } from '../support/simConcurrent.ts';
import { mmKernel, mmKernelUntilHarm } from './mmKernel.ts';

const PAGE = 10;
const PAGES = 3;
const SIZE = { frames: 24, pageTables: 24, mms: 4, vmas: 24, anonVmas: 16, anonVmaChains: 48 } as const;
const RW = PROT_READ | PROT_WRITE;

interface Shared {
  readonly parent: MmPtr;
  readonly child: MmPtr;
}

/** A process with three written pages and a child that shares them. */
function twoProcesses(kernel: Kernel): Sim<Shared> {
  const { task } = kernel;
  const parent = mmAlloc(task);
  task.mm = parent;
  const length = PAGES * PAGE_SIZE;
  const at = sysMmap(task, vpnToAddr(PAGE), length, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
  assert(at === vpnToAddr(PAGE), 'mmap failed');
  for (let i = 0; i < PAGES; i++) store(task, i);
  const child = dupMm(task, parent);
  assert(child > 0, 'fork failed');
  return { parent, child: child as MmPtr };
}

/** The same without the child. */
function oneProcess(kernel: Kernel): Sim<Shared> {
  const { parent, child } = twoProcesses(kernel);
  mmput(kernel.task, child);
  // Alone again: write, so that the pages are exclusive.
  for (let i = 0; i < PAGES; i++) store(kernel.task, i);
  return { parent, child: NO_MM };
}

/**
 * Four generations, the second without the mapping any more, so that the fourth reuses its anon_vma. Page 0 was written by
 * the second and is linked to that one, page 1 by the third; each of these walks visits the other's anon_vma.
 */
function crossedAnonVmas(kernel: Kernel): Sim<Shared> {
  const { task } = kernel;
  const { parent, child } = twoProcesses(kernel);
  task.mm = child;
  store(task, 0);
  const third = sysFork(task) as MmPtr;
  sysMunmap(task, vpnToAddr(PAGE), PAGES * PAGE_SIZE);
  task.mm = third;
  store(task, 1);
  const fourth = sysFork(task);
  assert(fourth > 0, 'fork failed');
  return { parent, child: third };
}

function store(task: Task, page: number): Sim<void> {
  const error = userWrite(task, (PAGE + page) as Vpn, 0, 100 + page);
  assert(error === 0, 'user write failed');
}

function holds(task: Task, mm: MmPtr, page: number): Sim<void> {
  task.mm = mm;
  const error = userRead(task, (PAGE + page) as Vpn, 0);
  assert(error === 0 && task.loaded === 100 + page, 'a page has lost its contents');
}

function nothingWrong(kernel: Kernel, shared: Shared): Sim<void> {
  rcuBarrier(kernel.task);
  const found = checkQuiescent(kernel.heap);
  expect(found.map(({ title }) => title)).toEqual([]);
  assert(shared.parent !== NO_MM, 'no process');
}

function pagesIntact(kernel: Kernel, shared: Shared): Sim<void> {
  nothingWrong(kernel, shared);
  for (let i = 0; i < PAGES; i++) holds(kernel.taskOn(2), shared.parent, i);
}

function migrateIn(task: Task, mm: MmPtr, mode: MigrateMode): Sim<void> {
  task.mm = NO_MM;
  migrateRange(task, mm, PAGE as Vpn, PAGES, mode);
}

const migrator = (task: Task, { parent }: Shared): Sim<void> => migrateIn(task, parent, 'sync');
const asyncMigrator = (task: Task, { parent }: Shared): Sim<void> => migrateIn(task, parent, 'async');
const inheritedMigrator = (task: Task, { child }: Shared): Sim<void> => {
  task.mm = NO_MM;
  migrateRange(task, child, PAGE as Vpn, 1, 'sync');
};
const ownMigrator = (task: Task, { child }: Shared): Sim<void> => {
  task.mm = NO_MM;
  migrateRange(task, child, (PAGE + 1) as Vpn, 1, 'sync');
};
const compactor = (task: Task): Sim<void> => {
  task.mm = NO_MM;
  compactScan(task, 1 as Pfn, 23);
};
const reclaimer = (task: Task): Sim<void> => {
  task.mm = NO_MM;
  reclaimScan(task, 1 as Pfn, 23);
};
const reader = (task: Task, { parent }: Shared): Sim<void> => {
  for (let i = 0; i < PAGES; i++) holds(task, parent, i);
};
const writer = (task: Task, { parent }: Shared): Sim<void> => {
  task.mm = parent;
  for (let i = 0; i < PAGES; i++) store(task, i);
};
const forker = (task: Task, { parent }: Shared): Sim<void> => {
  task.mm = parent;
  const child = sysFork(task);
  assert(child > 0, 'fork failed');
  task.mm = child as MmPtr;
  const error = userWrite(task, (PAGE + 1) as Vpn, 0, 999);
  assert(error === 0, 'user write failed');
  holds(task, child as MmPtr, 2);
  mmput(task, child as MmPtr);
};
const childExit = (task: Task, { child }: Shared): Sim<void> => {
  task.mm = child;
  const error = userWrite(task, PAGE as Vpn, 0, 999);
  assert(error === 0, 'user write failed');
  mmput(task, child);
};
const protector = (task: Task, { parent }: Shared): Sim<void> => {
  task.mm = parent;
  sysMprotect(task, vpnToAddr(PAGE + 1), PAGE_SIZE, PROT_READ);
  sysMprotect(task, vpnToAddr(PAGE + 1), PAGE_SIZE, RW);
};
const mover = (task: Task, { parent }: Shared): Sim<void> => {
  task.mm = parent;
  const [here, there] = [vpnToAddr(PAGE), vpnToAddr(PAGE + 30)];
  const length = PAGES * PAGE_SIZE;
  const moved = sysMremap(task, here, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, there);
  assert(moved === there, 'mremap failed');
  const back = sysMremap(task, there, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, here);
  assert(back === here, 'mremap failed');
};
const headUnmapper = (task: Task, { parent }: Shared): Sim<void> => {
  task.mm = parent;
  sysMunmap(task, vpnToAddr(PAGE), PAGE_SIZE);
};

/** Moves the start of the VMA to and fro. */
const headProtector = (task: Task, { parent }: Shared): Sim<void> => {
  task.mm = parent;
  for (let i = 0; i < 4; i++) sysMprotect(task, vpnToAddr(PAGE), PAGE_SIZE, i % 2 === 0 ? PROT_READ : RW);
};

function race(
  rules: Rules,
  rest: Partial<Concurrent<Shared>> & Pick<Concurrent<Shared>, 'threads'>,
): Concurrent<Shared> {
  return {
    ...mmKernel(rules, SIZE),
    setup: oneProcess,
    check: pagesIntact,
    executions: 60,

    ...rest,
  };
}

describe('nothing is lost', () => {
  const shared = { setup: twoProcesses };
  simConcurrent('between migration and users', race(LINUX_7_0, { threads: [migrator, reader, writer] }));
  simConcurrent('between batched migration and users', race(LINUX_7_0, { threads: [asyncMigrator, writer, reader] }));
  simConcurrent('between two migrations and reclaim', race(LINUX_7_0, { threads: [migrator, compactor, reclaimer] }));
  simConcurrent('between migration and fork', race(LINUX_7_0, { threads: [migrator, forker, writer] }));
  simConcurrent(
    'between compaction and an exiting child',
    race(LINUX_7_0, { ...shared, threads: [compactor, childExit, reader] }),
  );
  simConcurrent('between migration and mprotect', race(LINUX_7_0, { threads: [migrator, protector, reader] }));
  simConcurrent('between migration and mremap', race(LINUX_7_0, { threads: [migrator, mover] }));
  simConcurrent(
    'between migration and a VMA whose start moves',
    race(LINUX_7_0, { threads: [migrator, headUnmapper], check: nothingWrong }),
  );
  simConcurrent(
    'between reclaim, fork and exit',
    race(LINUX_7_0, { ...shared, threads: [reclaimer, forker, childExit] }),
  );
});

describe('older decisions', () => {
  const spinlocks = (lockScheme: Rules['rmapWalk']['lockScheme'], rest: Partial<Rules> = {}): Rules => ({
    ...LINUX_7_0,
    anonVma: { lock: 'perAnonVmaSpinlock', cloneOrder: 'same', reuseTest: 'splitCounters', unlinkOrder: 'newestFirst' },
    rmapWalk: { lockScheme },
    ...rest,
  });

  const unlocked: Rules = { ...LINUX_7_0, vmaAdjust: { rmapLock: 'none' } };

  simExplore(
    'no lock in vma_adjust: migration leaves an entry behind',
    {
      ...race(unlocked, { ...mmKernelUntilHarm(unlocked, SIZE), threads: [migrator, headProtector] }),
      executions: 3000,
    },
    ({ firstFailure }) => {
      expect(firstFailure?.violations[0].kind).toBe('dangling-migration-entry');
    },
  );

  simExplore(
    'a split that links the new half late: the same',
    {
      ...race(
        { ...LINUX_7_0, splitVma: { publish: 'rangeShrunkBeforeAvcLinked' } },
        { threads: [migrator, protector] },
      ),
      executions: 3000,
    },
    ({ firstFailure }) => {
      expect(firstFailure?.violations[0].kind).toBe('dangling-migration-entry');
    },
  );

  simExplore(
    'a lock in each anon_vma, nested as the walk meets them: two walks wait for each other',
    {
      ...race(spinlocks('eachInListOrder'), { setup: crossedAnonVmas, threads: [inheritedMigrator, ownMigrator] }),
      check: nothingWrong,
      executions: 3000,
    },
    ({ firstFailure }) => {
      expect(firstFailure?.violations[0].kind).toBe('deadlock');
    },
  );

  for (const lockScheme of ['rootFirstOldToNew', 'rootOnly'] as const) {
    simConcurrent(
      `the same walks by ${lockScheme}: they do not`,
      race(spinlocks(lockScheme), {
        setup: crossedAnonVmas,
        threads: [inheritedMigrator, ownMigrator],
        check: nothingWrong,
      }),
    );
  }

  for (const lockScheme of ['rootOnly', 'rootFirstOldToNew'] as const) {
    simConcurrent(
      `spinlocks with walks by ${lockScheme} do no harm`,
      race(spinlocks(lockScheme), { setup: twoProcesses, threads: [compactor, childExit, reader] }),
    );
  }
});
