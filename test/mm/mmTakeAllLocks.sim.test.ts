/** Taking every lock of an address space: which, how often, in which order; giving them back; a signal in between. */
import { describe, expect } from 'vitest';
import { EINTR } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { anonVmaRwSem, anonVmaSpinLock, avcAnonVma, avcSameVmaNext } from '../../src/layout/anonVma.ts';
import { mmAllLocksMutex } from '../../src/layout/globals.ts';
import { NO_AVC, type AnonVmaPtr, type Vpn } from '../../src/layout/ids.ts';
import { vmaAnonVma, vmaAvcFirst } from '../../src/layout/vma.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rwSemIsLocked } from '../../src/locks/rwSem.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { vmaAssertWriteLocked } from '../../src/locks/vmaLock.ts';
import { mmDropAllLocks, mmTakeAllLocks } from '../../src/mm/mmTakeAllLocks.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { AcquireLog } from './acquireLog.ts';
import { mmTest, type Sandbox } from './sandbox.ts';
import { BASE, runScript } from './vmaScript.ts';

const page = (n: number): Vpn => (BASE + n) as Vpn;

/** Three VMAs, two of them with an anon_vma in common, one never written. */
const SCRIPT = 'map 0 6 rw nr\n write 0 ab\n protect 2 2 r\n map 10 2 rw\n map 20 2 rw\n write 20 z';

function anonVmaOf(box: Sandbox, n: number): Sim<AnonVmaPtr> {
  return vmaAnonVma(box.heap, vmaLookup(box.task, box.mm, page(n)));
}

describe('all locks', () => {
  mmTest('are held until they are dropped: VMAs, and each root once', (box: Sandbox): Sim<void> => {
    runScript(box, SCRIPT);
    const log = new AcquireLog();
    const task = { ...box.task, lockdep: log };
    const roots = [anonVmaRwSem(anonVmaOf(box, 0)), anonVmaRwSem(anonVmaOf(box, 20))];
    mmapWriteLock(task, box.mm);
    expect(mmTakeAllLocks(task, box.mm)).toBe(0);
    for (const n of [0, 2, 4, 10, 20]) vmaAssertWriteLocked(task, vmaLookup(task, box.mm, page(n)));
    for (const root of roots) expect(rwSemIsLocked(box.heap, root)).toBe(true);
    const taken = log.acquired.map(({ lock }) => lock);
    expect(taken.filter((lock) => roots.includes(lock as (typeof roots)[0]))).toEqual(roots);
    expect(taken.indexOf(mmAllLocksMutex(box.heap))).toBeLessThan(taken.indexOf(roots[0]));
    mmDropAllLocks(task, box.mm);
    for (const root of roots) expect(rwSemIsLocked(box.heap, root)).toBe(false);
    mmapWriteUnlock(task, box.mm);
  });

  mmTest('are dropped when a fatal signal comes', (box: Sandbox): Sim<void> => {
    runScript(box, SCRIPT);
    mmapWriteLock(box.task, box.mm);
    killTask(box.task2, box.task.id);
    expect(mmTakeAllLocks(box.task, box.mm)).toBe(-EINTR);
    mmapWriteUnlock(box.task, box.mm);
  });
});

describe('a lock in each anon_vma', () => {
  const rules = (order: Rules['mmTakeAllLocks']['order']): Rules => ({
    ...LINUX_7_0,
    anonVma: { lock: 'perAnonVmaSpinlock', cloneOrder: 'same', reuseTest: 'never', unlinkOrder: 'newestFirst' },
    rmapWalk: { lockScheme: 'rootFirstOldToNew' },
    mmTakeAllLocks: { order },
  });
  /** Locks of a chain of three, newest first, and in the order in which they were taken. */
  const takeInGrandchild = (box: Sandbox): Sim<{ chain: number[]; taken: number[] }> => {
    runScript(box, 'map 0 2 rw\n write 0 a\n fork\n write 0 b\n fork\n write 0 c');
    const chain: number[] = [];
    const vma = vmaLookup(box.task, box.mm, page(0));
    for (let avc = vmaAvcFirst(box.heap, vma); avc !== NO_AVC; avc = avcSameVmaNext(box.heap, avc)) {
      chain.push(anonVmaSpinLock(avcAnonVma(box.heap, avc)));
    }
    const log = new AcquireLog();
    const task = { ...box.task, lockdep: log };
    mmapWriteLock(task, box.mm);
    expect(mmTakeAllLocks(task, box.mm)).toBe(0);
    const taken = log.acquired.map(({ lock }) => lock).filter((lock) => chain.includes(lock));
    mmDropAllLocks(task, box.mm);
    mmapWriteUnlock(task, box.mm);
    return { chain, taken };
  };

  mmTest(
    'newest first',
    (box: Sandbox): Sim<void> => {
      const { chain, taken } = takeInGrandchild(box);
      expect(chain.length).toBe(3);
      expect(taken).toEqual(chain);
    },
    { rules: rules('newToOld') },
  );
  mmTest(
    'oldest first',
    (box: Sandbox): Sim<void> => {
      const { chain, taken } = takeInGrandchild(box);
      expect(taken).toEqual([...chain].reverse());
    },
    { rules: rules('oldToNew') },
  );
});
