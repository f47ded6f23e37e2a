/** What fork does to the entries of parent and child. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { ENOMEM } from '../../src/base/errno.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_TABLE, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { MM, mmWriteProtectSeq } from '../../src/layout/mm.ts';
import { zeroPfn } from '../../src/layout/page.ts';
import { ENTRIES_PER_TABLE, LEVEL_PTE } from '../../src/layout/pageTable.ts';
import {
  PTE_TYPE_MIGRATION_READ,
  pteIsDirty,
  pteIsNone,
  pteIsWritable,
  pteIsYoung,
  ptePfn,
  pteType,
} from '../../src/layout/pte.ts';
import { readSeqcountBegin } from '../../src/locks/seqCount.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { getUserPages, pinUserPages, putUserPages, unpinUserPages } from '../../src/mm/gup.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { PROT_READ } from '../../src/mm/syscallFlags.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import { contendedTask } from './contendedTask.ts';
import { mmKernel } from './mmKernel.ts';
import { simPreempted } from './preempted.ts';
import {
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
/** Twelve pages: three times as many as fork copies before it looks who waits for the locks. */
const MANY = 12;
const FEW = 3;

function anonPages({ heap }: Sandbox, mm: MmPtr): number {
  return Atomics.load(heap, mm + MM.anonPages);
}

describe('fork', () => {
  mmTest('shares a page: read-only in both, exclusive in none, counted twice', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 3);
    const child = forkProcess(box);
    const [parent, own] = [pteAt(box, PAGE), pteAt(box, PAGE, child)];
    expect(ptePfn(own)).toBe(ptePfn(parent));
    expect(pteIsWritable(parent) || pteIsWritable(own)).toBe(false);
    expect(pteIsDirty(own)).toBe(true);
    expect([pteIsYoung(parent), pteIsYoung(own)]).toEqual([true, false]);
    expect(pageState(box, ptePfn(own))).toBe('2/2');
    expect([anonPages(box, box.mm), anonPages(box, child)]).toEqual([1, 1]);
    expect(pteIsNone(pteAt(box, PAGE + 1, child))).toBe(true);
  });

  mmTest('keeps a page that was read-only, without A', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 3);
    protectPages(box, PAGE, 1, PROT_READ);
    const child = forkProcess(box);
    expect(pageState(box, pfnAtVpn(box, PAGE, child))).toBe('2/2');
    expect(readIn(box.task, child, PAGE)).toBe(3);
  });

  mmTest('copies the zero page of a VMA that has been written elsewhere', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    userRead(box.task, PAGE, 0);
    userWrite(box.task, (PAGE + 1) as Vpn, 0, 1);
    const child = forkProcess(box);
    expect(pfnAtVpn(box, PAGE, child)).toBe(zeroPfn(box.heap));
    expect(anonPages(box, child)).toBe(1);
  });

  mmTest('copies nothing of a VMA that has never been written', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userRead(box.task, PAGE, 0);
    const child = forkProcess(box);
    expect(findTable(box.task, child, PAGE, LEVEL_PTE)).toBe(NO_TABLE);
  });

  mmTest('reaches every table', (box: Sandbox): Sim<void> => {
    const far = 3 * ENTRIES_PER_TABLE + 7;
    mapPages(box, PAGE, far + 1 - PAGE);
    userWrite(box.task, PAGE, 0, 1);
    userWrite(box.task, far as Vpn, 0, 2);
    const child = forkProcess(box);
    expect(readIn(box.task, child, PAGE)).toBe(1);
    expect(readIn(box.task, child, far)).toBe(2);
    expect(anonPages(box, child)).toBe(2);
  });

  mmTest('ends with write_protect_seq even and the parent flushed', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task2, PAGE, 0, 1);
    const before = readSeqcountBegin(box.task, mmWriteProtectSeq(box.mm));
    const child = forkProcess(box);
    expect(readSeqcountBegin(box.task, mmWriteProtectSeq(box.mm))).toBe(before + 2);
    expect(writeIn(box.task2, box.mm, PAGE, 2)).toBe(0);
    expect(readIn(box.task, child, PAGE)).toBe(1);
  });
});

describe('locks', () => {
  for (const contended of [false, true]) {
    mmTest(
      `are ${contended ? 'dropped now and then' : 'kept'} if ${contended ? 'some' : 'no'}body waits`,
      (box: Sandbox): Sim<void> => {
        mapPages(box, PAGE, MANY);
        for (let i = 0; i < MANY; i++) userWrite(box.task, (PAGE + i) as Vpn, 0, i);
        const counts = { ptls: 0 };
        const child = dupMm(contendedTask(box.task, counts, contended), box.mm);
        box.others.push(child as MmPtr);
        // Two ptls for each hold; one hold for 32 / 8 entries.
        expect(counts.ptls).toBe(contended ? 2 * (MANY / 4) : 2);
        for (let i = 0; i < MANY; i++) expect(readIn(box.task, child as MmPtr, PAGE + i)).toBe(i);
      },
    );
  }
});

describe('a pinned page', () => {
  mmTest('is copied for the child at once; the parent keeps it, writable and exclusive', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 3);
    for (let i = 0; i < 3; i++) userWrite(box.task, (PAGE + i) as Vpn, 0, 40 + i);
    const pages: Pfn[] = [];
    expect(pinUserPages(box.task, box.mm, (PAGE + 1) as Vpn, 1, true, pages)).toBe(1);
    const child = forkProcess(box);
    expect(pageState(box, pages[0])).toBe('1/1025e');
    expect(pteIsWritable(pteAt(box, PAGE + 1))).toBe(true);
    const copy = pteAt(box, PAGE + 1, child);
    expect(ptePfn(copy)).not.toBe(pages[0]);
    expect(pteIsWritable(copy)).toBe(true);
    expect(pageState(box, ptePfn(copy))).toBe('1/1e');
    expect(pageState(box, pfnAtVpn(box, PAGE + 2, child))).toBe('2/2');
    expect(writeIn(box.task, box.mm, PAGE + 1, 50)).toBe(0);
    expect(pfnAtVpn(box, PAGE + 1)).toBe(pages[0]);
    expect([readIn(box.task, child, PAGE), readIn(box.task, child, PAGE + 1)]).toEqual([40, 41]);
    expect(anonPages(box, child)).toBe(3);
    unpinUserPages(box.task, pages);
  });

  mmTest('in a read-only mapping is copied read-only', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 4);
    const pages: Pfn[] = [];
    expect(pinUserPages(box.task, box.mm, PAGE, 1, true, pages)).toBe(1);
    protectPages(box, PAGE, 1, PROT_READ);
    const child = forkProcess(box);
    expect(pfnAtVpn(box, PAGE, child)).not.toBe(pages[0]);
    expect(pteIsWritable(pteAt(box, PAGE, child))).toBe(false);
    unpinUserPages(box.task, pages);
  });

  mmTest('a plain reference does not count', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 4);
    const pages: Pfn[] = [];
    expect(getUserPages(box.task, box.mm, PAGE, 1, true, pages)).toBe(1);
    const child = forkProcess(box);
    expect(pfnAtVpn(box, PAGE, child)).toBe(pages[0]);
    putUserPages(box.task, pages);
  });

  mmTest(
    'is shared by older kernels: what the pin writes is lost for the owner',
    (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 1);
      userWrite(box.task, PAGE, 0, 4);
      const pages: Pfn[] = [];
      expect(pinUserPages(box.task, box.mm, PAGE, 1, true, pages)).toBe(1);
      const child = forkProcess(box);
      expect(pfnAtVpn(box, PAGE, child)).toBe(pages[0]);
      expect(writeIn(box.task, box.mm, PAGE, 5)).toBe(0);
      expect(pfnAtVpn(box, PAGE)).not.toBe(pages[0]);
      unpinUserPages(box.task, pages);
    },
    { rules: { ...LINUX_7_0, fork: { pinnedPage: 'share' } } },
  );
});

describe('migration entries', () => {
  for (const { name, prot } of [
    { name: 'writable', prot: null },
    { name: 'readable-exclusive', prot: PROT_READ },
  ]) {
    mmTest(`that are ${name} become readable in parent and child`, (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 1);
      userWrite(box.task, PAGE, 0, 8);
      const pfn = pfnAtVpn(box, PAGE);
      if (prot !== null) protectPages(box, PAGE, 1, prot);
      beginMigration(box, pfn);
      const child = forkProcess(box);
      for (const mm of [box.mm, child]) {
        expect(pteType(pteAt(box, PAGE, mm))).toBe(PTE_TYPE_MIGRATION_READ);
        expect(ptePfn(pteAt(box, PAGE, mm))).toBe(pfn);
        expect(anonPages(box, mm)).toBe(1);
      }
      expect(pageState(box, pfn)).toBe('0/1');
      endMigration(box, pfn);
      expect(pageState(box, pfn)).toBe('2/2');
      expect(readIn(box.task, child, PAGE)).toBe(8);
    });
  }
});

describe('without memory', () => {
  mmTest('each allocation of a fork can fail, and nothing is left of it', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 3);
    for (let i = 0; i < 3; i++) userWrite(box.task, (PAGE + i) as Vpn, 0, 40 + i);
    const pages: Pfn[] = [];
    pinUserPages(box.task, box.mm, (PAGE + 1) as Vpn, 1, true, pages);
    const frames = slabAllocatedCount(box.heap, CACHES.frame);
    let failures = 0;
    for (;;) {
      const task = failingTask(box.task, failures);
      const child = dupMm(task, box.mm);
      if (task.injectedFailures === 0) {
        expect(child).toBeGreaterThan(0);
        mmput(box.task, child as MmPtr);
        break;
      }
      expect(child).toBe(-ENOMEM);
      expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(frames);
      expect(slabAllocatedCount(box.heap, CACHES.mm)).toBe(1);
      expect(pageState(box, pages[0])).toBe('1/1025e');
      failures++;
    }
    // At least: mm, tables of four levels, tree, VMA, anon_vma, chain, and the copy of the pinned page.
    expect(failures).toBeGreaterThanOrEqual(9);
    for (let i = 0; i < 3; i++) expect(readIn(box.task, box.mm, PAGE + i)).toBe(40 + i);
    unpinUserPages(box.task, pages);
  });
});

interface Shared {
  readonly box: Sandbox;
}

function fewPages(kernel: Kernel): Sim<Shared> {
  const box = openSandbox(kernel);
  mapPages(box, PAGE, FEW);
  for (let i = 0; i < FEW; i++) userWrite(box.task, (PAGE + i) as Vpn, 0, i);
  return { box };
}

const mixed: Concurrent<Shared> = {
  ...mmKernel(LINUX_7_0, {}),
  executions: 50,
  setup: fewPages,
  threads: [
    (task: Task, { box }: Shared): Sim<void> => {
      task.mm = box.mm;
      const child = dupMm(task, box.mm);
      expect(child).toBeGreaterThan(0);
      for (let i = 0; i < FEW; i += 2) {
        const seen = readIn(task, child as MmPtr, PAGE + i);
        expect([i, 100 + i]).toContain(seen);
        expect(writeIn(task, child as MmPtr, PAGE + i, 200 + i)).toBe(0);
      }
      mmput(task, child as MmPtr);
    },
    (task: Task, { box }: Shared): Sim<void> => {
      task.mm = box.mm;
      for (let i = 0; i < FEW; i += 2) expect(userWrite(task, (PAGE + i) as Vpn, 0, 100 + i)).toBe(0);
    },
    (task: Task, { box }: Shared): Sim<void> => {
      migrateRange(task, box.mm, PAGE, FEW, 'sync');
    },
  ],
  check: ({ task }: Kernel, { box }: Shared): Sim<void> => {
    for (let i = 0; i < FEW; i++) {
      expect(readIn(task, box.mm, PAGE + i)).toBe(i % 2 === 0 ? 100 + i : i);
      expect(pageState(box, pfnAtVpn(box, PAGE + i))).toMatch(/^1\/1/);
    }
    expectQuiet(box);
  },
};
simConcurrent('fork, faults and migrations at once: the child gets one state of each page', mixed);
simPreempted('fork, faults and migrations: the child gets one state of each page', mixed);

/** Pages pinned in the set-up. */
const pinnedPages: Pfn[] = [];

simPreempted('a page that is unpinned while fork allocates its copy: nothing is left over', {
  ...mmKernel(LINUX_7_0, {}),
  setup: (kernel: Kernel): Sim<Shared> => {
    const box = openSandbox(kernel);
    mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 1);
    pinnedPages.length = 0;
    expect(pinUserPages(box.task, box.mm, PAGE, 1, true, pinnedPages)).toBe(1);
    return { box };
  },
  threads: [
    (task: Task, { box }: Shared): Sim<void> => {
      const child = dupMm(task, box.mm) as MmPtr;
      expect(child).toBeGreaterThan(0);
      expect(readIn(task, child, PAGE)).toBe(1);
      mmput(task, child);
    },
    (task: Task): Sim<void> => {
      unpinUserPages(task, pinnedPages);
    },
  ],
  check: (_kernel: Kernel, { box }: Shared): Sim<void> => {
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(2);
  },
});
