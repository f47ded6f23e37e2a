/** fork and exit as a whole: what the child gets, what it does not, and that a fork that fails leaves no trace. */
import { describe, expect } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { EINTR, ENOMEM } from '../../src/base/errno.ts';
import type { Access, Sim } from '../../src/base/sim.ts';
import { NO_ANON_VMA, NO_VMA, type MmPtr, type Vpn } from '../../src/layout/ids.ts';
import { mmDataVm, mmMapCount, mmTotalVm } from '../../src/layout/mm.ts';
import { pteIsNone, pteIsWritable } from '../../src/layout/pte.ts';
import {
  VM_DONTCOPY,
  VM_LOCKED,
  VM_WIPEONFORK,
  setVmaFlags,
  vmaAnonVma,
  vmaAvcFirst,
  vmaFlags,
} from '../../src/layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../../src/locks/mmapLock.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { vmaEndRead } from '../../src/locks/vmaLock.ts';
import { lockVmaUnderRcu } from '../../src/mm/vma.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { dupMm, sysFork } from '../../src/mm/fork.ts';
import { pinUserPages, unpinUserPages } from '../../src/mm/gup.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import type { Pfn } from '../../src/layout/ids.ts';
import { failingTask, mapPages, mmTest, pageState, pfnAtVpn, pteAt, type Sandbox } from './sandbox.ts';

const PAGE = 10;
/** Caches whose objects a fork allocates; tree blocks and tables are given back after a grace period. */
const COUNTED = [
  CACHES.mm,
  CACHES.vma,
  CACHES.anonVma,
  CACHES.anonVmaChain,
  CACHES.frame,
  CACHES.pageTable,
  CACHES.vmaNode16,
];

function counts(box: Sandbox): Sim<number[]> {
  rcuBarrier(box.task);
  return COUNTED.map((cache) => slabAllocatedCount(box.heap, cache));
}

/** Forks the sandbox's process and lets task 3 run in the child. */
function forkOk(box: Sandbox): Sim<MmPtr> {
  const child = sysFork(box.task);
  expect(child).toBeGreaterThan(0);
  box.others.push(child as MmPtr);
  box.task3.mm = child as MmPtr;
  return child as MmPtr;
}

function sizes({ heap }: Sandbox, mm: MmPtr): Access<number[]> {
  return [mmMapCount(heap, mm), mmTotalVm(heap, mm), mmDataVm(heap, mm)];
}

function setFlag(box: Sandbox, vpn: number, flag: number): Sim<void> {
  const vma = vmaLookup(box.task, box.mm, vpn as Vpn);
  setVmaFlags(box.heap, vma, vmaFlags(box.heap, vma) | flag);
}

describe('the child', () => {
  mmTest('shares pages until one of the two writes', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    expect(userWrite(box.task, PAGE as Vpn, 0, 7)).toBe(0);
    const child = forkOk(box);
    const pfn = pfnAtVpn(box, PAGE);
    expect(pfnAtVpn(box, PAGE, child)).toBe(pfn);
    expect(pageState(box, pfn)).toBe('2/2');
    expect(pteIsWritable(pteAt(box, PAGE)) || pteIsWritable(pteAt(box, PAGE, child))).toBe(false);
    expect(userWrite(box.task3, PAGE as Vpn, 0, 8)).toBe(0);
    expect(userRead(box.task, PAGE as Vpn, 0)).toBe(0);
    expect(box.task.loaded).toBe(7);
    expect(pageState(box, pfn)).toBe('1/1');
    // Alone again, so the parent's next write reuses the page.
    expect(userWrite(box.task, PAGE as Vpn, 0, 9)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
  });

  mmTest('has the same mappings and sizes', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 3);
    mapPages(box, 700, 5);
    const child = forkOk(box);
    expect(sizes(box, child)).toEqual(sizes(box, box.mm));
  });

  mmTest('gets a copy of a pinned page; the pinned one stays the parent’s own', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    expect(userWrite(box.task, PAGE as Vpn, 0, 7)).toBe(0);
    const pages: Pfn[] = [];
    expect(pinUserPages(box.task, box.mm, PAGE as Vpn, 1, true, pages)).toBe(1);
    const child = forkOk(box);
    expect(pfnAtVpn(box, PAGE)).toBe(pages[0]);
    expect(pageState(box, pages[0])).toBe('1/1025e');
    expect(pageState(box, pfnAtVpn(box, PAGE, child))).toBe('1/1e');
    expect(userRead(box.task3, PAGE as Vpn, 0)).toBe(0);
    expect(box.task3.loaded).toBe(7);
    unpinUserPages(box.task, pages);
  });

  mmTest('does not get a VM_DONTCOPY mapping', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    mapPages(box, 40, 2);
    setFlag(box, PAGE, VM_DONTCOPY);
    const child = forkOk(box);
    expect(vmaLookup(box.task, child, PAGE as Vpn)).toBe(NO_VMA);
    expect(vmaLookup(box.task, child, 40 as Vpn)).not.toBe(NO_VMA);
    expect([mmMapCount(box.heap, child), mmTotalVm(box.heap, child)]).toEqual([1, 2]);
  });

  mmTest('gets a VM_WIPEONFORK mapping empty, and no mapping locked', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    expect(userWrite(box.task, PAGE as Vpn, 0, 7)).toBe(0);
    setFlag(box, PAGE, VM_WIPEONFORK | VM_LOCKED);
    const child = forkOk(box);
    const vma = vmaLookup(box.task, child, PAGE as Vpn);
    expect([vmaAnonVma(box.heap, vma), vmaAvcFirst(box.heap, vma)]).toEqual([NO_ANON_VMA, 0]);
    expect(vmaFlags(box.heap, vma) & (VM_LOCKED | VM_WIPEONFORK)).toBe(VM_WIPEONFORK);
    expect(pteIsNone(pteAt(box, PAGE, child))).toBe(true);
    expect(userRead(box.task3, PAGE as Vpn, 0)).toBe(0);
    expect(box.task3.loaded).toBe(0);
    setVmaFlags(box.heap, vmaLookup(box.task, box.mm, PAGE as Vpn), vmaFlags(box.heap, vma));
  });

  mmTest('of an empty process is empty', (box: Sandbox): Sim<void> => {
    expect(mmMapCount(box.heap, forkOk(box))).toBe(0);
  });
});

describe('a fork that fails', () => {
  /** Two written mappings, one of them inherited over a generation, and a pinned page. */
  function prepare(box: Sandbox): Sim<Pfn[]> {
    mapPages(box, PAGE, 3);
    mapPages(box, 600, 2);
    for (const vpn of [PAGE, PAGE + 1, 600]) expect(userWrite(box.task, vpn as Vpn, 0, vpn)).toBe(0);
    const pages: Pfn[] = [];
    expect(pinUserPages(box.task, box.mm, PAGE as Vpn, 1, true, pages)).toBe(1);
    return pages;
  }

  function stillThere(box: Sandbox): Sim<void> {
    for (const vpn of [PAGE, PAGE + 1, 600]) {
      expect(userRead(box.task, vpn as Vpn, 0)).toBe(0);
      expect(box.task.loaded).toBe(vpn);
      expect(userWrite(box.task, vpn as Vpn, 0, vpn)).toBe(0);
    }
  }

  mmTest('for lack of memory, at any site, leaves everything as it was', (box: Sandbox): Sim<void> => {
    const pages = prepare(box);
    const before = counts(box);
    let failures = 0;
    for (let site = 0; ; site++) {
      const task = failingTask(box.task, site, 1000);
      const child = dupMm(task, box.mm);
      if (child > 0) {
        mmput(box.task, child as MmPtr);
        break;
      }
      failures++;
      expect(child).toBe(-ENOMEM);
      expect(counts(box)).toEqual(before);
      stillThere(box);
    }
    expect(failures).toBeGreaterThan(12);
    unpinUserPages(box.task, pages);
  });

  mmTest('on a fatal signal, waiting for the mmap lock, has done nothing', (box: Sandbox): Sim<void> => {
    const pages = prepare(box);
    const before = counts(box);
    mmapReadLock(box.task, box.mm);
    killTask(box.task, box.task2.id);
    expect(dupMm(box.task2, box.mm)).toBe(-EINTR);
    mmapReadUnlock(box.task, box.mm);
    expect(counts(box)).toEqual(before);
    unpinUserPages(box.task, pages);
  });

  mmTest(
    'on a fatal signal, waiting for a fault in its second VMA, takes the first one back',
    (box: Sandbox): Sim<void> => {
      const pages = prepare(box);
      const before = counts(box);
      const locked = lockVmaUnderRcu(box.task, box.mm, 600 as Vpn);
      killTask(box.task, box.task2.id);
      expect(dupMm(box.task2, box.mm)).toBe(-EINTR);
      vmaEndRead(box.task, locked);
      expect(counts(box)).toEqual(before);
      stillThere(box);
      unpinUserPages(box.task, pages);
    },
  );
});

describe('exit', () => {
  mmTest('frees a child’s pages and leaves those of the parent', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 4);
    mapPages(box, 3000, 4);
    for (const vpn of [PAGE, PAGE + 3, 3001]) expect(userWrite(box.task, vpn as Vpn, 0, vpn)).toBe(0);
    const before = counts(box);
    const child = forkOk(box);
    expect(userWrite(box.task3, PAGE as Vpn, 0, 1)).toBe(0);
    expect(userWrite(box.task3, 3002 as Vpn, 0, 1)).toBe(0);
    box.others.length = 0;
    mmput(box.task3, child);
    expect(counts(box)).toEqual(before);
    expect(userRead(box.task, PAGE as Vpn, 0)).toBe(0);
    expect(box.task.loaded).toBe(PAGE);
  });

  mmTest('of the parent leaves the child its pages', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    expect(userWrite(box.task, PAGE as Vpn, 0, 7)).toBe(0);
    const first = dupMm(box.task, box.mm) as MmPtr;
    const second = dupMm(box.task, first) as MmPtr;
    box.others.push(second);
    mmput(box.task, first);
    box.task3.mm = second;
    expect(userRead(box.task3, PAGE as Vpn, 0)).toBe(0);
    expect(box.task3.loaded).toBe(7);
    expect(pageState(box, pfnAtVpn(box, PAGE, second))).toBe('2/2');
  });
});
