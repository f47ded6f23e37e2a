/** Migration, step by step and as a whole: what entries become, what comes back, what must not move, what is given back. */
import { describe, expect } from 'vitest';
import { ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import type { Pfn, Vpn } from '../../src/layout/ids.ts';
import {
  PG_lru,
  PG_uptodate,
  pageIndex,
  readOncePageFlags,
  readOncePageMapcount,
  zeroPfn,
} from '../../src/layout/page.ts';
import { LEVEL_PTE, atomicClearPteFlags, entryAt } from '../../src/layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_TYPE_MIGRATION_READ,
  PTE_TYPE_MIGRATION_READ_EXCLUSIVE,
  PTE_TYPE_MIGRATION_WRITE,
  PTE_YOUNG,
  pteIsDirty,
  pteIsNone,
  pteIsPresent,
  pteIsWritable,
  pteIsYoung,
  ptePfn,
  pteType,
} from '../../src/layout/pte.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { getUserPages, pinUserPages, putUserPages, unpinUserPages } from '../../src/mm/gup.ts';
import { isolateFolio, migratePages, migrateRange, putbackFolio } from '../../src/mm/migrate.ts';
import { migrateFolioMove, migrateFolioUndo, migrateFolioUnmap } from '../../src/mm/migrateFolio.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { MREMAP_FIXED, MREMAP_MAYMOVE, PROT_NONE, PROT_READ } from '../../src/mm/syscallFlags.ts';
import { sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { tryToUnmapFlush } from '../../src/mm/tlbFlush.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { PROT_RW, failingTask, mapPages, mmTest, pageState, pfnAtVpn, pteAt, type Sandbox } from './sandbox.ts';

const PAGE = 10;
const MODES = ['sync', 'async'] as const;

/** A mapping of four pages, the first written. */
function writtenPage(box: Sandbox): Sim<Pfn> {
  mapPages(box, PAGE, 4);
  expect(userWrite(box.task, PAGE as Vpn, 2, 77)).toBe(0);
  return pfnAtVpn(box, PAGE);
}

function readsBack(box: Sandbox, value: number, vpn = PAGE): Sim<void> {
  expect(userRead(box.task2, vpn as Vpn, 2)).toBe(0);
  expect(box.task2.loaded).toBe(value);
}

function protect(box: Sandbox, prot: number): Sim<void> {
  expect(sysMprotect(box.task, vpnToAddr(PAGE), 4 * PAGE_SIZE, prot)).toBe(0);
}

/** Isolates and unmaps. @returns the destination */
function unmapOne(box: Sandbox, src: Pfn): Sim<Pfn> {
  expect(isolateFolio(box.task, src)).toBe(true);
  const dst = migrateFolioUnmap(box.task, src, 'sync');
  expect(dst).toBeGreaterThan(0);
  return dst as Pfn;
}

function moveOne(box: Sandbox, src: Pfn, dst: Pfn): Sim<void> {
  tryToUnmapFlush(box.task);
  expect(migrateFolioMove(box.task, src, dst)).toBe(0);
}

describe.each(MODES)('%s migration', (mode) => {
  mmTest('moves a page with its contents, number and flags, and frees the old one', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const frames = slabAllocatedCount(box.heap, CACHES.frame);
    const index = pageIndex(box.heap, src);
    expect(migrateRange(box.task2, box.mm, PAGE as Vpn, 4, mode)).toBe(0);
    const dst = pfnAtVpn(box, PAGE);
    expect(dst).not.toBe(src);
    expect(pageState(box, dst)).toBe('1/1e');
    expect(pageIndex(box.heap, dst)).toBe(index);
    expect(readOncePageFlags(box.heap, dst) & (PG_lru | PG_uptodate)).toBe(PG_lru | PG_uptodate);
    expect(pteIsWritable(pteAt(box, PAGE)) && pteIsDirty(pteAt(box, PAGE))).toBe(true);
    readsBack(box, 77);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(frames);
  });

  mmTest('moves several pages, and leaves the zero page', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 6);
    for (let vpn = PAGE; vpn < PAGE + 5; vpn++) expect(userWrite(box.task, vpn as Vpn, 2, vpn)).toBe(0);
    expect(userRead(box.task, (PAGE + 5) as Vpn, 0)).toBe(0);
    const before: Pfn[] = [];
    for (let vpn = PAGE; vpn < PAGE + 5; vpn++) before.push(pfnAtVpn(box, vpn));
    expect(migrateRange(box.task2, box.mm, 0 as Vpn, 1000, mode)).toBe(0);
    for (let vpn = PAGE; vpn < PAGE + 5; vpn++) {
      expect(before).not.toContain(pfnAtVpn(box, vpn));
      readsBack(box, vpn, vpn);
    }
    expect(pfnAtVpn(box, PAGE + 5)).toBe(zeroPfn(box.heap));
  });

  mmTest('moves a page that parent and child share', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const child = dupMm(box.task, box.mm);
    box.others.push(child as typeof box.mm);
    expect(migrateRange(box.task, box.mm, PAGE as Vpn, 1, mode)).toBe(0);
    const dst = pfnAtVpn(box, PAGE);
    expect(dst).not.toBe(src);
    expect(pfnAtVpn(box, PAGE, child as typeof box.mm)).toBe(dst);
    expect(pageState(box, dst)).toBe('2/2');
  });

  mmTest('leaves a pinned page where it is, exclusive and mapped', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const pages: Pfn[] = [];
    expect(pinUserPages(box.task, box.mm, PAGE as Vpn, 1, true, pages)).toBe(1);
    const entry = pteAt(box, PAGE);
    expect(migrateRange(box.task2, box.mm, PAGE as Vpn, 1, mode)).toBe(1);
    expect(pteAt(box, PAGE)).toBe(entry);
    expect(pageState(box, src)).toBe('1/1025e');
    expect(readOncePageFlags(box.heap, src) & PG_lru).toBe(PG_lru);
    unpinUserPages(box.task, pages);
    expect(migrateRange(box.task2, box.mm, PAGE as Vpn, 1, mode)).toBe(0);
  });

  mmTest('gives up on a page that somebody has a reference on', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const pages: Pfn[] = [];
    expect(getUserPages(box.task, box.mm, PAGE as Vpn, 1, false, pages)).toBe(1);
    expect(migrateRange(box.task2, box.mm, PAGE as Vpn, 1, mode)).toBe(1);
    expect(pfnAtVpn(box, PAGE)).toBe(src);
    expect(pageState(box, src)).toBe('1/2e');
    readsBack(box, 77);
    putUserPages(box.task, pages);
  });

  mmTest('without memory moves nothing and keeps everything', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const frames = slabAllocatedCount(box.heap, CACHES.frame);
    const task = failingTask(box.task2, 0, 1000);
    expect(migrateRange(task, box.mm, PAGE as Vpn, 1, mode)).toBe(-ENOMEM);
    expect(pfnAtVpn(box, PAGE)).toBe(src);
    expect(pageState(box, src)).toBe('1/1e');
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(frames);
  });

  mmTest('moves what it unmapped before memory ran out', (box: Sandbox): Sim<void> => {
    mapPages(box, PAGE, 3);
    for (let vpn = PAGE; vpn < PAGE + 3; vpn++) expect(userWrite(box.task, vpn as Vpn, 2, vpn)).toBe(0);
    const first = pfnAtVpn(box, PAGE);
    const last = pfnAtVpn(box, PAGE + 2);
    expect(migrateRange(failingTask(box.task2, 1, 1000), box.mm, PAGE as Vpn, 3, mode)).toBe(-ENOMEM);
    expect(pfnAtVpn(box, PAGE)).not.toBe(first);
    expect(pfnAtVpn(box, PAGE + 2)).toBe(last);
    for (let vpn = PAGE; vpn < PAGE + 3; vpn++) readsBack(box, vpn, vpn);
    expect(readOncePageFlags(box.heap, last) & PG_lru).toBe(PG_lru);
  });

  mmTest('frees a page that its owner dropped meanwhile', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const frames = slabAllocatedCount(box.heap, CACHES.frame);
    expect(isolateFolio(box.task2, src)).toBe(true);
    expect(sysMunmap(box.task, vpnToAddr(PAGE), PAGE_SIZE)).toBe(0);
    expect(migratePages(box.task2, [src], mode)).toBe(0);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(frames - 1);
  });
});

describe('isolation', () => {
  mmTest('is for one only, and ends with the page on the LRU', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    expect(isolateFolio(box.task, src)).toBe(true);
    expect(isolateFolio(box.task2, src)).toBe(false);
    putbackFolio(box.task, src);
    expect(pageState(box, src)).toBe('1/1e');
    expect(isolateFolio(box.task2, src)).toBe(true);
    putbackFolio(box.task2, src);
  });

  mmTest('is not for free frames', (box: Sandbox): Sim<void> => {
    expect(isolateFolio(box.task, 40 as Pfn)).toBe(false);
  });
});

describe('the entry between unmap and restore', () => {
  mmTest('of a writable page is writable, young and dirty as before', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const dst = unmapOne(box, src);
    const entry = pteAt(box, PAGE);
    expect(pteIsPresent(entry)).toBe(false);
    expect([pteType(entry), ptePfn(entry)]).toEqual([PTE_TYPE_MIGRATION_WRITE, src]);
    expect([pteIsYoung(entry), pteIsDirty(entry)]).toEqual([true, true]);
    expect(pageState(box, src)).toBe('0/1');
    moveOne(box, src, dst);
    expect(pteIsWritable(pteAt(box, PAGE)) && pteIsYoung(pteAt(box, PAGE))).toBe(true);
    expect(pageState(box, dst)).toBe('1/1e');
  });

  mmTest('of an old and clean page comes back old and clean', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const table = findTable(box.task, box.mm, PAGE as Vpn, LEVEL_PTE);
    atomicClearPteFlags(box.heap, entryAt(table, PAGE as Vpn, LEVEL_PTE), PTE_YOUNG | PTE_DIRTY);
    const dst = unmapOne(box, src);
    moveOne(box, src, dst);
    expect([pteIsYoung(pteAt(box, PAGE)), pteIsDirty(pteAt(box, PAGE))]).toEqual([false, false]);
  });

  mmTest('of a page made read-only is readable and exclusive, and comes back so', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    protect(box, PROT_READ);
    const dst = unmapOne(box, src);
    expect(pteType(pteAt(box, PAGE))).toBe(PTE_TYPE_MIGRATION_READ_EXCLUSIVE);
    moveOne(box, src, dst);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(pageState(box, dst)).toBe('1/1e');
    protect(box, PROT_RW);
    expect(userWrite(box.task, PAGE as Vpn, 2, 78)).toBe(0);
    expect(pfnAtVpn(box, PAGE)).toBe(dst);
  });

  mmTest('of a page without access comes back without access', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    protect(box, PROT_NONE);
    const dst = unmapOne(box, src);
    moveOne(box, src, dst);
    expect(userRead(box.task2, PAGE as Vpn, 2)).not.toBe(0);
    protect(box, PROT_RW);
    readsBack(box, 77);
  });

  mmTest('of a shared page is readable, and fork during it shares the page', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const dst = unmapOne(box, src);
    const child = dupMm(box.task, box.mm) as typeof box.mm;
    box.others.push(child);
    expect([pteType(pteAt(box, PAGE)), pteType(pteAt(box, PAGE, child))]).toEqual([
      PTE_TYPE_MIGRATION_READ,
      PTE_TYPE_MIGRATION_READ,
    ]);
    moveOne(box, src, dst);
    expect(pageState(box, dst)).toBe('2/2');
    expect([pfnAtVpn(box, PAGE), pfnAtVpn(box, PAGE, child)]).toEqual([dst, dst]);
    expect(userWrite(box.task, PAGE as Vpn, 2, 80)).toBe(0);
    box.task3.mm = child;
    expect(userRead(box.task3, PAGE as Vpn, 2)).toBe(0);
    expect(box.task3.loaded).toBe(77);
  });

  mmTest('goes from writable to readable-exclusive when mprotect comes in between', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const dst = unmapOne(box, src);
    protect(box, PROT_READ);
    expect(pteType(pteAt(box, PAGE))).toBe(PTE_TYPE_MIGRATION_READ_EXCLUSIVE);
    moveOne(box, src, dst);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(pageState(box, dst)).toBe('1/1e');
  });

  mmTest('is found where mremap has moved it', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const dst = unmapOne(box, src);
    const to = vpnToAddr(600);
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    expect(sysMremap(box.task, vpnToAddr(PAGE), 4 * PAGE_SIZE, 4 * PAGE_SIZE, flags, to)).toBe(to);
    moveOne(box, src, dst);
    expect(pteIsNone(pteAt(box, PAGE))).toBe(true);
    expect(pfnAtVpn(box, 600)).toBe(dst);
    readsBack(box, 77, 600);
  });

  mmTest('is gone with munmap: the copy is freed', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const frames = slabAllocatedCount(box.heap, CACHES.frame);
    const dst = unmapOne(box, src);
    expect(sysMunmap(box.task, vpnToAddr(PAGE), 4 * PAGE_SIZE)).toBe(0);
    // Nothing is linked to the anon_vma any more, but migration has a reference.
    expect(slabAllocatedCount(box.heap, CACHES.anonVma)).toBe(1);
    moveOne(box, src, dst);
    expect(slabAllocatedCount(box.heap, CACHES.anonVma)).toBe(0);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(frames - 1);
  });

  mmTest('survives the exit of the process that it was in', (box: Sandbox): Sim<void> => {
    writtenPage(box);
    const child = dupMm(box.task, box.mm) as typeof box.mm;
    box.task3.mm = child;
    expect(userWrite(box.task3, PAGE as Vpn, 2, 90)).toBe(0);
    const src = pfnAtVpn(box, PAGE, child);
    const dst = unmapOne(box, src);
    mmput(box.task3, child);
    // The child's own anon_vma and, for its lock, the root.
    expect(slabAllocatedCount(box.heap, CACHES.anonVma)).toBe(2);
    moveOne(box, src, dst);
    expect(slabAllocatedCount(box.heap, CACHES.anonVma)).toBe(1);
  });

  mmTest('is undone with the page as it was', (box: Sandbox): Sim<void> => {
    const src = writtenPage(box);
    const before = pteAt(box, PAGE);
    const dst = unmapOne(box, src);
    tryToUnmapFlush(box.task);
    migrateFolioUndo(box.task, src, dst);
    putbackFolio(box.task, src);
    expect(pteAt(box, PAGE)).toBe(before);
    expect(pageState(box, src)).toBe('1/1e');
    expect(readOncePageMapcount(box.heap, dst)).toBe(0);
    readsBack(box, 77);
  });
});
