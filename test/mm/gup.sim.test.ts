/** References on user pages: what is counted, what must be made exclusive first, what overlapping operations do. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { EFAULT, EINTR, ENOMEM } from '../../src/base/errno.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn, Vpn } from '../../src/layout/ids.ts';
import { MMF_HAS_PINNED, mmWriteProtectSeq, readOnceMmFlags } from '../../src/layout/mm.ts';
import {
  PG_dirty,
  atomicClearPageFlags,
  readOncePageFlags,
  pageContent,
  setPageContent,
  zeroPfn,
} from '../../src/layout/page.ts';
import { LEVEL_PTE, atomicClearPteFlags, entryAt } from '../../src/layout/pageTable.ts';
import { PTE_DIRTY, pteIsNone, pteIsWritable } from '../../src/layout/pte.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { writeSeqcountBegin, writeSeqcountEnd } from '../../src/locks/seqCount.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { dupMm } from '../../src/mm/fork.ts';
import {
  getUserPages,
  getUserPagesFast,
  pinUserPages,
  pinUserPagesFast,
  putUserPages,
  unpinUserPages,
} from '../../src/mm/gup.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { PROT_NONE, PROT_READ } from '../../src/mm/syscallFlags.ts';
import { flushTlbMm } from '../../src/mm/tlbFlush.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { simPreemptedTwice } from './preempted.ts';
import {
  PROT_RW,
  beginMigration,
  endMigration,
  expectQuiet,
  failingTask,
  forkProcess,
  mapPages,
  mmTest,
  openSandbox,
  pageState,
  pfnAtVpn,
  protectPages,
  pteAt,
  readIn,
  writeIn,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10 as Vpn;

interface Way {
  readonly name: string;
  readonly pin: (box: Sandbox, vpn: number, nr: number, write: boolean, pages: Pfn[]) => Sim<number>;
  readonly grab: (box: Sandbox, vpn: number, nr: number, write: boolean, pages: Pfn[]) => Sim<number>;
}

const WAYS: readonly Way[] = [
  {
    name: 'slow',
    pin: (box: Sandbox, vpn: number, nr: number, write: boolean, pages: Pfn[]): Sim<number> =>
      pinUserPages(box.task, box.mm, vpn as Vpn, nr, write, pages),
    grab: (box: Sandbox, vpn: number, nr: number, write: boolean, pages: Pfn[]): Sim<number> =>
      getUserPages(box.task, box.mm, vpn as Vpn, nr, write, pages),
  },
  {
    name: 'fast',
    pin: (box: Sandbox, vpn: number, nr: number, write: boolean, pages: Pfn[]): Sim<number> =>
      pinUserPagesFast(box.task, vpn as Vpn, nr, write, pages),
    grab: (box: Sandbox, vpn: number, nr: number, write: boolean, pages: Pfn[]): Sim<number> =>
      getUserPagesFast(box.task, vpn as Vpn, nr, write, pages),
  },
];

for (const way of WAYS) {
  describe(`${way.name} way`, () => {
    mmTest('a pin counts 1024, a get 1, and both go as they came', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 2);
      userWrite(box.task, PAGE, 0, 1);
      const [pinned, got]: [Pfn[], Pfn[]] = [[], []];
      expect(way.grab(box, PAGE, 1, true, got)).toBe(1);
      expect(readOnceMmFlags(box.heap, box.mm) & MMF_HAS_PINNED).toBe(0);
      expect(way.pin(box, PAGE, 1, true, pinned)).toBe(1);
      expect(readOnceMmFlags(box.heap, box.mm) & MMF_HAS_PINNED).toBe(MMF_HAS_PINNED);
      expect(pinned).toEqual([pfnAtVpn(box, PAGE)]);
      expect(pageState(box, pinned[0])).toBe('1/1026e');
      unpinUserPages(box.task, pinned);
      expect(pageState(box, pinned[0])).toBe('1/2e');
      putUserPages(box.task, got);
      expect(pageState(box, pinned[0])).toBe('1/1e');
    });

    mmTest('pages that are not there are faulted in, for writing or reading', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 6);
      userWrite(box.task, (PAGE + 1) as Vpn, 0, 1);
      const [pinned, got]: [Pfn[], Pfn[]] = [[], []];
      expect(way.pin(box, PAGE, 3, true, pinned)).toBe(3);
      expect(pteIsWritable(pteAt(box, PAGE + 2))).toBe(true);
      expect(way.grab(box, PAGE + 3, 2, false, got)).toBe(2);
      expect(got).toEqual([zeroPfn(box.heap), zeroPfn(box.heap)]);
      expect(pteIsNone(pteAt(box, PAGE + 5))).toBe(true);
      expect(pageState(box, zeroPfn(box.heap))).toBe('0/1');
      unpinUserPages(box.task, pinned);
      putUserPages(box.task, got);
    });

    mmTest('a pin for writing breaks COW first', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 1);
      userWrite(box.task, PAGE, 0, 5);
      const child = forkProcess(box);
      const shared = pfnAtVpn(box, PAGE);
      const pages: Pfn[] = [];
      expect(way.pin(box, PAGE, 1, true, pages)).toBe(1);
      expect(pages[0]).not.toBe(shared);
      setPageContent(box.heap, pages[0], 0, 6);
      expect(readIn(box.task, box.mm, PAGE)).toBe(6);
      expect(readIn(box.task, child, PAGE)).toBe(5);
      unpinUserPages(box.task, pages);
    });

    mmTest('a pin for reading makes the page exclusive first, but not writable', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 2);
      userWrite(box.task, PAGE, 0, 5);
      const child = forkProcess(box);
      const shared = pfnAtVpn(box, PAGE);
      userRead(box.task, (PAGE + 1) as Vpn, 0);
      const pages: Pfn[] = [];
      expect(way.pin(box, PAGE, 2, false, pages)).toBe(2);
      expect(pages[0]).not.toBe(shared);
      expect(pages[1]).not.toBe(zeroPfn(box.heap));
      expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
      expect(pageState(box, pages[0])).toBe('1/1025e');
      // The owner's next write does not replace the pinned page.
      expect(writeIn(box.task, box.mm, PAGE, 7)).toBe(0);
      expect(pfnAtVpn(box, PAGE)).toBe(pages[0]);
      expect(readIn(box.task, child, PAGE)).toBe(5);
      unpinUserPages(box.task, pages);
    });

    mmTest('a get for reading takes the page as it is', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 1);
      userWrite(box.task, PAGE, 0, 5);
      forkProcess(box);
      const shared = pfnAtVpn(box, PAGE);
      const pages: Pfn[] = [];
      expect(way.grab(box, PAGE, 1, false, pages)).toBe(1);
      expect(pages).toEqual([shared]);
      expect(pageState(box, shared)).toBe('2/3');
      putUserPages(box.task, pages);
    });

    mmTest('what the mapping does not allow is an error; what came before it stays', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 2);
      mapPages(box, PAGE + 2, 1, PROT_READ);
      mapPages(box, PAGE + 3, 1, PROT_NONE);
      const pages: Pfn[] = [];
      expect(way.pin(box, PAGE, 4, true, pages)).toBe(2);
      expect(pages.length).toBe(2);
      expect(way.pin(box, PAGE + 2, 1, true, pages)).toBe(-EFAULT);
      expect(way.pin(box, PAGE + 3, 1, false, pages)).toBe(-EFAULT);
      expect(way.pin(box, PAGE + 4, 1, false, pages)).toBe(-EFAULT);
      expect(way.pin(box, PAGE + 2, 1, false, pages)).toBe(1);
      expect(pages.length).toBe(3);
      unpinUserPages(box.task, pages);
    });

    mmTest('a present page without access is not handed out', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 1);
      userWrite(box.task, PAGE, 0, 5);
      protectPages(box, PAGE, 1, PROT_NONE);
      expect(way.grab(box, PAGE, 1, false, [])).toBe(-EFAULT);
    });

    mmTest('a pinned page does not migrate', (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 1);
      userWrite(box.task, PAGE, 0, 5);
      const pages: Pfn[] = [];
      expect(way.pin(box, PAGE, 1, true, pages)).toBe(1);
      migrateRange(box.task, box.mm, PAGE, 1, 'sync');
      expect(pfnAtVpn(box, PAGE)).toBe(pages[0]);
      expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
      unpinUserPages(box.task, pages);
      migrateRange(box.task, box.mm, PAGE, 1, 'sync');
      expect(pfnAtVpn(box, PAGE)).not.toBe(pages[0]);
    });
  });
}

describe('slow way', () => {
  mmTest('a page to be written behind the entry is marked dirty', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 5);
    const pfn = pfnAtVpn(box, PAGE);
    atomicClearPageFlags(box.heap, pfn, PG_dirty);
    const pte = entryAt(findTable(box.task, box.mm, PAGE, LEVEL_PTE), PAGE, LEVEL_PTE);
    atomicClearPteFlags(box.heap, pte, PTE_DIRTY);
    flushTlbMm(box.task, box.mm);
    const pages: Pfn[] = [];
    getUserPages(box.task, box.mm, PAGE, 1, true, pages);
    expect(readOncePageFlags(box.heap, pfn) & PG_dirty).toBe(PG_dirty);
    putUserPages(box.task, pages);
  });

  mmTest('without memory it says so', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 5);
    const pages: Pfn[] = [];
    expect(pinUserPages(failingTask(box.task, 0), box.mm, (PAGE + 1) as Vpn, 1, true, pages)).toBe(-ENOMEM);
    expect(pinUserPages(failingTask(box.task, 0), box.mm, PAGE, 2, true, pages)).toBe(1);
    unpinUserPages(box.task, pages);
  });

  mmTest('a task that is being killed gets nothing', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    killTask(box.task2, box.task.id);
    expect(pinUserPages(box.task, box.mm, PAGE, 1, true, [])).toBe(-EINTR);
  });
});

describe('fast way', () => {
  mmTest('needs no lock for what is there', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 5);
    userWrite(box.task, (PAGE + 1) as Vpn, 0, 5);
    mmapWriteLock(box.task2, box.mm);
    const pages: Pfn[] = [];
    expect(pinUserPagesFast(box.task, PAGE, 2, true, pages)).toBe(2);
    mmapWriteUnlock(box.task2, box.mm);
    expect(box.task.irqsOff).toBe(false);
    unpinUserPages(box.task, pages);
  });

  mmTest('leaves pins, not gets, to the slow way while a fork copies', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 5);
    mmapWriteLock(box.task2, box.mm);
    writeSeqcountBegin(box.task2, mmWriteProtectSeq(box.mm));
    // The slow way would wait for the fork; a task that is being killed does not.
    killTask(box.task2, box.task.id);
    const pages: Pfn[] = [];
    expect(pinUserPagesFast(box.task, PAGE, 1, true, pages)).toBe(-EINTR);
    expect(getUserPagesFast(box.task, PAGE, 1, true, pages)).toBe(1);
    writeSeqcountEnd(box.task2, mmWriteProtectSeq(box.mm));
    mmapWriteUnlock(box.task2, box.mm);
    putUserPages(box.task, pages);
  });

  mmTest('does not touch a migration entry', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 5);
    const pfn = pfnAtVpn(box, PAGE);
    beginMigration(box, pfn);
    killTask(box.task2, box.task.id);
    expect(getUserPagesFast(box.task, PAGE, 1, false, [])).toBe(-EINTR);
    endMigration(box, pfn);
  });
});

interface Shared {
  readonly box: Sandbox;
}

function onePage(kernel: Kernel): Sim<Shared> {
  const box = openSandbox(kernel);
  mapPages(box, PAGE, 1);
  userWrite(box.task, PAGE, 0, 1);
  return { box };
}

/** Pages pinned in the execution that runs. */
const pinnedPages: Pfn[] = [];

type PinThread = (task: Task, shared: Shared) => Sim<void>;

function forkThread(task: Task, { box }: Shared): Sim<void> {
  const child = dupMm(task, box.mm) as MmPtr;
  expect(child).toBeGreaterThan(0);
  expect(readIn(task, child, PAGE)).toBe(1);
  mmput(task, child);
}

function migrateThread(task: Task, { box }: Shared): Sim<void> {
  migrateRange(task, box.mm, PAGE, 1, 'sync');
}

const OTHERS: readonly { what: string; threads: readonly PinThread[] }[] = [
  { what: 'fork', threads: [forkThread] },
  { what: 'migration', threads: [migrateThread] },
];

for (const { what, threads } of OTHERS) {
  for (const { write, prot } of [
    { write: true, prot: PROT_RW },
    { write: false, prot: PROT_RW },
    { write: false, prot: PROT_READ },
  ]) {
    const name = `a ${write ? 'write' : 'read'} pin of a ${prot === PROT_RW ? '' : 'read-only '}page while ${what} runs`;
    const program: Concurrent<Shared> = {
      ...mmKernel(LINUX_7_0, {}),
      executions: 50,
      fresh: () => (pinnedPages.length = 0),
      setup: (kernel: Kernel): Sim<Shared> => {
        const shared = onePage(kernel);
        protectPages(shared.box, PAGE, 1, prot);
        return shared;
      },
      threads: [
        (task: Task, { box }: Shared): Sim<void> => {
          task.mm = box.mm;
          expect(pinUserPagesFast(task, PAGE, 1, write, pinnedPages)).toBe(1);
        },
        ...threads,
      ],
      // What the device writes, the owner reads, and what the owner writes the device sees: one page.
      check: ({ task }: Kernel, { box }: Shared): Sim<void> => {
        task.mm = box.mm;
        const pfn = pinnedPages[0];
        setPageContent(box.heap, pfn, 1, 77);
        protectPages({ ...box, task }, PAGE, 1, PROT_RW);
        expect(userWrite(task, PAGE, 2, 88)).toBe(0);
        expect(userRead(task, PAGE, 1)).toBe(0);
        expect(task.loaded).toBe(77);
        expect(pageContent(box.heap, pfn, 2)).toBe(88);
        expect(pfnAtVpn(box, PAGE)).toBe(pfn);
        unpinUserPages(task, pinnedPages);
        expect(pageState(box, pfn)).toBe('1/1e');
        expectQuiet(box);
      },
    };
    simConcurrent(name, program);
    if (write) simPreemptedTwice(name, program);
  }
}
