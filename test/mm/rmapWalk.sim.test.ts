/** Walks: whom they visit and in which order, how few they visit, what they lock under the rules of 2010. */
import { describe, expect } from 'vitest';
import { AcquireLog } from './acquireLog.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { anonVmaSpinLock, readOnceAnonVmaRoot } from '../../src/layout/anonVma.ts';
import type { AnonVmaPtr, MmPtr, Pfn, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { VM_STACK_INCOMPLETE_SETUP, setVmaFlags, vmaAnonVma, vmaFlags, vmaMm } from '../../src/layout/vma.ts';
import { folioLock, folioTryLock, folioUnlock } from '../../src/locks/folioLock.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite } from '../../src/mm/anonVmaLock.ts';
import { folioGetAnonVma, folioLockAnonVmaRead, folioMapped } from '../../src/mm/folioAnonVma.ts';
import { putAnonVma } from '../../src/mm/anonVma.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { folioReferenced, reclaimScan } from '../../src/mm/reclaim.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { neverDone, noInvalidVma, rmapWalk, type RmapWalkControl } from '../../src/mm/rmapWalk.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { Family, exit, fork, vmaOf } from './family.ts';
import { mapPages, mmTest, pfnAtVpn, type Sandbox } from './sandbox.ts';

const PAGE = 10;
const SIZE = { mms: 12, anonVmas: 64, anonVmaChains: 256, pageTables: 60 } as const;

function spinRules(lockScheme: Rules['rmapWalk']['lockScheme']): Rules {
  const anonVma = { ...LINUX_7_0.anonVma, lock: 'perAnonVmaSpinlock', cloneOrder: 'same', reuseTest: 'never' } as const;
  return { ...LINUX_7_0, anonVma, rmapWalk: { lockScheme } };
}

/** Parent with a written page and two children. */
function threeProcesses(box: Sandbox): Sim<Family> {
  const family = new Family(box);
  mapPages(box, PAGE, 2);
  expect(userWrite(box.task, PAGE as Vpn, 0, 1)).toBe(0);
  fork(family, 1);
  fork(family, 1);
  return family;
}

/** The mms that a walk from `pfn` visits, in order. */
function visited(box: Sandbox, pfn: Pfn): Sim<MmPtr[]> {
  const mms: MmPtr[] = [];
  folioLock(box.task, pfn);
  rmapWalk(box.task, pfn, {
    rmapOne: (task: Task, _pfn: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> => {
      expect(vpn).toBe(PAGE);
      mms.push(vmaMm(task.heap, vma));
      return true;
    },
    done: neverDone,
    invalidVma: noInvalidVma,
    anonLock: folioLockAnonVmaRead,
    tryLock: false,
    contended: false,
  });
  folioUnlock(box.task, pfn);
  return mms;
}

/** A page that process `process` has to itself: it writes to what it inherited. */
function ownPage(box: Sandbox, family: Family, process: number): Sim<Pfn> {
  const task = { ...box.task3, mm: family.mm(process) };
  expect(userWrite(task, PAGE as Vpn, 0, process)).toBe(0);
  return pfnAtVpn(box, PAGE, family.mm(process));
}

describe('a walk', () => {
  mmTest(
    'visits the parent, then its children in the order of their birth',
    (box: Sandbox): Sim<void> => {
      const family = threeProcesses(box);
      const expected = [family.mm(1), family.mm(2), family.mm(3)];
      expect(visited(box, pfnAtVpn(box, PAGE))).toEqual(expected);
    },
    { size: SIZE },
  );

  mmTest(
    'for a page of a child visits the child alone',
    (box: Sandbox): Sim<void> => {
      const family = threeProcesses(box);
      expect(visited(box, ownPage(box, family, 3))).toEqual([family.mm(3)]);
      exit(family, 2);
      expect(visited(box, pfnAtVpn(box, PAGE))).toEqual([family.mm(1), family.mm(3)]);
    },
    { size: SIZE },
  );

  mmTest(
    'from the root visits all relatives, as the patch of 2010 would for every page',
    (box: Sandbox): Sim<void> => {
      const family = threeProcesses(box);
      expect(visited(box, ownPage(box, family, 3))).toEqual([family.mm(1), family.mm(2), family.mm(3)]);
    },
    { size: SIZE, rules: spinRules('rootFirstOldToNew') },
  );

  mmTest('of an unmapped page visits nobody', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    expect(userWrite(box.task, PAGE as Vpn, 0, 1)).toBe(0);
    const pfn = pfnAtVpn(box, PAGE);
    const before = visited(box, pfn);
    expect(before).toEqual([box.mm]);
    expect(folioMapped(box.task, pfn)).toBe(true);
    expect(sysMunmap(box.task, vpnToAddr(PAGE), PAGE_SIZE)).toBe(0);
    expect(visited(box, pfn)).toEqual([]);
    expect(folioGetAnonVma(box.task, pfn)).toBe(0);
  });
});

describe('the anon_vma of a page', () => {
  mmTest('is pinned by a reference, and its root with it', (box: Sandbox): Sim<void> => {
    const family = threeProcesses(box);
    const pfn = ownPage(box, family, 2);
    const own = vmaAnonVma(box.heap, vmaOf(family, 2, PAGE));
    const anonVma = folioGetAnonVma(box.task, pfn);
    expect(anonVma).toBe(own);
    exit(family, 2);
    anonVmaLockWrite(box.task, anonVma);
    anonVmaUnlockWrite(box.task, anonVma);
    expect(readOnceAnonVmaRoot(box.heap, anonVma)).toBe(vmaAnonVma(box.heap, vmaOf(family, 1, PAGE)));
    putAnonVma(box.task, anonVma);
  });

  mmTest('is not waited for by reclaim', (box: Sandbox): Sim<void> => {
    const family = threeProcesses(box);
    const pfn = pfnAtVpn(box, PAGE);
    const anonVma = vmaAnonVma(box.heap, vmaOf(family, 1, PAGE));
    anonVmaLockWrite(box.task2, anonVma);
    expect(folioTryLock(box.task, pfn)).toBe(true);
    expect(folioReferenced(box.task, pfn)).toBe(-1);
    anonVmaUnlockWrite(box.task2, anonVma);
    expect(folioReferenced(box.task, pfn)).toBe(1);
    folioUnlock(box.task, pfn);
  });
});

describe('reclaim', () => {
  mmTest('counts who used a page since the last look', (box: Sandbox): Sim<void> => {
    const family = threeProcesses(box);
    const pfn = pfnAtVpn(box, PAGE);
    expect(userRead({ ...box.task3, mm: family.mm(2) }, PAGE as Vpn, 0)).toBe(0);
    expect(reclaimScan(box.task4, pfn, 1)).toBe(0);
    expect(reclaimScan(box.task4, pfn, 1)).toBe(1);
    expect(userRead({ ...box.task2, mm: family.mm(3) }, PAGE as Vpn, 0)).toBe(0);
    expect(reclaimScan(box.task4, 1 as Pfn, 64)).toBe(0);
  });
});

describe('compaction', () => {
  mmTest('moves whatever can be moved, without knowing whose it is', (box: Sandbox): Sim<void> => {
    const family = threeProcesses(box);
    const shared = pfnAtVpn(box, PAGE);
    const own = ownPage(box, family, 2);
    box.task4.mm = 0 as MmPtr;
    expect(compactScan(box.task4, 1 as Pfn, 20)).toBe(2);
    expect(pfnAtVpn(box, PAGE)).not.toBe(shared);
    expect(pfnAtVpn(box, PAGE, family.mm(3))).toBe(pfnAtVpn(box, PAGE));
    expect(pfnAtVpn(box, PAGE, family.mm(2))).not.toBe(own);
    const child = { ...box.task3, mm: family.mm(2) };
    expect(userRead(child, PAGE as Vpn, 0)).toBe(0);
    expect(child.loaded).toBe(2);
  });

  mmTest('leaves exec’s temporary stack alone', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    expect(userWrite(box.task, PAGE as Vpn, 0, 1)).toBe(0);
    const pfn = pfnAtVpn(box, PAGE);
    setVmaFlags(box.heap, vma, vmaFlags(box.heap, vma) | VM_STACK_INCOMPLETE_SETUP);
    expect(compactScan(box.task4, 1 as Pfn, 20)).toBe(0);
    expect(migrateRange(box.task4, box.mm, PAGE as Vpn, 1, 'async')).toBe(1);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
    setVmaFlags(box.heap, vma, vmaFlags(box.heap, vma) & ~VM_STACK_INCOMPLETE_SETUP);
    expect(compactScan(box.task4, 1 as Pfn, 20)).toBe(1);
  });
});

describe('locks of a walk', () => {
  function locksOf(box: Sandbox, pfn: Pfn): Sim<{ lock: number; subclass: number }[]> {
    const log = new AcquireLog();
    const task = { ...box.task, lockdep: log };
    folioLock(task, pfn);
    const rwc: RmapWalkControl = {
      rmapOne: (): Sim<boolean> => true,
      done: neverDone,
      invalidVma: noInvalidVma,
      anonLock: folioLockAnonVmaRead,
      tryLock: false,
      contended: false,
    };
    rmapWalk(task, pfn, rwc);
    folioUnlock(task, pfn);
    return log.acquired;
  }

  function spinOf(box: Sandbox, family: Family, process: number): Sim<number> {
    const anonVma: AnonVmaPtr = vmaAnonVma(box.heap, vmaOf(family, process, PAGE));
    return anonVmaSpinLock(anonVma);
  }

  mmTest(
    'nest the own anon_vma of each VMA inside the page’s: eachInListOrder',
    (box: Sandbox): Sim<void> => {
      const family = threeProcesses(box);
      expect(locksOf(box, pfnAtVpn(box, PAGE))).toEqual([
        { lock: spinOf(box, family, 1), subclass: 0 },
        { lock: spinOf(box, family, 2), subclass: 1 },
        { lock: spinOf(box, family, 3), subclass: 1 },
      ]);
    },
    { size: SIZE, rules: spinRules('eachInListOrder') },
  );

  mmTest(
    'go over to the root of the chain: rootFirstOldToNew',
    (box: Sandbox): Sim<void> => {
      const family = threeProcesses(box);
      const pfn = ownPage(box, family, 3);
      expect(locksOf(box, pfn)).toEqual([
        { lock: spinOf(box, family, 3), subclass: 0 },
        { lock: spinOf(box, family, 1), subclass: 0 },
        { lock: spinOf(box, family, 2), subclass: 1 },
        { lock: spinOf(box, family, 3), subclass: 1 },
      ]);
    },
    { size: SIZE, rules: spinRules('rootFirstOldToNew') },
  );

  mmTest(
    'are the root’s alone: rootOnly',
    (box: Sandbox): Sim<void> => {
      const family = threeProcesses(box);
      const pfn = ownPage(box, family, 3);
      expect(locksOf(box, pfn)).toEqual([{ lock: spinOf(box, family, 1), subclass: 0 }]);
    },
    { size: SIZE, rules: spinRules('rootOnly') },
  );
});
