/** First touches: the plain cases, who may, what is counted, what a failing allocation leaves behind. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { EINTR } from '../../src/base/errno.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_ANON_VMA, type Vpn } from '../../src/layout/ids.ts';
import { MM, MMF_UNSTABLE, atomicSetMmFlags } from '../../src/layout/mm.ts';
import { PG_lru, PG_uptodate, readOncePageFlags, zeroPfn } from '../../src/layout/page.ts';
import { pteIsNone, pteIsPresent, pteIsWritable, ptePfn } from '../../src/layout/pte.ts';
import { vmaAnonVma } from '../../src/layout/vma.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { vmaEndRead } from '../../src/locks/vmaLock.ts';
import { handleMmFault } from '../../src/mm/fault.ts';
import { FAULT_FLAG_VMA_LOCK, FAULT_FLAG_WRITE, VM_FAULT_RETRY } from '../../src/mm/faultFlags.ts';
import { PROT_NONE, PROT_READ } from '../../src/mm/syscallFlags.ts';
import { BUS_ADRERR, FAULT_OOM, SEGV_ACCERR, SEGV_MAPERR, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { lockVmaUnderRcu } from '../../src/mm/vma.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import {
  expectQuiet,
  failingTask,
  mapPages,
  mmTest,
  openSandbox,
  pageState,
  pfnAtVpn,
  pteAt,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10 as Vpn;

const NO_VMA_LOCKS = { ...LINUX_7_0, fault: { perVmaLock: false } };

function anonPages(box: Sandbox): number {
  return Atomics.load(box.heap, box.mm + MM.anonPages);
}

describe('write fault', () => {
  mmTest('maps a zeroed page that is writable, exclusive and counted', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 2);
    expect(userWrite(box.task, PAGE, 1, 77)).toBe(0);
    const pte = pteAt(box, PAGE);
    expect(pteIsPresent(pte) && pteIsWritable(pte)).toBe(true);
    expect(pageState(box, ptePfn(pte))).toBe('1/1e');
    expect(readOncePageFlags(box.heap, ptePfn(pte)) & (PG_lru | PG_uptodate)).toBe(PG_lru | PG_uptodate);
    expect(anonPages(box)).toBe(1);
    expect(vmaAnonVma(box.heap, vma)).not.toBe(NO_ANON_VMA);
    expect(userRead(box.task, PAGE, 1)).toBe(0);
    expect(box.task.loaded).toBe(77);
    expect(userRead(box.task, PAGE, 0)).toBe(0);
    expect(box.task.loaded).toBe(0);
    expect(pteIsNone(pteAt(box, PAGE + 1))).toBe(true);
  });

  mmTest(
    'is the same without per-VMA locks',
    (box: Sandbox): Sim<void> => {
      mapPages(box, PAGE, 1);
      expect(userWrite(box.task, PAGE, 0, 5)).toBe(0);
      expect(pageState(box, pfnAtVpn(box, PAGE))).toBe('1/1e');
    },
    { rules: NO_VMA_LOCKS },
  );

  mmTest('of a second task finds the page of the first', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    expect(userWrite(box.task, PAGE, 0, 5)).toBe(0);
    expect(userRead(box.task2, PAGE, 0)).toBe(0);
    expect(box.task2.loaded).toBe(5);
    expect(userWrite(box.task2, PAGE, 0, 6)).toBe(0);
    expect(userRead(box.task, PAGE, 0)).toBe(0);
    expect(box.task.loaded).toBe(6);
    expect(anonPages(box)).toBe(1);
  });
});

describe('read fault', () => {
  mmTest('maps the zero page: no rmap, no count, no anon_vma', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    expect(userRead(box.task, PAGE, 3)).toBe(0);
    expect(box.task.loaded).toBe(0);
    const pte = pteAt(box, PAGE);
    expect(ptePfn(pte)).toBe(zeroPfn(box.heap));
    expect(pteIsWritable(pte)).toBe(false);
    expect(pageState(box, zeroPfn(box.heap))).toBe('0/1');
    expect(anonPages(box)).toBe(0);
    expect(vmaAnonVma(box.heap, vma)).toBe(NO_ANON_VMA);
  });

  mmTest('then a write replaces the zero page', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    expect(userRead(box.task2, PAGE, 0)).toBe(0);
    expect(userWrite(box.task, PAGE, 0, 9)).toBe(0);
    expect(pageState(box, pfnAtVpn(box, PAGE))).toBe('1/1e');
    expect(anonPages(box)).toBe(1);
    // The other CPU had the zero page in its TLB.
    expect(userRead(box.task2, PAGE, 0)).toBe(0);
    expect(box.task2.loaded).toBe(9);
    expect(pageState(box, zeroPfn(box.heap))).toBe('0/1');
  });
});

describe('an access that is not allowed', () => {
  for (const rules of [LINUX_7_0, NO_VMA_LOCKS]) {
    const how = rules.fault.perVmaLock ? 'under the VMA lock' : 'under mmapLock';
    mmTest(
      `is answered with the reason, ${how}`,
      (box: Sandbox): Sim<void> => {
        mapPages(box, PAGE, 1, PROT_READ);
        mapPages(box, PAGE + 1, 1, PROT_NONE);
        expect(userWrite(box.task, PAGE, 0, 1)).toBe(SEGV_ACCERR);
        expect(userRead(box.task, PAGE, 0)).toBe(0);
        expect(userRead(box.task, (PAGE + 1) as Vpn, 0)).toBe(SEGV_ACCERR);
        expect(userRead(box.task, (PAGE + 2) as Vpn, 0)).toBe(SEGV_MAPERR);
        expect(userWrite(box.task, (PAGE - 1) as Vpn, 0, 1)).toBe(SEGV_MAPERR);
        expect(anonPages(box)).toBe(0);
      },
      { rules },
    );
  }

  mmTest('a mapping left unusable by a failed fork is a bus error', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    atomicSetMmFlags(box.heap, box.mm, MMF_UNSTABLE);
    expect(userWrite(box.task, PAGE, 0, 1)).toBe(BUS_ADRERR);
    expect(userRead(box.task, PAGE, 0)).toBe(BUS_ADRERR);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1);
  });
});

describe('locking', () => {
  mmTest('a fault under the VMA lock does not wait for a writer of mmapLock', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    // No anon_vma yet: preparing one needs mmapLock, which another task holds for write without this VMA's lock.
    mmapWriteLock(box.task2, box.mm);
    expect(lockVmaUnderRcu(box.task, box.mm, PAGE)).toBe(vma);
    const flags = FAULT_FLAG_WRITE | FAULT_FLAG_VMA_LOCK;
    expect(handleMmFault(box.task, box.mm, vma, PAGE, flags)).toBe(VM_FAULT_RETRY);
    mmapWriteUnlock(box.task2, box.mm);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1);
  });

  mmTest('it does go on while mmapLock is held for read', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    mmapReadLock(box.task2, box.mm);
    expect(lockVmaUnderRcu(box.task, box.mm, PAGE)).toBe(vma);
    expect(handleMmFault(box.task, box.mm, vma, PAGE, FAULT_FLAG_WRITE | FAULT_FLAG_VMA_LOCK)).toBe(0);
    vmaEndRead(box.task, vma);
    mmapReadUnlock(box.task2, box.mm);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
  });

  mmTest('with an anon_vma the writer of mmapLock does not matter', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    expect(userWrite(box.task, PAGE, 0, 1)).toBe(0);
    mmapWriteLock(box.task2, box.mm);
    expect(userWrite(box.task, (PAGE + 1) as Vpn, 0, 2)).toBe(0);
    mmapWriteUnlock(box.task2, box.mm);
  });

  mmTest('a task that is being killed does not wait for mmapLock', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1);
    mmapWriteLock(box.task2, box.mm);
    killTask(box.task2, box.task.id);
    expect(userWrite(box.task, PAGE, 0, 1)).toBe(-EINTR);
    mmapWriteUnlock(box.task2, box.mm);
  });
});

describe('without memory', () => {
  for (const rules of [LINUX_7_0, NO_VMA_LOCKS]) {
    mmTest(
      `each allocation of a write fault can fail (${rules.fault.perVmaLock ? 'VMA lock' : 'mmapLock'})`,
      (box: Sandbox): Sim<void> => {
        mapPages(box, PAGE, 1);
        let failures = 0;
        for (;;) {
          const task = failingTask(box.task, failures);
          const result = userWrite(task, PAGE, 0, 4);
          if (task.injectedFailures === 0) {
            expect(result).toBe(0);
            break;
          }
          expect(result).toBe(FAULT_OOM);
          expect(anonPages(box)).toBe(0);
          expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1);
          failures++;
        }
        // Three tables; then, tables being there, the anon_vma, its chain and the page.
        expect(failures).toBeGreaterThan(2);
      },
      { rules },
    );
  }
});

interface Shared {
  readonly box: Sandbox;
}

/** In a VMA that has its tables and its anon_vma, or in one that has neither. */
for (const prepared of [true, false]) {
  simConcurrent(
    `several CPUs touch the same page of a ${prepared ? 'used' : 'fresh'} mapping first: no write is lost`,
    {
      ...mmKernel(LINUX_7_0, {}),
      setup: (kernel: Kernel): Sim<Shared> => {
        const box = openSandbox(kernel);
        mapPages(box, PAGE, 3);
        if (prepared) expect(userWrite(box.task, (PAGE + 2) as Vpn, 0, 1)).toBe(0);
        return { box };
      },
      threads: [
        (task: Task, { box }: Shared): Sim<void> => {
          task.mm = box.mm;
          expect(userWrite(task, PAGE, 1, 11)).toBe(0);
          expect(userWrite(task, (PAGE + 1) as Vpn, 1, 11)).toBe(0);
        },
        (task: Task, { box }: Shared): Sim<void> => {
          task.mm = box.mm;
          expect(userWrite(task, PAGE, 2, 22)).toBe(0);
          expect(userWrite(task, (PAGE + 1) as Vpn, 2, 22)).toBe(0);
        },
        (task: Task, { box }: Shared): Sim<void> => {
          task.mm = box.mm;
          for (const vpn of [PAGE, PAGE + 1]) {
            expect(userRead(task, vpn as Vpn, 1)).toBe(0);
            expect([0, 11]).toContain(task.loaded);
          }
        },
      ],
      check: ({ task }: Kernel, { box }: Shared): Sim<void> => {
        task.mm = box.mm;
        for (const vpn of [PAGE, PAGE + 1]) {
          expect(pageState(box, pfnAtVpn(box, vpn))).toBe('1/1e');
          for (const [word, value] of [0, 11, 22].entries()) {
            expect(userRead(task, vpn as Vpn, word)).toBe(0);
            expect(task.loaded).toBe(value);
          }
        }
        const pages = prepared ? 3 : 2;
        expect(anonPages(box)).toBe(pages);
        expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(1 + pages);
        expect(slabAllocatedCount(box.heap, CACHES.anonVma)).toBe(1);
        expect(slabAllocatedCount(box.heap, CACHES.pageTable)).toBe(4);
        expectQuiet(box);
      },
    },
  );
}
