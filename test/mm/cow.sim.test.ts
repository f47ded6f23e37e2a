/** Copy on write: who copies, who reuses, and in which order the old page leaves. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn, Vpn } from '../../src/layout/ids.ts';
import { mappingAnonVma, readOncePageMapping } from '../../src/layout/page.ts';
import { LEVEL_PTE, atomicClearPteFlags, entryAt } from '../../src/layout/pageTable.ts';
import { PTE_WRITE, pteIsDirty, pteIsWritable, pteIsYoung } from '../../src/layout/pte.ts';
import { vmaAnonVma } from '../../src/layout/vma.ts';
import { folioLock, folioUnlock } from '../../src/locks/folioLock.ts';
import { mmapReadLock, mmapReadUnlock } from '../../src/locks/mmapLock.ts';
import { handleMmFault } from '../../src/mm/fault.ts';
import { FAULT_FLAG_UNSHARE } from '../../src/mm/faultFlags.ts';
import { getUserPages, putUserPages } from '../../src/mm/gup.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { FAULT_OOM, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import type { Kernel } from '../support/kernel.ts';
import { mmKernel } from './mmKernel.ts';
import { simPreempted } from './preempted.ts';
import {
  expectQuiet,
  failingTask,
  forkProcess,
  mapPages,
  mmTest,
  openSandbox,
  pageState,
  pfnAtVpn,
  pteAt,
  readIn,
  writeIn,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10 as Vpn;

/** One page with 64 in it, shared with a child. */
function sharedPage(box: Sandbox): Sim<MmPtr> {
  mapPages(box, PAGE, 1);
  userWrite(box.task, PAGE, 0, 64);
  return forkProcess(box);
}

/** Makes the entry read-only behind everybody's back; the page stays as exclusive as it is. */
function writeProtect(box: Sandbox): Sim<void> {
  const table = findTable(box.task, box.mm, PAGE, LEVEL_PTE);
  atomicClearPteFlags(box.heap, entryAt(table, PAGE, LEVEL_PTE), PTE_WRITE);
}

describe('after a fork', () => {
  mmTest('the first writer gets a copy, the survivor keeps the page', (box: Sandbox): Sim<void> => {
    const child = sharedPage(box);
    const pfn = pfnAtVpn(box, PAGE);
    expect(pageState(box, pfn)).toBe('2/2');
    expect(writeIn(box.task, child, PAGE, 7)).toBe(0);
    const copy = pfnAtVpn(box, PAGE, child);
    expect(copy).not.toBe(pfn);
    expect(pageState(box, copy)).toBe('1/1e');
    expect(pageState(box, pfn)).toBe('1/1');
    expect(readIn(box.task, box.mm, PAGE)).toBe(64);
    expect(readIn(box.task, child, PAGE)).toBe(7);

    expect(writeIn(box.task, box.mm, PAGE, 65)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
    expect(pageState(box, pfn)).toBe('1/1e');
    expect(readIn(box.task, child, PAGE)).toBe(7);
  });

  mmTest('the page whose sharer is gone is reused and leaves the relatives', (box: Sandbox): Sim<void> => {
    const child = sharedPage(box);
    const pfn = pfnAtVpn(box, PAGE);
    const childVma = vmaLookup(box.task, child, PAGE);
    const parentAnonVma = mappingAnonVma(readOncePageMapping(box.heap, pfn));
    expect(vmaAnonVma(box.heap, childVma)).not.toBe(parentAnonVma);
    expect(writeIn(box.task, box.mm, PAGE, 1)).toBe(0);
    expect(writeIn(box.task, child, PAGE, 2)).toBe(0);
    expect(pfnAtVpn(box, PAGE, child)).toBe(pfn);
    expect(mappingAnonVma(readOncePageMapping(box.heap, pfn))).toBe(vmaAnonVma(box.heap, childVma));
  });

  mmTest('the copy is seen by other CPUs that had the old page in their TLBs', (box: Sandbox): Sim<void> => {
    sharedPage(box);
    expect(readIn(box.task2, box.mm, PAGE)).toBe(64);
    expect(writeIn(box.task, box.mm, PAGE, 8)).toBe(0);
    expect(readIn(box.task2, box.mm, PAGE)).toBe(8);
  });

  mmTest('nothing changes when there is no memory for the copy', (box: Sandbox): Sim<void> => {
    const child = sharedPage(box);
    const pfn = pfnAtVpn(box, PAGE);
    const task = failingTask(box.task, 0);
    expect(userWrite(task, PAGE, 0, 9)).toBe(FAULT_OOM);
    expect(pageState(box, pfn)).toBe('2/2');
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(readIn(box.task, child, PAGE)).toBe(64);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(2);
  });
});

describe('reuse', () => {
  mmTest('of an exclusive page asks nothing else', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 3);
    const pfn = pfnAtVpn(box, PAGE);
    const pages: Pfn[] = [];
    expect(getUserPages(box.task, box.mm, PAGE, 1, true, pages)).toBe(1);
    folioLock(box.task3, pfn);
    writeProtect(box);
    // Another CPU without a TLB entry faults: two references and a locked folio do not matter.
    expect(userWrite(box.task2, PAGE, 0, 4)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
    const pte = pteAt(box, PAGE);
    expect(pteIsWritable(pte) && pteIsDirty(pte) && pteIsYoung(pte)).toBe(true);
    folioUnlock(box.task3, pfn);
    putUserPages(box.task, pages);
  });

  mmTest('of a page that is not exclusive fails on any further reference', (box: Sandbox): Sim<void> => {
    const child = sharedPage(box);
    const pfn = pfnAtVpn(box, PAGE);
    mmput(box.task, child);
    box.others.length = 0;
    expect(pageState(box, pfn)).toBe('1/1');
    const pages: Pfn[] = [];
    expect(getUserPages(box.task, box.mm, PAGE, 1, false, pages)).toBe(1);
    expect(writeIn(box.task, box.mm, PAGE, 5)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).not.toBe(pfn);
    expect(pageState(box, pfn)).toBe('0/1');
    putUserPages(box.task, pages);
  });

  mmTest('happens once the sharer is gone, in the same frame', (box: Sandbox): Sim<void> => {
    const child = sharedPage(box);
    const pfn = pfnAtVpn(box, PAGE);
    mmput(box.task, child);
    box.others.length = 0;
    expect(writeIn(box.task, box.mm, PAGE, 5)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
    expect(pageState(box, pfn)).toBe('1/1e');
  });
});

describe('unshare', () => {
  function unshare(box: Sandbox, mm: MmPtr): Sim<number> {
    mmapReadLock(box.task, mm);
    const fault = handleMmFault(box.task, mm, vmaLookup(box.task, mm, PAGE), PAGE, FAULT_FLAG_UNSHARE);
    mmapReadUnlock(box.task, mm);
    return fault;
  }

  mmTest('copies a shared page but leaves the entry read-only', (box: Sandbox): Sim<void> => {
    sharedPage(box);
    const pfn = pfnAtVpn(box, PAGE);
    expect(unshare(box, box.mm)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).not.toBe(pfn);
    expect(pageState(box, pfnAtVpn(box, PAGE))).toBe('1/1e');
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(readIn(box.task, box.mm, PAGE)).toBe(64);
  });

  mmTest('makes an only user exclusive in place', (box: Sandbox): Sim<void> => {
    const child = sharedPage(box);
    const pfn = pfnAtVpn(box, PAGE);
    mmput(box.task, child);
    box.others.length = 0;
    expect(unshare(box, box.mm)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
    expect(pageState(box, pfn)).toBe('1/1e');
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
  });

  mmTest('replaces the zero page by a page of zeros', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userRead(box.task, PAGE, 0);
    expect(unshare(box, box.mm)).toBe(0);
    expect(pageState(box, pfnAtVpn(box, PAGE))).toBe('1/1e');
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
  });
});

interface Shared {
  readonly box: Sandbox;
  readonly child: MmPtr;
}

function setUpShared(kernel: Kernel): Sim<Shared> {
  const box = openSandbox(kernel);
  return { box, child: sharedPage(box) };
}

const sharedWriters: Concurrent<Shared> = {
  ...mmKernel(LINUX_7_0, {}),
  setup: setUpShared,
  threads: [
    (task: Task, { box }: Shared): Sim<void> => {
      task.mm = box.mm;
      expect(userWrite(task, PAGE, 1, 11)).toBe(0);
    },
    (task: Task, { box }: Shared): Sim<void> => {
      task.mm = box.mm;
      expect(userWrite(task, PAGE, 2, 22)).toBe(0);
    },
    (task: Task, { child }: Shared): Sim<void> => {
      task.mm = child;
      expect(userWrite(task, PAGE, 3, 33)).toBe(0);
    },
  ],
  check: ({ task }: Kernel, { box, child }: Shared): Sim<void> => {
    task.mm = box.mm;
    for (const [word, value] of [64, 11, 22, 0].entries()) {
      expect(userRead(task, PAGE, word)).toBe(0);
      expect(task.loaded).toBe(value);
    }
    expect(pageState(box, pfnAtVpn(box, PAGE))).toBe('1/1e');
    expect(pageState(box, pfnAtVpn(box, PAGE, child))).toBe('1/1e');
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(3);
    expectQuiet(box);
  },
};
simConcurrent('two threads of one process write the same shared page: one copy, no write lost', sharedWriters);
simPreempted('threads of two processes write the same shared page', sharedWriters);
