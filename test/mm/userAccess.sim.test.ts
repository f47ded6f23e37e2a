/** The CPU's side: TLB, hardware walk, accessed and dirty bits. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { nrCpus } from '../../src/arena/header.ts';
import { NO_MM, type MmPtr, type Vpn } from '../../src/layout/ids.ts';
import { readOnceMmCpumask } from '../../src/layout/mm.ts';
import { LEVEL_PTE, atomicClearPteFlags, entryAt, readOncePte, writeOncePte } from '../../src/layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_NONE,
  PTE_PROTNONE,
  PTE_WRITE,
  PTE_YOUNG,
  pteIsDirty,
  pteIsWritable,
  pteIsYoung,
  pteSet,
} from '../../src/layout/pte.ts';
import { tlbEntries, tlbSlot, tlbSlotAsid } from '../../src/layout/tlb.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Task } from '../../src/cpu/task.ts';
import { flushTlbMm, flushTlbPage } from '../../src/mm/tlbFlush.ts';
import { PROT_READ } from '../../src/mm/syscallFlags.ts';
import { SEGV_ACCERR, SEGV_MAPERR, userRead, userWrite } from '../../src/mm/userAccess.ts';
import type { Kernel } from '../support/kernel.ts';
import { mmKernel } from './mmKernel.ts';
import { simPreempted } from './preempted.ts';
import {
  expectQuiet,
  openSandbox,
  forkProcess,
  mapPages,
  mmTest,
  pteAt,
  readIn,
  writeIn,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10 as Vpn;

/** Clears flag bits of the page's entry, as nobody may: without the lock and without a flush. */
function clearFlags(box: Sandbox, flags: number): Sim<void> {
  atomicClearPteFlags(box.heap, entryAt(findTable(box.task, box.mm, PAGE, LEVEL_PTE), PAGE, LEVEL_PTE), flags);
}

function writtenPage(box: Sandbox): Sim<void> {
  mapPages(box, PAGE, 1);
  userWrite(box.task, PAGE, 0, 1);
}

describe('accessed and dirty bits', () => {
  mmTest('a load sets A only, a store sets D too', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    clearFlags(box, PTE_YOUNG | PTE_DIRTY);
    flushTlbMm(box.task, box.mm);
    expect(userRead(box.task, PAGE, 0)).toBe(0);
    expect(pteIsYoung(pteAt(box, PAGE))).toBe(true);
    expect(pteIsDirty(pteAt(box, PAGE))).toBe(false);
    expect(userWrite(box.task, PAGE, 0, 2)).toBe(0);
    expect(pteIsDirty(pteAt(box, PAGE))).toBe(true);
  });

  mmTest('a store through an entry that was loaded clean walks again to set D', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    clearFlags(box, PTE_DIRTY);
    flushTlbMm(box.task, box.mm);
    userRead(box.task, PAGE, 0);
    clearFlags(box, PTE_YOUNG);
    expect(userWrite(box.task, PAGE, 0, 2)).toBe(0);
    const pte = pteAt(box, PAGE);
    expect(pteIsDirty(pte) && pteIsYoung(pte)).toBe(true);
  });

  mmTest('a store that must fault sets nothing', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    forkProcess(box);
    clearFlags(box, PTE_DIRTY | PTE_YOUNG);
    flushTlbMm(box.task, box.mm);
    const before = findTable(box.task, box.mm, PAGE, LEVEL_PTE);
    const pte = entryAt(before, PAGE, LEVEL_PTE);
    expect(userWrite(box.task, PAGE, 0, 2)).toBe(0);
    // The copy is dirty; the old entry never was, or the child's page would have to be too.
    expect(pteIsDirty(readOncePte(box.heap, pte))).toBe(true);
    expect(readIn(box.task, box.others[0], PAGE)).toBe(1);
  });
});

describe('the TLB', () => {
  mmTest('is used without a look at the tables until it is flushed', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    const table = findTable(box.task, box.mm, PAGE, LEVEL_PTE);
    const pte = entryAt(table, PAGE, LEVEL_PTE);
    const entry = readOncePte(box.heap, pte);
    writeOncePte(box.heap, pte, PTE_NONE);
    expect(userWrite(box.task, PAGE, 0, 5)).toBe(0);
    expect(userRead(box.task, PAGE, 0)).toBe(0);
    expect(box.task.loaded).toBe(5);
    writeOncePte(box.heap, pte, pteSet(entry, PTE_PROTNONE));
    expect(userRead(box.task, PAGE, 0)).toBe(0);
    writeOncePte(box.heap, pte, entry);
  });

  mmTest('of another CPU keeps its own entries, and a flush reaches it', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    expect(userRead(box.task2, PAGE, 0)).toBe(0);
    const slot = tlbSlot(box.heap, box.task2.cpu, PAGE);
    expect(tlbSlotAsid(box.heap, slot)).not.toBe(0);
    flushTlbPage(box.task, box.mm, (PAGE + 1) as Vpn);
    expect(tlbSlotAsid(box.heap, slot)).not.toBe(0);
    flushTlbPage(box.task, box.mm, PAGE);
    expect(tlbSlotAsid(box.heap, slot)).toBe(0);
    expect(tlbSlotAsid(box.heap, tlbSlot(box.heap, box.task.cpu, PAGE))).toBe(0);
  });

  mmTest('holds one of two pages that share a slot', (box: Sandbox): Sim<void> => {
    const other = (PAGE + tlbEntries(box.heap)) as Vpn;
    mapPages(box, PAGE, 1);
    mapPages(box, other, 1);
    for (let round = 1; round < 4; round++) {
      expect(userWrite(box.task, PAGE, 0, round)).toBe(0);
      expect(userWrite(box.task, other, 0, -round)).toBe(0);
      expect(userRead(box.task, PAGE, 0)).toBe(0);
      expect(box.task.loaded).toBe(round);
    }
  });

  mmTest('tells address spaces apart', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    const child = forkProcess(box);
    expect(writeIn(box.task, child, PAGE, 8)).toBe(0);
    expect(readIn(box.task, box.mm, PAGE)).toBe(1);
    expect(readIn(box.task, child, PAGE)).toBe(8);
    const empty: MmPtr = mmAlloc(box.task);
    expect(empty).not.toBe(NO_MM);
    box.others.push(empty);
    expect(readIn(box.task, empty, PAGE)).toBe(SEGV_MAPERR);
  });

  mmTest('drops an entry that no longer allows what the table refuses', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    const child = forkProcess(box);
    expect(readIn(box.task, child, PAGE)).toBe(1);
    expect(pteIsWritable(pteAt(box, PAGE, child))).toBe(false);
    expect(writeIn(box.task, child, PAGE, 2)).toBe(0);
    expect(readIn(box.task, child, PAGE)).toBe(2);
  });

  mmTest('forgets an entry that caused a fault', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 1, PROT_READ);
    userRead(box.task, PAGE, 0);
    const slot = tlbSlot(box.heap, box.task.cpu, PAGE);
    expect(tlbSlotAsid(box.heap, slot)).not.toBe(0);
    expect(userWrite(box.task, PAGE, 0, 1)).toBe(SEGV_ACCERR);
    expect(tlbSlotAsid(box.heap, slot)).toBe(0);
  });

  mmTest('of a CPU that never ran the process is not flushed', (box: Sandbox): Sim<void> => {
    expect(readOnceMmCpumask(box.heap, box.mm)).toBe(0);
    writtenPage(box);
    expect(readOnceMmCpumask(box.heap, box.mm)).toBe(1);
    userRead(box.task3, PAGE, 0);
    expect(readOnceMmCpumask(box.heap, box.mm)).toBe(0b101);
    expect(nrCpus(box.heap)).toBe(4);
  });
});

mmTest('an entry that became writable is used although the TLB says otherwise', (box: Sandbox): Sim<void> => {
  writtenPage(box);
  clearFlags(box, PTE_WRITE);
  flushTlbMm(box.task, box.mm);
  userRead(box.task, PAGE, 0);
  // CPU 2 repairs the entry; CPU 1 still has the read-only one cached and must not fault for ever.
  expect(userWrite(box.task2, PAGE, 0, 3)).toBe(0);
  expect(userWrite(box.task, PAGE, 0, 4)).toBe(0);
  expect(readIn(box.task2, box.mm, PAGE)).toBe(4);
});

interface Shared {
  readonly box: Sandbox;
  readonly child: MmPtr;
}

for (const what of ['unmapped', 'migrated', 'copied'] as const) {
  simPreempted(`A is not set in an entry that is ${what} meanwhile`, {
    ...mmKernel(LINUX_7_0, {}),
    setup: (kernel: Kernel): Sim<Shared> => {
      const box = openSandbox(kernel);
      writtenPage(box);
      // The child's entry is there and was never used.
      const child = forkProcess(box);
      expect(pteIsYoung(pteAt(box, PAGE, child))).toBe(false);
      return { box, child };
    },
    threads: [
      (task: Task, { child }: Shared): Sim<void> => {
        const seen = readIn(task, child, PAGE);
        expect(what === 'migrated' ? [1] : [1, 5, SEGV_MAPERR]).toContain(seen);
      },
      (task: Task, { child }: Shared): Sim<void> => {
        task.mm = child;
        if (what === 'unmapped') expect(sysMunmap(task, vpnToAddr(PAGE), PAGE_SIZE)).toBe(0);
        else if (what === 'migrated') expect(migrateRange(task, child, PAGE, 1, 'sync')).toBe(0);
        else expect(userWrite(task, PAGE, 0, 5)).toBe(0);
      },
    ],
    check: (kernel: Kernel, { box, child }: Shared): Sim<void> => {
      expect(readIn(kernel.task, box.mm, PAGE)).toBe(1);
      expect(readIn(kernel.task, child, PAGE)).toBe({ unmapped: SEGV_MAPERR, migrated: 1, copied: 5 }[what]);
      expectQuiet(box);
    },
  });
}
