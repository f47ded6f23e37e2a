/** KSM while everybody is at work on the same pages: writers, migration, fork, munmap, pins, the end of a process. */
import { describe, expect } from 'vitest';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkLeaks } from '../../src/check/leaks.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { KSM_RUN_MERGE, KSM_RUN_STOP, KSM_RUN_UNMERGE } from '../../src/layout/ksm.ts';
import { readOnceMmUsers } from '../../src/layout/mm.ts';
import { setPageContent } from '../../src/layout/page.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { pinUserPagesFast, unpinUserPages } from '../../src/mm/gup.ts';
import { ksmSetRun, ksmdPasses } from '../../src/mm/ksmd.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import {
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';

const PAGE = 40;
const PAGES = 3;
const SIZE = { frames: 24, pageTables: 24, mms: 4, vmas: 24, anonVmas: 8, anonVmaChains: 16, rmapItems: 12 } as const;

interface Family {
  readonly parent: MmPtr;
  readonly child: MmPtr;
}

/** A parent with three equal mergeable pages, looked at once, and a child. */
function family(kernel: Kernel): Sim<Family> {
  const { task } = kernel;
  const parent = mmAlloc(task);
  task.mm = parent;
  const bytes = PAGES * PAGE_SIZE;
  sysMmap(task, vpnToAddr(PAGE), bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
  for (let i = 0; i < PAGES; i++) write(task, parent, i, 0, 7);
  const advised = sysMadvise(task, vpnToAddr(PAGE), bytes, MADV_MERGEABLE);
  assert(advised === 0, 'madvise failed');
  ksmSetRun(task, KSM_RUN_MERGE);
  ksmdPasses(task, 1);
  const child = dupMm(task, parent);
  assert(child > 0, 'fork failed');
  write(task, parent, 1, 0, 7); // its own page again, equal to the others
  return { parent, child: child as MmPtr };
}

function write(task: Task, mm: MmPtr, page: number, word: number, value: number): Sim<void> {
  task.mm = mm;
  const error = userWrite(task, (PAGE + page) as Vpn, word, value);
  assert(error === 0, 'user write failed');
}

function read(task: Task, mm: MmPtr, page: number, word: number): Sim<number> {
  task.mm = mm;
  const error = userRead(task, (PAGE + page) as Vpn, word);
  assert(error === 0, 'user read failed');
  return task.loaded;
}

function expectWord(task: Task, mm: MmPtr, page: number, word: number, value: number): Sim<void> {
  const seen = read(task, mm, page, word);
  assert(seen === value, 'a page has other contents than were written');
}

const ksmd = (task: Task): Sim<void> => {
  task.mm = NO_MM;
  ksmdPasses(task, 2);
};
const writer = (task: Task, { parent }: Family): Sim<void> => {
  write(task, parent, 0, 1, 20);
  write(task, parent, 1, 1, 21);
  expectWord(task, parent, 0, 1, 20);
};
const childWriter = (task: Task, { child }: Family): Sim<void> => {
  write(task, child, 2, 2, 30);
  expectWord(task, child, 2, 2, 30);
  expectWord(task, child, 2, 1, 0);
};
const migrator = (task: Task, { parent }: Family): Sim<void> => {
  task.mm = NO_MM;
  migrateRange(task, parent, PAGE as Vpn, PAGES, 'sync');
};
const compactor = (task: Task): Sim<void> => {
  task.mm = NO_MM;
  compactScan(task, 1 as Pfn, 23);
};
const unmerger = (task: Task, { parent }: Family): Sim<void> => {
  task.mm = parent;
  const error = sysMadvise(task, vpnToAddr(PAGE), 2 * PAGE_SIZE, MADV_UNMERGEABLE);
  assert(error === 0, 'madvise failed');
};
const apart = (task: Task): Sim<void> => {
  task.mm = NO_MM;
  const error = ksmSetRun(task, KSM_RUN_UNMERGE);
  assert(error === 0, 'unmerge failed');
};
const ender = (task: Task, { child }: Family): Sim<void> => {
  task.mm = NO_MM;
  mmput(task, child);
};
const unmapper = (task: Task, { child }: Family): Sim<void> => {
  task.mm = child;
  sysMunmap(task, vpnToAddr(PAGE), 2 * PAGE_SIZE);
};
const mover = (task: Task, { parent }: Family): Sim<void> => {
  task.mm = parent;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const moved = sysMremap(task, vpnToAddr(PAGE), PAGE_SIZE, PAGE_SIZE, flags, vpnToAddr(PAGE + 30));
  assert(moved === vpnToAddr(PAGE + 30), 'mremap failed');
  expectWord(task, parent, 30, 0, 7);
};
const pinner = (task: Task, { parent }: Family): Sim<void> => {
  task.mm = parent;
  const pages: Pfn[] = [];
  const pinned = pinUserPagesFast(task, (PAGE + 1) as Vpn, 1, true, pages);
  assert(pinned === 1, 'pin failed');
  // What a device writes must be there for the owner.
  setPageContent(task.heap, pages[0], 3, 40);
  expectWord(task, parent, 1, 3, 40);
  unpinUserPages(task, pages);
};

describe('under every schedule', () => {
  const world = {
    ...mmKernel(LINUX_7_0, SIZE),
    setup: family,
    executions: 60,
    check: (kernel: Kernel, shared: Family): Sim<void> => {
      const { task, heap } = kernel;
      rcuBarrier(task);
      expect(checkQuiescent(heap).map(({ title }) => title)).toEqual([]);
      expectWord(task, shared.parent, 2, 0, 7);
      expectWord(task, shared.parent, 2, 2, 0);
      task.mm = NO_MM;
      if (readOnceMmUsers(heap, shared.child) > 0) mmput(task, shared.child);
      mmput(task, shared.parent);
      ksmSetRun(task, KSM_RUN_STOP);
      ksmSetRun(task, KSM_RUN_UNMERGE);
      rcuBarrier(task);
      expect(checkLeaks(heap).map(({ title }) => title)).toEqual([]);
    },
  };
  simConcurrent('writers lose nothing', { ...world, threads: [ksmd, writer, childWriter] });
  simConcurrent('migration and merging', { ...world, threads: [ksmd, migrator, compactor] });
  simConcurrent('migration and a writer', { ...world, threads: [ksmd, migrator, writer] });
  simConcurrent('MADV_UNMERGEABLE meets the scan', { ...world, threads: [ksmd, unmerger, childWriter] });
  simConcurrent('everything is taken apart under migration', { ...world, threads: [ksmd, apart, compactor] });
  simConcurrent('the child ends while it is scanned', { ...world, threads: [ksmd, ender, writer] });
  simConcurrent('the child unmaps while the parent is merged', { ...world, threads: [ksmd, unmapper, migrator] });
  simConcurrent('a page moves', { ...world, threads: [ksmd, mover, childWriter] });
  simConcurrent('a pin and the merge: one of them sees the other', { ...world, threads: [ksmd, pinner, childWriter] });
});
