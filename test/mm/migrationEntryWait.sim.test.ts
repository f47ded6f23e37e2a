/** Faults at migration entries: they wait, wake up and find the page. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { migrationEntryWait } from '../../src/mm/migrationEntryWait.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { simPreempted } from './preempted.ts';
import {
  beginMigration,
  endMigration,
  expectQuiet,
  mapPages,
  mmTest,
  openSandbox,
  pageState,
  pfnAtVpn,
  readIn,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10 as Vpn;

describe('migrationEntryWait', () => {
  mmTest('returns at once without a table, an entry, or a migration', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    migrationEntryWait(box.task, box.mm, PAGE);
    userWrite(box.task, PAGE, 0, 1);
    migrationEntryWait(box.task, box.mm, PAGE);
    migrationEntryWait(box.task, box.mm, (PAGE + 1) as Vpn);
    expect(readIn(box.task, box.mm, PAGE)).toBe(1);
  });

  mmTest('a migration that gave up leaves the page as it was', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    userWrite(box.task, PAGE, 0, 1);
    const pfn = pfnAtVpn(box, PAGE);
    beginMigration(box, pfn);
    expect(pageState(box, pfn)).toBe('0/1');
    endMigration(box, pfn);
    expect(pageState(box, pfn)).toBe('1/1e');
    expect(userWrite(box.task, PAGE, 0, 2)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
  });
});

interface Shared {
  readonly box: Sandbox;
}

/** The CPU's first access, its migration, and the access of another CPU. */
for (const perVmaLock of [true, false]) {
  const name = `accesses wait for a migration, ${perVmaLock ? 'with the VMA' : 'with mmapLock'} locked`;
  const program: Concurrent<Shared> = {
    ...mmKernel({ ...LINUX_7_0, fault: { perVmaLock } }, {}),
    executions: 100,
    setup: (kernel: Kernel): Sim<Shared> => {
      const box = openSandbox(kernel);
      mapPages(box, PAGE, 2);
      for (const vpn of [PAGE, PAGE + 1]) userWrite(box.task, vpn as Vpn, 0, vpn);
      return { box };
    },
    threads: [
      (task: Task, { box }: Shared): Sim<void> => {
        migrateRange(task, box.mm, PAGE, 2, 'sync');
      },
      (task: Task, { box }: Shared): Sim<void> => {
        task.mm = box.mm;
        expect(userWrite(task, PAGE, 1, 21)).toBe(0);
        expect(userWrite(task, (PAGE + 1) as Vpn, 1, 22)).toBe(0);
      },
      (task: Task, { box }: Shared): Sim<void> => {
        task.mm = box.mm;
        expect(userWrite(task, PAGE, 2, 31)).toBe(0);
        expect(userRead(task, PAGE, 0)).toBe(0);
        expect(task.loaded).toBe(PAGE);
      },
    ],
    check: ({ task }: Kernel, { box }: Shared): Sim<void> => {
      task.mm = box.mm;
      for (const [vpn, word, value] of [
        [PAGE, 0, PAGE],
        [PAGE, 1, 21],
        [PAGE, 2, 31],
        [PAGE + 1, 0, PAGE + 1],
        [PAGE + 1, 1, 22],
      ] as const) {
        expect(userRead(task, vpn as Vpn, word)).toBe(0);
        expect(task.loaded).toBe(value);
      }
      expectQuiet(box);
    },
  };
  simConcurrent(name, program);
  simPreempted(name, program);
}
