/** A barrier that is missing shows under store buffers only, and then as what it does: here a wake-up that gets lost. */
import { describe, expect, it } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc } from '../../src/cpu/alloc.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explore, replay, type Exploration, type Memory } from '../../src/explore/explore.ts';
import type { MmPtr, VmaPtr } from '../../src/layout/ids.ts';
import { setVmaMm } from '../../src/layout/vma.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rcuReadLock, rcuReadUnlock } from '../../src/locks/rcu.ts';
import { vmaEndRead, vmaLockInit, vmaMarkAttached, vmaStartRead, vmaStartWrite } from '../../src/locks/vmaLock.ts';
import { bootMachine } from '../../src/mm/boot.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { Kernel } from '../support/kernel.ts';
import { programOf, type Concurrent } from '../support/simConcurrent.ts';
import { explored } from '../support/simTest.ts';

interface Place {
  readonly mm: MmPtr;
  readonly vma: VmaPtr;
}

function setup(kernel: Kernel): Sim<Place> {
  const { task, heap } = kernel;
  const mm = mmAlloc(task);
  const vma = kmemCacheAlloc(task, CACHES.vma) as VmaPtr;
  setVmaMm(heap, vma, mm);
  vmaLockInit(heap, vma);
  mmapWriteLock(task, mm);
  vmaMarkAttached(task, vma);
  mmapWriteUnlock(task, mm);
  return { mm, vma };
}

const writer = (task: Task, { mm, vma }: Place): Sim<void> => {
  mmapWriteLock(task, mm);
  vmaStartWrite(task, mm, vma);
  mmapWriteUnlock(task, mm);
};

const reader = (task: Task, { mm, vma }: Place): Sim<void> => {
  rcuReadLock(task);
  const locked = vmaStartRead(task, mm, vma);
  rcuReadUnlock(task);
  if (locked) vmaEndRead(task, vma);
};

const RULES: Rules = { ...LINUX_7_0, rcuwait: { barrier: 'none' } };
const EXECUTIONS = 4000;

function concurrent(rules: Rules): Concurrent<Place> {
  return { boot: bootMachine, rules, setup, threads: [writer, reader] };
}

function search(rules: Rules, memory: Memory): Exploration {
  return explore({ ...programOf(concurrent(rules)), executions: EXECUTIONS, seed: 1, memory });
}

describe.runIf(explored)('a writer waits for the readers of a VMA without the barrier of set_current_state()', () => {
  it('no schedule shows it while memory is sequentially consistent', () => {
    expect(search(RULES, 'sc').firstFailure).toBeNull();
  });

  it('with store buffers its wake-up is lost', () => {
    const { firstFailure } = search(RULES, 'tso');
    expect(firstFailure!.verdict).toBe('deadlock');
    expect(firstFailure!.violations[0].signature).toMatch(/ vm_lock$/);
    const again = replay(programOf(concurrent(RULES)), firstFailure!.schedule, { memory: 'tso' });
    expect(again).toMatchObject({ verdict: 'deadlock', divergedAt: null });
  });

  it('and with the barrier it is not', () => {
    expect(search(LINUX_7_0, 'tso').firstFailure).toBeNull();
  });
});
