/** Unmapping: counts drop at once, pages and tables go when no CPU can reach them any more. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_TABLE, type MmPtr, type Pfn, type VmaPtr, type Vpn } from '../../src/layout/ids.ts';
import { MM, atomicSetMmCpumask, mmAsid, readOnceMmTlbFlushPending } from '../../src/layout/mm.ts';
import { zeroPfn } from '../../src/layout/page.ts';
import { ENTRIES_PER_TABLE, LEVEL_PTE } from '../../src/layout/pageTable.ts';
import { makePte, pteIsMigration, pteIsNone } from '../../src/layout/pte.ts';
import { setTlbSlot, tlbSlot, tlbSlotAsid } from '../../src/layout/tlb.ts';
import { mmapReadLock, mmapReadUnlock } from '../../src/locks/mmapLock.ts';
import { rcuReadLock, rcuReadUnlock, synchronizeRcu } from '../../src/locks/rcu.ts';
import { tlbFinishMmu, tlbFlushMmuTlbonly, tlbGatherMmu } from '../../src/mm/mmuGather.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { getUserPagesFast, putUserPages } from '../../src/mm/gup.ts';
import { sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { SEGV_MAPERR, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { unmapVmaRange, zapPageRange } from '../../src/mm/zap.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { simPreempted } from './preempted.ts';
import {
  beginMigration,
  endMigration,
  failingTask,
  forkProcess,
  mapPages,
  mmTest,
  openSandbox,
  pageState,
  pfnAtVpn,
  pteAt,
  readIn,
  unmapPages,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10 as Vpn;

function anonPages({ heap, mm }: Sandbox): number {
  return Atomics.load(heap, mm + MM.anonPages);
}

function isCached(box: Sandbox, vpn: Vpn, cpu = 1): Sim<boolean> {
  return tlbSlotAsid(box.heap, tlbSlot(box.heap, cpu, vpn)) !== 0;
}

/** madvise(MADV_DONTNEED): the pages go, the VMA stays. */
function dontNeed(box: Sandbox, vma: VmaPtr, start: number, end: number, task = box.task): Sim<void> {
  mmapReadLock(task, box.mm);
  zapPageRange(task, vma, start as Vpn, end as Vpn);
  mmapReadUnlock(task, box.mm);
}

describe('zap', () => {
  mmTest('frees the pages of the range and only those', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 4);
    for (let i = 0; i < 4; i++) userWrite(box.task, (PAGE + i) as Vpn, 0, i);
    dontNeed(box, vma, PAGE + 1, PAGE + 3);
    expect(anonPages(box)).toBe(2);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1 + 2);
    expect(readIn(box.task, box.mm, PAGE + 3)).toBe(3);
    // A fresh page of zeros where there was one.
    expect(readIn(box.task, box.mm, PAGE + 1)).toBe(0);
  });

  mmTest('stays inside the VMA whatever range it is given', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    mapPages(box, PAGE + 2, 1);
    userWrite(box.task, PAGE, 0, 1);
    userWrite(box.task, (PAGE + 2) as Vpn, 0, 2);
    dontNeed(box, vma, 0, 1000);
    expect(pteIsNone(pteAt(box, PAGE))).toBe(true);
    expect(readIn(box.task, box.mm, PAGE + 2)).toBe(2);
  });

  mmTest('of the zero page counts nothing', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    userRead(box.task, PAGE, 0);
    userRead(box.task2, PAGE, 0);
    dontNeed(box, vma, PAGE, PAGE + 1);
    expect(anonPages(box)).toBe(0);
    expect(pageState(box, zeroPfn(box.heap))).toBe('0/1');
    expect(isCached(box, PAGE)).toBe(false);
  });

  mmTest('of a shared page leaves it to the other process', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 6);
    const child = forkProcess(box);
    const pfn = pfnAtVpn(box, PAGE);
    expect(unmapPages(box, PAGE, 1)).toBe(0);
    expect(pageState(box, pfn)).toBe('1/1');
    expect(readIn(box.task, child, PAGE)).toBe(6);
    expect(readIn(box.task, box.mm, PAGE)).toBe(SEGV_MAPERR);
  });

  mmTest(
    'of a migration entry takes it off the count, and the migration restores nothing',
    (box: Sandbox): Sim<void> => {
      const vma = mapPages(box, PAGE, 2);
      userWrite(box.task, PAGE, 0, 6);
      const pfn = pfnAtVpn(box, PAGE);
      beginMigration(box, pfn);
      expect(pteIsMigration(pteAt(box, PAGE))).toBe(true);
      expect(anonPages(box)).toBe(1);
      dontNeed(box, vma, PAGE, PAGE + 2);
      expect(pteIsNone(pteAt(box, PAGE))).toBe(true);
      expect(anonPages(box)).toBe(0);
      expect(pageState(box, pfn)).toBe('0/1');
      endMigration(box, pfn);
      expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1);
    },
  );

  mmTest('skips holes as large as a table', (box: Sandbox): Sim<void> => {
    const far = PAGE + 5 * ENTRIES_PER_TABLE;
    const vma = mapPages(box, PAGE, far + 2 - PAGE);
    userWrite(box.task, PAGE, 0, 1);
    userWrite(box.task, far as Vpn, 0, 2);
    dontNeed(box, vma, PAGE, far + 2);
    expect(anonPages(box)).toBe(0);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1);
  });
});

describe('the gather', () => {
  mmTest('keeps the pages until the TLBs are flushed', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 9);
    userRead(box.task2, PAGE, 0);
    const pfn = pfnAtVpn(box, PAGE);
    mmapReadLock(box.task, box.mm);
    const tlb = tlbGatherMmu(box.task, box.mm, false);
    expect(readOnceMmTlbFlushPending(box.heap, box.mm)).toBe(1);
    unmapVmaRange(box.task, tlb, vma, PAGE, (PAGE + 1) as Vpn);
    // Unmapped and not counted any more, but CPU 2 still has it, and may use it.
    expect(pageState(box, pfn)).toBe('0/1e');
    expect(isCached(box, PAGE)).toBe(true);
    expect(readIn(box.task2, box.mm, PAGE)).toBe(9);
    tlbFinishMmu(box.task, tlb);
    expect(isCached(box, PAGE)).toBe(false);
    expect(readOnceMmTlbFlushPending(box.heap, box.mm)).toBe(0);
    mmapReadUnlock(box.task, box.mm);
    expect(readIn(box.task2, box.mm, PAGE)).toBe(0);
  });

  mmTest('that is full is flushed on the way', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 20);
    for (let i = 0; i < 20; i++) userWrite(box.task, (PAGE + i) as Vpn, 0, i);
    userRead(box.task2, PAGE, 0);
    userRead(box.task2, (PAGE + 15) as Vpn, 0);
    mmapReadLock(box.task, box.mm);
    const tlb = tlbGatherMmu(box.task, box.mm, false);
    // No further batch can be had: eight pages at a time.
    const task = failingTask(box.task, 0, 100);
    unmapVmaRange(task, tlb, vma, PAGE, (PAGE + 20) as Vpn);
    expect(task.injectedFailures).toBe(2);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1 + 4);
    expect(isCached(box, PAGE)).toBe(false);
    expect(isCached(box, (PAGE + 15) as Vpn)).toBe(false);
    tlbFinishMmu(box.task, tlb);
    mmapReadUnlock(box.task, box.mm);
    expect(anonPages(box)).toBe(0);
  });

  mmTest('flushes everything when another one is open on the same mm', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 1);
    userRead(box.task2, PAGE, 0);
    mmapReadLock(box.task, box.mm);
    const slow = tlbGatherMmu(box.task, box.mm, false);
    unmapVmaRange(box.task, slow, vma, PAGE, (PAGE + 1) as Vpn);
    // The other one finds the entry empty. It may not tell its caller that the page is gone while CPU 2 can use it.
    const quick = tlbGatherMmu(box.task3, box.mm, false);
    unmapVmaRange(box.task3, quick, vma, PAGE, (PAGE + 1) as Vpn);
    tlbFinishMmu(box.task3, quick);
    expect(isCached(box, PAGE)).toBe(false);
    tlbFinishMmu(box.task, slow);
    mmapReadUnlock(box.task, box.mm);
  });

  mmTest('with nothing in it flushes nothing', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 1);
    const tlb = tlbGatherMmu(box.task, box.mm, true);
    tlbFlushMmuTlbonly(box.task, tlb);
    expect(isCached(box, PAGE, 0)).toBe(true);
    tlbFinishMmu(box.task, tlb);
    expect(isCached(box, PAGE, 0)).toBe(true);
  });
});

describe('tables', () => {
  mmTest('go with their last mapping, after a grace period', (box: Sandbox): Sim<void> => {
    const before = slabAllocatedCount(box.heap, CACHES.pageTable);
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 1);
    expect(slabAllocatedCount(box.heap, CACHES.pageTable)).toBe(before + 3);
    rcuReadLock(box.task2);
    expect(unmapPages(box, PAGE, 1)).toBe(0);
    expect(findTable(box.task, box.mm, PAGE, LEVEL_PTE)).toBe(NO_TABLE);
    expect(slabAllocatedCount(box.heap, CACHES.pageTable)).toBe(before + 3);
    rcuReadUnlock(box.task2);
    synchronizeRcu(box.task);
    expect(slabAllocatedCount(box.heap, CACHES.pageTable)).toBe(before);
  });

  mmTest('that are empty are flushed too: a CPU may be walking them', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 1);
    dontNeed(box, vma, PAGE, PAGE + 1);
    // Any flush of that range waits for the CPU's walk; here it shows in the entry it removes.
    const slot = tlbSlot(box.heap, 1, PAGE);
    setTlbSlot(box.heap, slot, mmAsid(box.heap, box.mm), PAGE, makePte(zeroPfn(box.heap), 0), 0);
    atomicSetMmCpumask(box.heap, box.mm, 1 << 1);
    expect(unmapPages(box, PAGE, 1)).toBe(0);
    expect(isCached(box, PAGE)).toBe(false);
  });

  mmTest('stay while a neighbour needs them', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    mapPages(box, PAGE + 5, 1);
    mapPages(box, ENTRIES_PER_TABLE + PAGE, 1);
    for (const vpn of [PAGE, PAGE + 5, ENTRIES_PER_TABLE + PAGE]) userWrite(box.task, vpn as Vpn, 0, vpn);
    expect(unmapPages(box, PAGE, 1)).toBe(0);
    expect(readIn(box.task, box.mm, PAGE + 5)).toBe(PAGE + 5);
    expect(unmapPages(box, PAGE + 5, 1)).toBe(0);
    expect(findTable(box.task, box.mm, PAGE, LEVEL_PTE)).toBe(NO_TABLE);
    expect(readIn(box.task, box.mm, ENTRIES_PER_TABLE + PAGE)).toBe(ENTRIES_PER_TABLE + PAGE);
  });
});

interface Shared {
  readonly mm: MmPtr;
  readonly vma: VmaPtr;
  readonly box: Sandbox;
  readonly pfn: Pfn;
}

simConcurrent('a page that is unmapped under the hands of other CPUs is not freed before they let go', {
  ...mmKernel(LINUX_7_0, {}),
  setup: (kernel: Kernel): Sim<Shared> => {
    const box = openSandbox(kernel);
    const vma = mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 1);
    userRead(box.task2, PAGE, 0);
    return { mm: box.mm, vma, box, pfn: pfnAtVpn(box, PAGE) };
  },
  threads: [
    (task: Task, { box, vma, mm }: Shared): Sim<void> => {
      task.mm = mm;
      dontNeed(box, vma, PAGE, PAGE + 1, task);
    },
    (task: Task, { mm }: Shared): Sim<void> => {
      task.mm = mm;
      for (let value = 2; value < 5; value++) {
        expect(userWrite(task, PAGE, 0, value)).toBe(0);
        expect(userRead(task, PAGE, 0)).toBe(0);
        expect([0, value]).toContain(task.loaded);
      }
    },
    (task: Task, { box, vma, mm }: Shared): Sim<void> => {
      task.mm = mm;
      dontNeed(box, vma, PAGE, PAGE + 1, task);
    },
  ],
});

const walkers: Concurrent<Shared> = {
  ...mmKernel(LINUX_7_0, {}),
  setup: (kernel: Kernel): Sim<Shared> => {
    const box = openSandbox(kernel);
    const vma = mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 1);
    userWrite(box.task, (PAGE + 1) as Vpn, 0, 2);
    return { mm: box.mm, vma, box, pfn: pfnAtVpn(box, PAGE) };
  },
  threads: [
    (task: Task, { mm }: Shared): Sim<void> => {
      task.mm = mm;
      expect(sysMunmap(task, vpnToAddr(PAGE), 2 * PAGE_SIZE)).toBe(0);
      // The freed tables are the next ones allocated, by another process.
      const other = mmAlloc(task);
      expect(other).toBeGreaterThan(0);
      mmput(task, other);
    },
    (task: Task, { mm }: Shared): Sim<void> => {
      task.mm = mm;
      const result = userRead(task, (PAGE + 1) as Vpn, 0);
      expect(result === SEGV_MAPERR || (result === 0 && task.loaded === 2)).toBe(true);
    },
    (task: Task, { mm }: Shared): Sim<void> => {
      task.mm = mm;
      const pages: Pfn[] = [];
      if (getUserPagesFast(task, PAGE, 2, true, pages) > 0) putUserPages(task, pages);
    },
  ],
};
simConcurrent('a CPU that walks the tables while they are unmapped never meets a freed one', walkers);
simPreempted('a CPU that walks the tables while they are unmapped never meets a freed one', walkers);
