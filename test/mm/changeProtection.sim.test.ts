/** mprotect at the level of entries: what becomes writable by itself, what must fault, what a migration brings back. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { Pfn, PteVal, Vpn } from '../../src/layout/ids.ts';
import { PG_anonExclusive, readOncePageFlags } from '../../src/layout/page.ts';
import { ENTRIES_PER_TABLE } from '../../src/layout/pageTable.ts';
import {
  PTE_TYPE_MIGRATION_READ,
  PTE_TYPE_MIGRATION_READ_EXCLUSIVE,
  PTE_TYPE_MIGRATION_WRITE,
  pteIsDirty,
  pteIsProtnone,
  pteIsWritable,
  pteIsYoung,
  ptePfn,
  pteType,
} from '../../src/layout/pte.ts';
import { tlbSlot, tlbSlotAsid } from '../../src/layout/tlb.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { vmaStartWrite } from '../../src/locks/vmaLock.ts';
import { changeProtection } from '../../src/mm/changeProtection.ts';
import { tlbFinishMmu, tlbGatherMmu } from '../../src/mm/mmuGather.ts';
import { PROT_NONE, PROT_READ } from '../../src/mm/syscallFlags.ts';
import { SEGV_ACCERR, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { VM_READ, VM_WRITE } from '../../src/layout/vma.ts';
import {
  PROT_RW,
  beginMigration,
  endMigration,
  forkProcess,
  mapPages,
  mmTest,
  pfnAtVpn,
  protectPages,
  pteAt,
  readIn,
  writeIn,
  type Sandbox,
} from './sandbox.ts';

const PAGE = 10 as Vpn;

function writtenPage(box: Sandbox): Sim<Pfn> {
  mapPages(box, PAGE, 1);
  userWrite(box.task, PAGE, 0, 5);
  return pfnAtVpn(box, PAGE);
}

function isExclusive(box: Sandbox, pfn: Pfn): Sim<boolean> {
  return (readOncePageFlags(box.heap, pfn) & PG_anonExclusive) !== 0;
}

function entryType(pte: PteVal): string {
  const names: Record<number, string> = {
    [PTE_TYPE_MIGRATION_READ]: 'R',
    [PTE_TYPE_MIGRATION_READ_EXCLUSIVE]: 'RE',
    [PTE_TYPE_MIGRATION_WRITE]: 'W',
  };
  return names[pteType(pte)] ?? 'present';
}

describe('read-only', () => {
  mmTest('takes the write bit, keeps exclusivity, A and D, and is seen by all CPUs', (box: Sandbox): Sim<void> => {
    const pfn = writtenPage(box);
    userWrite(box.task2, PAGE, 0, 6);
    expect(protectPages(box, PAGE, 1, PROT_READ)).toBe(0);
    const pte = pteAt(box, PAGE);
    expect(ptePfn(pte)).toBe(pfn);
    expect(pteIsWritable(pte)).toBe(false);
    expect(pteIsDirty(pte) && pteIsYoung(pte)).toBe(true);
    expect(isExclusive(box, pfn)).toBe(true);
    expect(userWrite(box.task2, PAGE, 0, 7)).toBe(SEGV_ACCERR);
    expect(readIn(box.task2, box.mm, PAGE)).toBe(6);
  });

  mmTest('and back: an exclusive page is writable without a fault', (box: Sandbox): Sim<void> => {
    const pfn = writtenPage(box);
    expect(protectPages(box, PAGE, 1, PROT_READ)).toBe(0);
    expect(protectPages(box, PAGE, 1, PROT_RW)).toBe(0);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
    expect(ptePfn(pteAt(box, PAGE))).toBe(pfn);
  });

  mmTest('and back: a shared page is not, and neither is the zero page', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 5);
    const child = forkProcess(box);
    userRead(box.task, (PAGE + 1) as Vpn, 0);
    expect(protectPages(box, PAGE, 2, PROT_READ)).toBe(0);
    expect(protectPages(box, PAGE, 2, PROT_RW)).toBe(0);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(pteIsWritable(pteAt(box, PAGE + 1))).toBe(false);
    expect(writeIn(box.task, box.mm, PAGE, 9)).toBe(0);
    expect(readIn(box.task, child, PAGE)).toBe(5);
    expect(writeIn(box.task, box.mm, PAGE + 1, 9)).toBe(0);
  });
});

describe('no access', () => {
  mmTest('keeps the page mapped, out of the reach of the hardware', (box: Sandbox): Sim<void> => {
    const pfn = writtenPage(box);
    userRead(box.task2, PAGE, 0);
    expect(protectPages(box, PAGE, 1, PROT_NONE)).toBe(0);
    expect(pteIsProtnone(pteAt(box, PAGE))).toBe(true);
    expect(ptePfn(pteAt(box, PAGE))).toBe(pfn);
    expect(userRead(box.task2, PAGE, 0)).toBe(SEGV_ACCERR);
    expect(userWrite(box.task, PAGE, 0, 1)).toBe(SEGV_ACCERR);
    expect(protectPages(box, PAGE, 1, PROT_READ)).toBe(0);
    expect(readIn(box.task, box.mm, PAGE)).toBe(5);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(protectPages(box, PAGE, 1, PROT_NONE)).toBe(0);
    expect(protectPages(box, PAGE, 1, PROT_RW)).toBe(0);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
    expect(isExclusive(box, pfn)).toBe(true);
  });

  mmTest('survives a migration', (box: Sandbox): Sim<void> => {
    const pfn = writtenPage(box);
    expect(protectPages(box, PAGE, 1, PROT_NONE)).toBe(0);
    beginMigration(box, pfn);
    endMigration(box, pfn);
    expect(pteIsProtnone(pteAt(box, PAGE))).toBe(true);
    expect(userRead(box.task, PAGE, 0)).toBe(SEGV_ACCERR);
  });
});

describe('migration entries', () => {
  mmTest(
    'writable becomes readable-exclusive, and stays so when writing is allowed again',
    (box: Sandbox): Sim<void> => {
      const pfn = writtenPage(box);
      beginMigration(box, pfn);
      expect(entryType(pteAt(box, PAGE))).toBe('W');
      expect(protectPages(box, PAGE, 1, PROT_READ)).toBe(0);
      expect(entryType(pteAt(box, PAGE))).toBe('RE');
      expect(ptePfn(pteAt(box, PAGE))).toBe(pfn);
      expect(pteIsDirty(pteAt(box, PAGE))).toBe(true);
      expect(protectPages(box, PAGE, 1, PROT_RW)).toBe(0);
      expect(entryType(pteAt(box, PAGE))).toBe('RE');
      endMigration(box, pfn);
      expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
      expect(isExclusive(box, pfn)).toBe(true);
      expect(userWrite(box.task, PAGE, 0, 6)).toBe(0);
      expect(pfnAtVpn(box, PAGE)).toBe(pfn);
    },
  );

  mmTest('of a shared page stay readable', (box: Sandbox): Sim<void> => {
    const pfn = writtenPage(box);
    const child = forkProcess(box);
    beginMigration(box, pfn);
    expect(entryType(pteAt(box, PAGE))).toBe('R');
    expect(protectPages(box, PAGE, 1, PROT_READ)).toBe(0);
    expect(protectPages(box, PAGE, 1, PROT_RW)).toBe(0);
    expect(entryType(pteAt(box, PAGE))).toBe('R');
    endMigration(box, pfn);
    expect(isExclusive(box, pfn)).toBe(false);
    expect(writeIn(box.task, box.mm, PAGE, 6)).toBe(0);
    expect(readIn(box.task, child, PAGE)).toBe(5);
  });

  mmTest('mprotect commutes with the end of the migration', (box: Sandbox): Sim<void> => {
    const pfn = writtenPage(box);
    for (const prot of [PROT_READ, PROT_NONE]) {
      beginMigration(box, pfn);
      expect(protectPages(box, PAGE, 1, prot)).toBe(0);
      endMigration(box, pfn);
      const during = pteAt(box, PAGE);
      expect(protectPages(box, PAGE, 1, PROT_RW)).toBe(0);
      expect(protectPages(box, PAGE, 1, prot)).toBe(0);
      expect(pteAt(box, PAGE)).toBe(during);
      expect(isExclusive(box, pfn)).toBe(true);
      expect(protectPages(box, PAGE, 1, PROT_RW)).toBe(0);
      expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
    }
  });
});

describe('changeProtection', () => {
  function change(box: Sandbox, start: number, end: number, flags: number, tryWritable: boolean): Sim<number> {
    const vma = vmaLookup(box.task, box.mm, PAGE);
    mmapWriteLock(box.task, box.mm);
    vmaStartWrite(box.task, box.mm, vma);
    const tlb = tlbGatherMmu(box.task, box.mm, false);
    const pages = changeProtection(box.task, tlb, vma, start as Vpn, end as Vpn, flags, tryWritable);
    tlbFinishMmu(box.task, tlb);
    mmapWriteUnlock(box.task, box.mm);
    return pages;
  }

  mmTest('counts the entries it changed, over holes and tables', (box: Sandbox): Sim<void> => {
    const far = 3 * ENTRIES_PER_TABLE + 7;
    mapPages(box, PAGE, far + 1 - PAGE);
    for (const vpn of [PAGE, PAGE + 1, far]) userWrite(box.task, vpn as Vpn, 0, vpn);
    expect(change(box, PAGE, far + 1, VM_READ, false)).toBe(3);
    expect(pteIsWritable(pteAt(box, far))).toBe(false);
    expect(change(box, PAGE, PAGE + 1, VM_READ | VM_WRITE, true)).toBe(1);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
    expect(pteIsWritable(pteAt(box, PAGE + 1))).toBe(false);
  });

  mmTest('makes nothing writable unless it is told to try', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    change(box, PAGE, PAGE + 1, VM_READ, false);
    change(box, PAGE, PAGE + 1, VM_READ | VM_WRITE, false);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
  });

  mmTest('flushes only what a CPU may have cached', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 2);
    userWrite(box.task, PAGE, 0, 1);
    userWrite(box.task, (PAGE + 1) as Vpn, 0, 1);
    const cached = (vpn: Vpn): Sim<boolean> => tlbSlotAsid(box.heap, tlbSlot(box.heap, 0, vpn)) !== 0;
    change(box, PAGE, PAGE + 1, VM_READ, false);
    expect(cached(PAGE)).toBe(false);
    expect(cached((PAGE + 1) as Vpn)).toBe(true);
    userRead(box.task, PAGE, 0);
    change(box, PAGE, PAGE + 1, VM_READ, false);
    expect(cached(PAGE)).toBe(true);
    // For the quiescent state: the table must say what the VMA allows.
    change(box, PAGE, PAGE + 1, VM_READ | VM_WRITE, true);
  });
});
