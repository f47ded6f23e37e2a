/** First writes: whose anon_vma a VMA gets, and that two faults agree on one. */
import { describe, expect } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { assert } from '../../src/base/assert.ts';
import { ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { anonVmaNumActiveVmas } from '../../src/layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type AnonVmaPtr, type MmPtr, type Vpn } from '../../src/layout/ids.ts';
import { vmaAnonVma, vmaAvcFirst, vmaAvcLast } from '../../src/layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../../src/locks/mmapLock.ts';
import { anonVmaPrepare } from '../../src/mm/anonVmaPrepare.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_EXEC } from '../../src/mm/syscallFlags.ts';
import { sysMmap } from '../../src/mm/syscalls.ts';
import { userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { PROT_RW, failingTask, mapPages, mmTest, type Sandbox } from './sandbox.ts';

const PAGE = 10;
/** Another protection, so that the mapping behind PAGE is another VMA. */
const OTHER = PROT_RW | PROT_EXEC;

function write(box: Sandbox, vpn: number): Sim<void> {
  expect(userWrite(box.task, vpn as Vpn, 0, vpn)).toBe(0);
}

function anonVmaAt(box: Sandbox, vpn: number): Sim<AnonVmaPtr> {
  return vmaAnonVma(box.heap, vmaLookup(box.task, box.mm, vpn as Vpn));
}

describe('a VMA gets', () => {
  mmTest('the anon_vma of its neighbour above or below', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    mapPages(box, PAGE + 2, 2, OTHER);
    mapPages(box, PAGE + 4, 2);
    write(box, PAGE + 2);
    write(box, PAGE);
    write(box, PAGE + 4);
    const shared = anonVmaAt(box, PAGE + 2);
    expect([anonVmaAt(box, PAGE), anonVmaAt(box, PAGE + 4)]).toEqual([shared, shared]);
    expect(anonVmaNumActiveVmas(box.heap, shared)).toBe(3);
  });

  mmTest('its own when there is a gap', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    mapPages(box, PAGE + 3, 2);
    write(box, PAGE);
    write(box, PAGE + 3);
    expect(anonVmaAt(box, PAGE)).not.toBe(anonVmaAt(box, PAGE + 3));
  });

  mmTest('its own when the neighbour went through a fork', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    mapPages(box, PAGE + 2, 2, OTHER);
    write(box, PAGE);
    const child = dupMm(box.task, box.mm) as MmPtr;
    box.others.push(child);
    const task = { ...box.task3, mm: child };
    expect(userWrite(task, (PAGE + 2) as Vpn, 0, 1)).toBe(0);
    const [low, high] = [vmaLookup(task, child, PAGE as Vpn), vmaLookup(task, child, (PAGE + 2) as Vpn)];
    expect(vmaAnonVma(box.heap, low)).not.toBe(vmaAnonVma(box.heap, high));
    // The parent's was never copied, so it may be shared.
    write(box, PAGE + 2);
    expect(anonVmaAt(box, PAGE + 2)).toBe(anonVmaAt(box, PAGE));
  });

  mmTest('nothing without memory, and leaves nothing', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    mmapReadLock(box.task, box.mm);
    for (const site of [0, 1]) {
      expect(anonVmaPrepare(failingTask(box.task, site), vma)).toBe(-ENOMEM);
      expect([vmaAnonVma(box.heap, vma), vmaAvcFirst(box.heap, vma)]).toEqual([NO_ANON_VMA, NO_AVC]);
      expect(slabAllocatedCount(box.heap, CACHES.anonVma)).toBe(0);
      expect(slabAllocatedCount(box.heap, CACHES.anonVmaChain)).toBe(0);
    }
    expect(anonVmaPrepare(box.task, vma)).toBe(0);
    mmapReadUnlock(box.task, box.mm);
  });
});

describe('two first writes', () => {
  /** Two VMAs side by side, the second with another protection. */
  function setup(kernel: Kernel): Sim<MmPtr> {
    const { task } = kernel;
    const mm = mmAlloc(task);
    task.mm = mm;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const low = sysMmap(task, vpnToAddr(PAGE), 2 * PAGE_SIZE, PROT_RW, flags);
    const high = sysMmap(task, vpnToAddr(PAGE + 2), 2 * PAGE_SIZE, OTHER, flags);
    assert(low > 0 && high > 0, 'mmap failed');
    return mm;
  }

  function writer(vpn: number): (task: Task, mm: MmPtr) => Sim<void> {
    return (task: Task, mm: MmPtr): Sim<void> => {
      task.mm = mm;
      const error = userWrite(task, vpn as Vpn, 0, 1);
      assert(error === 0, 'user write failed');
    };
  }

  function oneEdgeEach({ heap, task }: Kernel, mm: MmPtr): Sim<void> {
    for (const vpn of [PAGE, PAGE + 2]) {
      const vma = vmaLookup(task, mm, vpn as Vpn);
      expect(vmaAvcFirst(heap, vma)).toBe(vmaAvcLast(heap, vma));
    }
    expect(checkQuiescent(heap)).toEqual([]);
    const anonVmas = slabAllocatedCount(heap, CACHES.anonVma);
    expect(anonVmas === 1 || anonVmas === 2).toBe(true);
  }

  const options = { ...mmKernel(LINUX_7_0, {}), setup, check: oneEdgeEach, executions: 100 };

  simConcurrent('to one VMA agree on one anon_vma', { ...options, threads: [writer(PAGE), writer(PAGE + 1)] });
  simConcurrent('to neighbours leave each with one', { ...options, threads: [writer(PAGE), writer(PAGE + 2)] });
  simConcurrent('and a third leave one edge to each VMA', {
    ...options,
    threads: [writer(PAGE), writer(PAGE + 1), writer(PAGE + 3)],
  });
});
