/** hugetlb: a pool of huge pages, what mappings are promised of it, and what happens when it is empty. */
import { describe, expect } from 'vitest';
import { assert } from '../../src/base/assert.ts';
import { EINVAL, ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { hugetlbFree, hugetlbReserved } from '../../src/layout/hugetlb.ts';
import { NO_MM, NO_TABLE, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { LEVEL_PMD, entryAt, readOncePte } from '../../src/layout/pageTable.ts';
import { pteIsHuge, ptePfn } from '../../src/layout/pte.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { pinUserPages, unpinUserPages } from '../../src/mm/gup.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { BUS_ADRERR, SEGV_ACCERR, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { PROT_RW, failingTask, forkProcess, mmTest, pageState, readIn, writeIn, type Sandbox } from './sandbox.ts';

const H = 512;
const POOL = 4;
const OPTIONS = { size: { hugePages: POOL } } as const;
const BYTES = H * PAGE_SIZE;

/** Maps `count` huge pages at huge page number `at`; the result is the address or an error. */
function mapHuge(task: Task, at: number, count: number, flags = 0, prot = PROT_RW): Sim<number> {
  const type = (flags & MAP_SHARED) === 0 ? MAP_PRIVATE : 0;
  const all = type | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED | flags;
  return sysMmap(task, vpnToAddr(at * H), count * BYTES, prot, all);
}

function mapped(task: Task, at: number, count: number, flags = 0, prot = PROT_RW): Sim<void> {
  const result = mapHuge(task, at, count, flags, prot);
  assert(result === vpnToAddr(at * H), 'mmap of huge pages failed');
}

/** Free and reserved pages of the pool, as `free/reserved`. */
function pool(box: Sandbox): Sim<string> {
  return `${hugetlbFree(box.heap)}/${hugetlbReserved(box.heap)}`;
}

/** Frame of the huge page at huge page number `at`, 0 when none is mapped. */
function hugeFrame(box: Sandbox, at: number, mm = box.mm): Sim<Pfn> {
  const pmd = findTable(box.task, mm, (at * H) as Vpn, LEVEL_PMD);
  if (pmd === NO_TABLE) return 0 as Pfn;
  const pte = readOncePte(box.heap, entryAt(pmd, (at * H) as Vpn, LEVEL_PMD));
  return pteIsHuge(pte) ? ptePfn(pte) : (0 as Pfn);
}

function move(task: Task, from: number, count: number, to: number): Sim<number> {
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  return sysMremap(task, vpnToAddr(from * H), count * BYTES, count * BYTES, flags, vpnToAddr(to * H));
}

describe('the pool', () => {
  mmTest(
    'a private mapping is promised all its pages, uses them up, gives them back',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 2);
      expect(pool(box)).toBe('4/2');
      writeIn(box.task, box.mm, H, 5);
      expect(pool(box)).toBe('3/1');
      expect(mapHuge(box.task, 4, 3)).toBe(-ENOMEM);
      sysMunmap(box.task, vpnToAddr(H), BYTES);
      expect(pool(box)).toBe('4/1');
      sysMunmap(box.task, vpnToAddr(2 * H), BYTES);
      expect(pool(box)).toBe('4/0');
    },
    OPTIONS,
  );

  mmTest(
    'a shared object keeps its promises and pages until it ends',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 2, MAP_SHARED);
      writeIn(box.task, box.mm, H, 5);
      const child = forkProcess(box);
      sysMunmap(box.task, vpnToAddr(H), 2 * BYTES);
      expect(pool(box)).toBe('3/1');
      expect(readIn(box.task2, child, H)).toBe(5);
      box.others.length = 0;
      mmput(box.task, child);
      expect(pool(box)).toBe('4/0');
    },
    OPTIONS,
  );

  mmTest(
    'without promises: pages as long as there are some, then SIGBUS',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 3);
      mapped(box.task, 5, 2, MAP_NORESERVE);
      expect(writeIn(box.task, box.mm, 5 * H, 1)).toBe(0);
      expect(writeIn(box.task, box.mm, 6 * H, 1)).toBe(BUS_ADRERR);
      expect(readIn(box.task, box.mm, 6 * H)).toBe(BUS_ADRERR);
      for (let i = 1; i < 4; i++) expect(writeIn(box.task, box.mm, i * H, 1)).toBe(0);
      expect(pool(box)).toBe('0/0');
    },
    OPTIONS,
  );

  mmTest(
    'a mapping in the place of another may use what that was promised, if it was private',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 3);
      expect(mapHuge(box.task, 1, 3)).toBeGreaterThan(0);
      sysMunmap(box.task, vpnToAddr(H), 3 * BYTES);
      mapped(box.task, 1, 3, MAP_SHARED);
      expect(mapHuge(box.task, 1, 3)).toBe(-ENOMEM);
      // What was there is gone all the same.
      expect(pool(box)).toBe('4/0');
    },
    OPTIONS,
  );

  mmTest(
    'a part that moves takes all promises along: those of the rest are lost',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 2);
      expect(move(box.task, 1, 1, 5)).toBe(vpnToAddr(5 * H));
      sysMunmap(box.task, vpnToAddr(0), 8 * BYTES);
      expect(pool(box)).toBe('4/1');
    },
    OPTIONS,
  );
});

describe('faults', () => {
  mmTest(
    'all pages of a huge page are one page',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 1);
      writeIn(box.task, box.mm, H + 3, 5);
      expect(readIn(box.task, box.mm, H + 3)).toBe(5);
      expect(readIn(box.task, box.mm, H + 511)).toBe(0);
      writeIn(box.task, box.mm, H, 9);
      expect([readIn(box.task, box.mm, H), readIn(box.task, box.mm, H + 3)]).toEqual([9, 5]);
      expect(pageState(box, hugeFrame(box, 1))).toBe('1/1e');
    },
    OPTIONS,
  );

  mmTest(
    'a private read takes a page, which the first write may keep',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 1);
      expect(readIn(box.task, box.mm, H + 1)).toBe(0);
      const pfn = hugeFrame(box, 1);
      writeIn(box.task, box.mm, H + 1, 5);
      expect(hugeFrame(box, 1)).toBe(pfn);
      sysMprotect(box.task, vpnToAddr(H), BYTES, PROT_READ);
      expect(writeIn(box.task, box.mm, H, 5)).toBe(SEGV_ACCERR);
      sysMprotect(box.task, vpnToAddr(H), BYTES, PROT_RW);
      expect(writeIn(box.task, box.mm, H + 2, 6)).toBe(0);
      expect(hugeFrame(box, 1)).toBe(pfn);
    },
    OPTIONS,
  );

  mmTest(
    'fork shares, the writer gets a copy, the last one keeps the page',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 1);
      writeIn(box.task, box.mm, H + 7, 5);
      const pfn = hugeFrame(box, 1);
      const child = forkProcess(box);
      expect(pageState(box, pfn)).toBe('2/2');
      expect(writeIn(box.task2, child, H, 6)).toBe(0);
      expect(readIn(box.task2, child, H + 7)).toBe(5);
      expect(readIn(box.task, box.mm, H)).toBe(0);
      writeIn(box.task, box.mm, H, 7);
      expect(hugeFrame(box, 1)).toBe(pfn);
      expect(readIn(box.task2, child, H)).toBe(6);
    },
    OPTIONS,
  );

  mmTest(
    'the owner takes the page from its children when the pool is empty',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 4);
      for (let i = 1; i < 5; i++) writeIn(box.task, box.mm, i * H, i);
      const child = forkProcess(box);
      expect(writeIn(box.task2, child, H, 9)).toBe(BUS_ADRERR);
      expect(readIn(box.task2, child, H)).toBe(1);
      expect(writeIn(box.task, box.mm, H, 8)).toBe(0);
      expect(hugeFrame(box, 1, child)).toBe(0);
      expect(readIn(box.task2, child, H)).toBe(BUS_ADRERR);
      expect(readIn(box.task2, child, 2 * H)).toBe(2);
      expect(checkQuiescent(box.heap)).toEqual([]);
    },
    OPTIONS,
  );

  mmTest(
    'the owner unmaps a page that its child still has: the promise comes back when the child lets go',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 1);
      writeIn(box.task, box.mm, H, 1);
      const child = forkProcess(box);
      sysMunmap(box.task, vpnToAddr(H), BYTES);
      expect(pool(box)).toBe('3/-1');
      expect(checkQuiescent(box.heap)).toEqual([]);
      box.others.length = 0;
      mmput(box.task, child);
      expect(pool(box)).toBe('4/0');
    },
    OPTIONS,
  );

  mmTest(
    'a pinned page is copied for the child at once',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 1);
      writeIn(box.task, box.mm, H + 5, 5);
      const pages: Pfn[] = [];
      expect(pinUserPages(box.task, box.mm, H as Vpn, 1, true, pages)).toBe(1);
      const child = forkProcess(box);
      expect(hugeFrame(box, 1, child)).not.toBe(pages[0]);
      expect(readIn(box.task2, child, H + 5)).toBe(5);
      expect(migrateRange(box.task3, box.mm, H as Vpn, H, 'sync')).toBe(1);
      unpinUserPages(box.task, pages);
    },
    OPTIONS,
  );

  mmTest(
    'populate, shared and private',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 2, MAP_SHARED | MAP_POPULATE);
      mapped(box.task, 4, 1, MAP_POPULATE);
      expect(pool(box)).toBe('1/0');
      for (const at of [1, 2, 4]) expect(hugeFrame(box, at)).not.toBe(0);
    },
    OPTIONS,
  );
});

describe('mappings', () => {
  mmTest(
    'are made of whole huge pages',
    (box: Sandbox): Sim<void> => {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
      expect(sysMmap(box.task, vpnToAddr(H + 1), BYTES, PROT_RW, flags | MAP_FIXED)).toBe(-EINVAL);
      const at = sysMmap(box.task, 0, PAGE_SIZE, PROT_RW, flags);
      expect(at).toBe(vpnToAddr(4096 - H));
      expect(sysMunmap(box.task, at, PAGE_SIZE)).toBe(-EINVAL);
      expect(sysMunmap(box.task, at + PAGE_SIZE, BYTES - PAGE_SIZE)).toBe(-EINVAL);
      expect(sysMprotect(box.task, at, PAGE_SIZE, PROT_READ)).toBe(-EINVAL);
      expect(sysMprotect(box.task, at, PAGE_SIZE, PROT_RW)).toBe(0);
      const over = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
      expect(sysMmap(box.task, at, PAGE_SIZE, PROT_RW, over)).toBe(-EINVAL);
      expect(sysMunmap(box.task, at, BYTES)).toBe(0);
    },
    OPTIONS,
  );

  mmTest(
    'mremap: moves and shrinks whole huge pages, never grows, leaves nothing behind',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 2);
      writeIn(box.task, box.mm, H + 1, 5);
      const [here, there] = [vpnToAddr(H), vpnToAddr(5 * H)];
      expect(sysMremap(box.task, here, 2 * BYTES, 2 * BYTES + 1, MREMAP_MAYMOVE, 0)).toBe(-EINVAL);
      expect(sysMremap(box.task, here, BYTES, BYTES, 0, PAGE_SIZE)).toBe(-EINVAL);
      expect(sysMremap(box.task, here, PAGE_SIZE, PAGE_SIZE, 0, 0)).toBe(here);
      const keep = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
      expect(sysMremap(box.task, here, BYTES, BYTES, keep, 0)).toBe(-EINVAL);
      const fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
      expect(sysMremap(box.task, here, 2 * BYTES, PAGE_SIZE, fixed, there)).toBe(there);
      expect(readIn(box.task, box.mm, 5 * H + 1)).toBe(5);
      expect(hugeFrame(box, 1)).toBe(0);
    },
    OPTIONS,
  );

  mmTest(
    'parts never merge again',
    (box: Sandbox): Sim<void> => {
      mapped(box.task, 1, 2);
      sysMprotect(box.task, vpnToAddr(H), BYTES, PROT_READ);
      sysMprotect(box.task, vpnToAddr(H), BYTES, PROT_RW);
      expect(vmaLookup(box.task, box.mm, H as Vpn)).not.toBe(vmaLookup(box.task, box.mm, (2 * H) as Vpn));
    },
    OPTIONS,
  );

  mmTest(
    'fail at any allocation and leave nothing',
    (box: Sandbox): Sim<void> => {
      for (let n = 0; n < 8; n++) {
        mapHuge(failingTask(box.task, n), 1, 2);
        mapHuge(failingTask(box.task, n), 4, 1, MAP_SHARED);
        userWrite(failingTask(box.task, n), H as Vpn, 0, 1);
        userWrite(failingTask(box.task, n), (4 * H) as Vpn, 0, 1);
        move(failingTask(box.task, n), 1, 1, 6);
        const child = dupMm(failingTask(box.task, n), box.mm);
        if (child > 0) mmput(box.task, child as MmPtr);
        sysMunmap(failingTask(box.task, n), vpnToAddr(H), BYTES);
        rcuBarrier(box.task);
        expect(checkQuiescent(box.heap).map(({ title }) => title)).toEqual([]);
        sysMunmap(box.task, vpnToAddr(0), 8 * BYTES);
      }
    },
    OPTIONS,
  );
});

describe('migration', () => {
  for (const flags of [0, MAP_SHARED]) {
    mmTest(
      `moves a huge page, ${flags === 0 ? 'private' : 'shared'}, even with an empty pool`,
      (box: Sandbox): Sim<void> => {
        mapped(box.task, 1, 4, flags);
        for (let i = 1; i < 5; i++) writeIn(box.task, box.mm, i * H + i, i);
        const child = forkProcess(box);
        readIn(box.task2, child, H + 1);
        const before = hugeFrame(box, 1);
        expect(migrateRange(box.task3, box.mm, (H + 5) as Vpn, 1, 'sync')).toBe(0);
        const after = hugeFrame(box, 1);
        expect(after).not.toBe(before);
        expect(hugeFrame(box, 1, child)).toBe(after);
        expect([readIn(box.task, box.mm, H + 1), readIn(box.task2, child, H + 1)]).toEqual([1, 1]);
        expect(pool(box)).toBe('0/0');
      },
      OPTIONS,
    );
  }
});

describe('under every schedule', () => {
  interface Family {
    readonly parent: MmPtr;
    readonly child: MmPtr;
  }
  const family = (task: Task, flags: number): Sim<Family> => {
    const parent = mmAlloc(task);
    task.mm = parent;
    mapped(task, 1, 1, flags);
    userWrite(task, (H + 1) as Vpn, 0, 7);
    const child = dupMm(task, parent);
    assert(child > 0, 'fork failed');
    return { parent, child: child as MmPtr };
  };
  const world = {
    ...mmKernel(LINUX_7_0, { frames: 16, pageTables: 16, mms: 4, vmas: 8, hugePages: 2 }),
    executions: 40,
    check: (kernel: Kernel): Sim<void> => {
      rcuBarrier(kernel.task);
      expect(checkQuiescent(kernel.heap).map(({ title }) => title)).toEqual([]);
    },
  };
  const own = { ...world, setup: (kernel: Kernel): Sim<Family> => family(kernel.task, 0) };
  const shared = { ...world, setup: (kernel: Kernel): Sim<Family> => family(kernel.task, MAP_SHARED) };
  const reader = (task: Task, { child }: Family): Sim<void> => {
    task.mm = child;
    const error = userRead(task, (H + 1) as Vpn, 0);
    assert(error === BUS_ADRERR || task.loaded === 7, 'a huge page has lost its contents');
  };
  const writer = (task: Task, { parent }: Family): Sim<void> => {
    task.mm = parent;
    const error = userWrite(task, (H + 2) as Vpn, 0, 8);
    assert(error === 0, 'the owner cannot write');
  };
  const migrator = (task: Task, { parent }: Family): Sim<void> => {
    task.mm = NO_MM;
    migrateRange(task, parent, H as Vpn, H, 'sync');
  };
  const mover = (task: Task, { parent }: Family): Sim<void> => {
    task.mm = parent;
    assert(move(task, 1, 1, 3) > 0, 'mremap failed');
    assert(move(task, 3, 1, 1) > 0, 'mremap failed');
  };
  const leaver = (task: Task, { child }: Family): Sim<void> => {
    task.mm = NO_MM;
    mmput(task, child);
  };
  simConcurrent('owner, child and migration', { ...own, threads: [writer, reader, migrator] });
  simConcurrent('mremap and migration', { ...own, threads: [mover, migrator, reader] });
  simConcurrent('a child that exits and migration', { ...own, threads: [writer, leaver, migrator] });
  simConcurrent('shared: mremap, migration, a child that exits', { ...shared, threads: [mover, migrator, leaver] });
});
