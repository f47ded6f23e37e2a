/** Memory that is given up, discarded or locked while others use it: what is written afterwards is never lost, what is locked is there. */
import { describe, expect } from 'vitest';
import { assert } from '../../src/base/assert.ts';
import { EPERM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, NO_TABLE, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../../src/layout/pageTable.ts';
import { pteIsPresent } from '../../src/layout/pte.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { sysFork } from '../../src/mm/fork.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { sysMlock, sysMlock2 } from '../../src/mm/mlock.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { sysMseal } from '../../src/mm/mseal.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_RANDOM,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MLOCK_ONFAULT,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMunmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';

const PAGE = 10;
const PAGES = 3;
const AT = vpnToAddr(PAGE);
const LENGTH = PAGES * PAGE_SIZE;
const SIZE = { frames: 24, pageTables: 24, mms: 4, vmas: 24, anonVmas: 16, anonVmaChains: 48 } as const;

/** A process with three pages written. */
function written(kernel: Kernel): Sim<MmPtr> {
  const { task } = kernel;
  const mm = mmAlloc(task);
  task.mm = mm;
  const at = sysMmap(task, AT, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
  assert(at === AT, 'mmap failed');
  for (let page = 0; page < PAGES; page++) store(task, page, 50 + page);
  return mm;
}

/** The same, and the pages were given up. */
function givenUp(kernel: Kernel): Sim<MmPtr> {
  const mm = written(kernel);
  advise(kernel.task, mm, MADV_FREE);
  return mm;
}

function store(task: Task, page: number, value: number): Sim<void> {
  const error = userWrite(task, (PAGE + page) as Vpn, 0, value);
  assert(error === 0, 'user write failed');
}

function advise(task: Task, mm: MmPtr, advice: number): Sim<void> {
  task.mm = mm;
  const result = sysMadvise(task, AT, LENGTH, advice);
  assert(result === 0, 'madvise failed');
}

/** The page as it was or, once it is discarded, zero. */
function load(task: Task, page: number): Sim<number> {
  const error = userRead(task, (PAGE + page) as Vpn, 0);
  assert(error === 0 && (task.loaded === 50 + page || task.loaded === 0), 'a page reads what nobody wrote');
  return task.loaded;
}

function readTwice(task: Task): Sim<void> {
  for (let page = 0; page < PAGES; page++) {
    const first = load(task, page);
    for (let i = 0; i < 8; i++) {
      const later = load(task, page);
      assert(later === first, 'a locked page was discarded');
    }
  }
}

const writer = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  for (let page = 0; page < PAGES; page++) store(task, page, 100 + page);
};
const freerAndWriter = (task: Task, mm: MmPtr): Sim<void> => {
  advise(task, mm, MADV_FREE);
  writer(task, mm);
};
const discarderAndWriter = (task: Task, mm: MmPtr): Sim<void> => {
  advise(task, mm, MADV_DONTNEED);
  writer(task, mm);
};
/** Writes another word of the same pages. */
const neighbour = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  for (let page = 0; page < PAGES; page++) {
    const error = userWrite(task, (PAGE + page) as Vpn, 1, 7);
    assert(error === 0, 'user write failed');
  }
};
const reclaimer = (task: Task): Sim<void> => {
  task.mm = NO_MM;
  for (let i = 0; i < 2; i++) reclaimScan(task, 1 as Pfn, 23);
};
const migrator = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = NO_MM;
  migrateRange(task, mm, PAGE as Vpn, PAGES, 'sync');
};
const forker = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  const child = sysFork(task);
  assert(child > 0, 'fork failed');
  task.mm = child as MmPtr;
  store(task, 1, 999);
  mmput(task, child as MmPtr);
};
const locker = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  const result = sysMlock(task, AT, LENGTH);
  assert(result === 0, 'mlock failed');
};
/** What is there when it is locked stays, also if nothing is faulted in. */
const onFaultLocker = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  const result = sysMlock2(task, AT, LENGTH, MLOCK_ONFAULT);
  assert(result === 0, 'mlock2 failed');
  readTwice(task);
};
const reader = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  for (let page = 0; page < PAGES; page++) load(task, page);
  for (let page = 0; page < PAGES; page++) load(task, page);
};
const splitter = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  const result = sysMadvise(task, vpnToAddr(PAGE + 1), PAGE_SIZE, MADV_RANDOM);
  assert(result === 0, 'madvise failed');
};
const sealer = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  sysMseal(task, AT, LENGTH, 0);
};
const unmapper = (task: Task, mm: MmPtr): Sim<void> => {
  task.mm = mm;
  sysMunmap(task, vpnToAddr(PAGE + 1), PAGE_SIZE);
};

function nothingWrong(kernel: Kernel): Sim<void> {
  rcuBarrier(kernel.task);
  expect(checkQuiescent(kernel.heap).map(({ title }) => title)).toEqual([]);
}

/** What the writer wrote is there, behind whatever the others did. */
function writesStay(kernel: Kernel, mm: MmPtr): Sim<void> {
  nothingWrong(kernel);
  const task = kernel.taskOn(2);
  task.mm = mm;
  for (let page = 0; page < PAGES; page++) {
    const error = userRead(task, (PAGE + page) as Vpn, 0);
    assert(error === 0 && task.loaded === 100 + page, 'a write was lost');
  }
}

/** Whatever reclaim took before the lock was back when mlock returned, and stayed. */
function allPresent(kernel: Kernel, mm: MmPtr): Sim<void> {
  nothingWrong(kernel);
  for (let page = PAGE; page < PAGE + PAGES; page++) {
    const table = findTable(kernel.task, mm, page as Vpn, LEVEL_PTE);
    const isPresent =
      table !== NO_TABLE && pteIsPresent(readOncePte(kernel.heap, entryAt(table, page as Vpn, LEVEL_PTE)));
    assert(isPresent, 'a locked page is not there');
  }
}

/** Whoever came first: either nothing is unmapped, and is sealed for good; or there is a hole, and nothing is sealed. */
function sealedOrUnmapped(kernel: Kernel, mm: MmPtr): Sim<void> {
  nothingWrong(kernel);
  const task = kernel.taskOn(2);
  task.mm = mm;
  const isWhole = vmaLookup(task, mm, (PAGE + 1) as Vpn) !== 0;
  const result = sysMunmap(task, AT, PAGE_SIZE);
  assert(result === (isWhole ? -EPERM : 0), 'sealed with a hole, or whole and not sealed');
}

function race(rest: Partial<Concurrent<MmPtr>> & Pick<Concurrent<MmPtr>, 'threads'>): Concurrent<MmPtr> {
  return { ...mmKernel(LINUX_7_0, SIZE), setup: written, check: writesStay, executions: 80, ...rest };
}

describe('what is written after MADV_FREE stays', () => {
  simConcurrent('while reclaim is at work', race({ setup: givenUp, threads: [writer, reclaimer, reclaimer] }));
  simConcurrent('while another thread writes to the pages', race({ threads: [freerAndWriter, neighbour, reclaimer] }));
  simConcurrent('while the pages are migrated', race({ threads: [freerAndWriter, migrator, reclaimer] }));
  simConcurrent('while the process forks', race({ setup: givenUp, threads: [writer, forker, reclaimer] }));
  simConcurrent('while the VMA is split', race({ threads: [freerAndWriter, splitter, reclaimer] }));
});

describe('what is written after MADV_DONTNEED stays', () => {
  simConcurrent('while another thread faults', race({ threads: [discarderAndWriter, neighbour] }));
  simConcurrent('while the pages are migrated', race({ threads: [discarderAndWriter, migrator, reclaimer] }));
  simConcurrent('while the VMA is split and forked', race({ threads: [discarderAndWriter, splitter, forker] }));
});

describe('a page that was given up', () => {
  simConcurrent(
    'is freed only when no CPU reads it any more',
    race({ setup: givenUp, threads: [reader, reclaimer], check: nothingWrong }),
  );
});

describe('mlock and mseal', () => {
  simConcurrent(
    'what is there when it is locked on fault stays',
    race({ setup: givenUp, threads: [onFaultLocker, reclaimer], check: nothingWrong, executions: 200 }),
  );
  simConcurrent(
    'pages that reclaim takes are back when mlock returns',
    race({ setup: givenUp, threads: [locker, reclaimer, migrator], check: allPresent }),
  );
  simConcurrent(
    'a range is sealed as a whole or not at all',
    race({ threads: [sealer, unmapper], check: sealedOrUnmapped }),
  );
});
