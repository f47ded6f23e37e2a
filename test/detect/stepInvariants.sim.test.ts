/** Invariants judged at each step: a wrong state that lasts for one step only is seen. */
import { describe, expect, it } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../../src/cpu/alloc.ts';
import type { Task } from '../../src/cpu/task.ts';
import { StepInvariants } from '../../src/detect/stepInvariants.ts';
import { explore } from '../../src/explore/explore.ts';
import { atomicAddAnonVmaRefcount } from '../../src/layout/anonVma.ts';
import type { AnonVmaPtr, MmPtr, PageTablePtr, Vpn } from '../../src/layout/ids.ts';
import { atomicAddPageMapcount, atomicAddPageRefcount, pageAt, pfnAt, setPageRefcount } from '../../src/layout/page.ts';
import { LEVEL_PTE, entryAt, initTable, writeOncePte } from '../../src/layout/pageTable.ts';
import { PTE_NONE, makePte } from '../../src/layout/pte.ts';
import type { Kernel } from '../support/kernel.ts';
import { programOf } from '../support/simConcurrent.ts';
import { explored } from '../support/simTest.ts';

interface Objects {
  readonly page: number;
  readonly table: PageTablePtr;
  readonly anonVma: AnonVmaPtr;
}

type Body = (task: Task, objects: Objects) => Sim<void>;

function setup(kernel: Kernel): Sim<Objects> {
  const { task, heap } = kernel;
  const page = kmemCacheAlloc(task, CACHES.frame);
  setPageRefcount(heap, pfnAt(heap, page), 1);
  const table = kmemCacheAlloc(task, CACHES.pageTable) as PageTablePtr;
  initTable(heap, table, LEVEL_PTE, 0 as MmPtr, 0 as Vpn);
  return { page, table, anonVma: kmemCacheAlloc(task, CACHES.anonVma) as AnonVmaPtr };
}

function found(body: Body): string {
  const program = programOf<Objects>({ setup, threads: [body] });
  const { firstFailure } = explore({ ...program, observers: [new StepInvariants()], executions: 2, seed: 1 });
  return firstFailure === null ? 'nothing' : firstFailure.violations[0].signature;
}

const map: Body = (task: Task, { page }: Objects): Sim<void> => {
  const pfn = pfnAt(task.heap, page);
  atomicAddPageRefcount(task.heap, pfn, 1);
  atomicAddPageMapcount(task.heap, pfn, 1);
  atomicAddPageMapcount(task.heap, pfn, -1);
  atomicAddPageRefcount(task.heap, pfn, -1);
};

const dropTooEarly: Body = (task: Task, { page }: Objects): Sim<void> => {
  const pfn = pfnAt(task.heap, page);
  atomicAddPageMapcount(task.heap, pfn, 1);
  atomicAddPageRefcount(task.heap, pfn, -1);
  atomicAddPageMapcount(task.heap, pfn, -1);
};

const setEntry: Body = (task: Task, { page, table }: Objects): Sim<void> => {
  const entry = entryAt(table, 3 as Vpn, LEVEL_PTE);
  writeOncePte(task.heap, entry, makePte(pfnAt(task.heap, page), 0));
  writeOncePte(task.heap, entry, PTE_NONE);
};

const setEntryLate: Body = (task: Task, { page, table }: Objects): Sim<void> => {
  kmemCacheFree(task, CACHES.frame, pageAt(task.heap, pfnAt(task.heap, page)));
  setEntry(task, { page, table, anonVma: 0 as AnonVmaPtr });
};

const putTwice: Body = (task: Task, { anonVma }: Objects): Sim<void> => {
  atomicAddAnonVmaRefcount(task.heap, anonVma, -1);
  atomicAddAnonVmaRefcount(task.heap, anonVma, 1);
};

describe.runIf(explored)('between any two steps', () => {
  it('a page has at least as many references as mappings', () => {
    expect(found(map)).toBe('nothing');
    expect(found(dropTooEarly)).toBe('refcount below mapcount');
  });

  it('an entry leads to an allocated frame', () => {
    expect(found(setEntry)).toBe('nothing');
    expect(found(setEntryLate)).toBe('entry for a free frame');
  });

  it('reference counts are not negative', () => {
    expect(found(putTwice)).toBe('reference underflow');
  });
});
