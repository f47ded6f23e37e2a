/** Shared memory while everybody is at work on it: faults that create a page, migration, mremap, the end of the object. */
import { describe, expect } from 'vitest';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/mm/syscallFlags.ts';
import { sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { mapShared } from './sandbox.ts';

const PAGE = 40;
const SIZE = { frames: 24, pageTables: 24, mms: 4, vmas: 24, anonVmas: 8, anonVmaChains: 16 } as const;

/** A parent and a child that share three pages, the first two written. */
function family(kernel: Kernel): Sim<{ parent: MmPtr; child: MmPtr }> {
  const { task } = kernel;
  const parent = mmAlloc(task);
  task.mm = parent;
  mapShared(task, PAGE, 3);
  for (let i = 0; i < 2; i++) userWrite(task, (PAGE + i) as Vpn, 0, 10 + i);
  const child = dupMm(task, parent);
  assert(child > 0, 'fork failed');
  return { parent, child: child as MmPtr };
}

function expectValue(task: Task, mm: MmPtr, page: number, value: number): Sim<void> {
  task.mm = mm;
  const error = userRead(task, (PAGE + page) as Vpn, 0);
  assert(error === 0 && task.loaded === value, 'shared memory has lost its contents');
}

describe('under every schedule', () => {
  const world = {
    ...mmKernel(LINUX_7_0, SIZE),
    setup: family,
    executions: 60,
    check: (kernel: Kernel): Sim<void> => {
      rcuBarrier(kernel.task);
      expect(checkQuiescent(kernel.heap).map(({ title }) => title)).toEqual([]);
    },
  };
  const migrator = (task: Task, { parent }: { parent: MmPtr }): Sim<void> => {
    task.mm = NO_MM;
    migrateRange(task, parent, PAGE as Vpn, 3, 'sync');
  };
  const compactor = (task: Task): Sim<void> => {
    task.mm = NO_MM;
    compactScan(task, 1 as Pfn, 23);
  };
  const reader = (task: Task, { child }: { child: MmPtr }): Sim<void> => {
    for (let i = 0; i < 2; i++) expectValue(task, child, i, 10 + i);
  };
  const creator = (task: Task, { parent }: { parent: MmPtr }): Sim<void> => {
    task.mm = parent;
    const error = userWrite(task, (PAGE + 2) as Vpn, 1, 99);
    assert(error === 0, 'user write failed');
  };
  const otherCreator = (task: Task, { child }: { child: MmPtr }): Sim<void> => {
    task.mm = child;
    const error = userWrite(task, (PAGE + 2) as Vpn, 0, 98);
    assert(error === 0, 'user write failed');
    expectValue(task, child, 2, 98);
  };
  const mover = (task: Task, { parent }: { parent: MmPtr }): Sim<void> => {
    task.mm = parent;
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    const [here, there] = [vpnToAddr(PAGE), vpnToAddr(PAGE + 30)];
    const moved = sysMremap(task, here, 2 * PAGE_SIZE, 2 * PAGE_SIZE, flags, there);
    assert(moved === there, 'mremap failed');
    const back = sysMremap(task, there, 2 * PAGE_SIZE, 2 * PAGE_SIZE, flags, here);
    assert(back === here, 'mremap failed');
  };
  const lastUser = (task: Task, { parent }: { parent: MmPtr }): Sim<void> => {
    task.mm = parent;
    sysMunmap(task, vpnToAddr(PAGE), 3 * PAGE_SIZE);
  };
  const child = (task: Task, { child: mm }: { child: MmPtr }): Sim<void> => {
    task.mm = NO_MM;
    mmput(task, mm);
  };
  simConcurrent('two create the same page', { ...world, threads: [creator, otherCreator, reader] });
  simConcurrent('migration and readers', { ...world, threads: [migrator, reader, creator] });
  simConcurrent('migration and compaction', { ...world, threads: [migrator, compactor, reader] });
  simConcurrent('migration and mremap', { ...world, threads: [migrator, mover, reader] });
  simConcurrent('migration and the end of the object', { ...world, threads: [migrator, lastUser, child] });
  simConcurrent('compaction and the end of the object', { ...world, threads: [compactor, lastUser, child] });
});
