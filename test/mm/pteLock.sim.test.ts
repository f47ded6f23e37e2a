/** Locking a table that may have gone elsewhere while one waited for its lock. */
import { expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_TABLE, type PageTablePtr, type PtePtr, type Vpn } from '../../src/layout/ids.ts';
import { LEVEL_PMD, LEVEL_PTE, entryAt, tableLock, writeOnceTableEntry } from '../../src/layout/pageTable.ts';
import { taskRcuNesting } from '../../src/layout/task.ts';
import { spinLock, spinUnlock } from '../../src/locks/spinLock.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { pteOffsetMap, pteOffsetMapLock, pteUnmap, pteUnmapUnlock } from '../../src/mm/pteLock.ts';
import { userWrite } from '../../src/mm/userAccess.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { mapPages, mmTest, openSandbox, type Sandbox } from './sandbox.ts';

const PAGE = 10 as Vpn;

mmTest('without a table nothing stays held; with one, RCU and the lock', (box: Sandbox): Sim<void> => {
  const { heap, task } = box;
  expect(pteOffsetMap(task, box.mm, PAGE)).toBe(NO_TABLE);
  expect(pteOffsetMapLock(task, box.mm, PAGE)).toBe(NO_TABLE);
  expect([task.preemptCount, taskRcuNesting(heap, task.ptr)]).toEqual([0, 0]);
  mapPages(box, PAGE, 1);
  userWrite(task, PAGE, 0, 1);
  const table = pteOffsetMapLock(task, box.mm, PAGE);
  expect(table).toBe(findTable(task, box.mm, PAGE, LEVEL_PTE));
  expect([task.preemptCount, taskRcuNesting(heap, task.ptr)]).toEqual([1, 1]);
  pteUnmapUnlock(task, table);
  expect(pteOffsetMap(task, box.mm, PAGE)).toBe(table);
  expect([task.preemptCount, taskRcuNesting(heap, task.ptr)]).toEqual([0, 1]);
  pteUnmap(task);
});

interface Shared {
  readonly box: Sandbox;
  readonly entry: PtePtr;
  readonly pmd: PageTablePtr;
  readonly table: PageTablePtr;
}

simConcurrent('a table that is taken away while somebody waits for its lock is not used', {
  ...mmKernel(LINUX_7_0, {}),
  setup: (kernel: Kernel): Sim<Shared> => {
    const box = openSandbox(kernel);
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 1);
    const pmd = findTable(box.task, box.mm, PAGE, LEVEL_PMD);
    const entry = entryAt(pmd, PAGE, LEVEL_PMD);
    return { box, entry, pmd, table: findTable(box.task, box.mm, PAGE, LEVEL_PTE) };
  },
  threads: [
    (task: Task, { entry, pmd, table }: Shared): Sim<void> => {
      spinLock(task, tableLock(pmd));
      spinLock(task, tableLock(table));
      writeOnceTableEntry(task.heap, entry, NO_TABLE);
      spinUnlock(task, tableLock(table));
      spinUnlock(task, tableLock(pmd));
      spinLock(task, tableLock(pmd));
      spinLock(task, tableLock(table));
      writeOnceTableEntry(task.heap, entry, table);
      spinUnlock(task, tableLock(table));
      spinUnlock(task, tableLock(pmd));
    },
    (task: Task, { box, table }: Shared): Sim<void> => {
      const locked = pteOffsetMapLock(task, box.mm, PAGE);
      if (locked === NO_TABLE) return;
      expect(findTable(task, box.mm, PAGE, LEVEL_PTE)).toBe(table);
      pteUnmapUnlock(task, locked);
    },
  ],
});
