/** MADV_FREE and what reclaim makes of it: discarded when clean, kept when anybody wrote, wherever the page is mapped. */
import { describe, expect } from 'vitest';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { CACHES } from '../../src/arena/header.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Pfn, Vpn } from '../../src/layout/ids.ts';
import { PG_dirty, PG_swapbacked, readOncePageFlags, setPageContent } from '../../src/layout/page.ts';
import { pteIsDirty, pteIsNone, pteIsYoung } from '../../src/layout/pte.ts';
import { folioLock, folioUnlock } from '../../src/locks/folioLock.ts';
import { pinUserPages, unpinUserPages, unpinUserPagesDirtyLock } from '../../src/mm/gup.ts';
import { folioGet, folioPut } from '../../src/mm/pageRef.ts';
import { isolateFolio, migratePages, putbackFolio } from '../../src/mm/migrate.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import { tryToUnmap } from '../../src/mm/tryToUnmap.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { forkProcess, mmTest, pfnAtVpn, pteAt, readIn, writeIn, type Sandbox } from './sandbox.ts';
import { BASE, runScript } from './vmaScript.ts';

const PAGE = BASE as Vpn;
const A = 'a'.charCodeAt(0);

/** A written page that is given up. @returns its frame */
function freedPage(box: Sandbox): Sim<Pfn> {
  runScript(box, 'map 0 2 rw\n write 0 a');
  const pfn = pfnAtVpn(box, PAGE);
  runScript(box, 'advise 0 2 free data 0 a_');
  return pfn;
}

/** reclaim's turn at all frames, twice: the first makes what was read look idle to the second. */
function reclaim(box: Sandbox): Sim<void> {
  box.task4.mm = box.mm;
  reclaimScan(box.task4, 1 as Pfn, 64);
  reclaimScan(box.task4, 1 as Pfn, 64);
}

function isSwapbacked(box: Sandbox, pfn: Pfn): Sim<boolean> {
  return (readOncePageFlags(box.heap, pfn) & PG_swapbacked) !== 0;
}

describe('a page that was given up', () => {
  mmTest('is clean and old, and goes with the next scan', (box: Sandbox): Sim<void> => {
    const pfn = freedPage(box);
    expect([pteIsDirty(pteAt(box, PAGE)), pteIsYoung(pteAt(box, PAGE)), isSwapbacked(box, pfn)]).toEqual([
      false,
      false,
      false,
    ]);
    const frames = slabAllocatedCount(box.heap, CACHES.frame);
    reclaimScan(box.task4, pfn, 1);
    expect(pteIsNone(pteAt(box, PAGE))).toBe(true);
    expect(slabAllocatedCount(box.heap, CACHES.frame)).toBe(frames - 1);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
  });
  mmTest('stays for a scan when it was read, with its contents', (box: Sandbox): Sim<void> => {
    const pfn = freedPage(box);
    expect(readIn(box.task, box.mm, PAGE)).toBe(A);
    reclaimScan(box.task4, pfn, 1);
    expect(readIn(box.task, box.mm, PAGE)).toBe(A);
    reclaim(box);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
  });
  mmTest('is wanted again once it is written, also by a CPU that had it in its TLB', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 1 rw\n write 0 a');
    writeIn(box.task2, box.mm, PAGE, 5);
    const pfn = pfnAtVpn(box, PAGE);
    runScript(box, 'advise 0 1 free');
    userWrite(box.task2, PAGE, 1, 7);
    reclaim(box);
    expect([pfnAtVpn(box, PAGE), isSwapbacked(box, pfn)]).toEqual([pfn, true]);
    userRead(box.task, PAGE, 1);
    expect(box.task.loaded).toBe(7);
    runScript(box, 'advise 0 1 free');
    reclaim(box);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
  });
  mmTest('stays while it is locked', (box: Sandbox): Sim<void> => {
    freedPage(box);
    runScript(box, 'lockonfault 0 1');
    reclaim(box);
    runScript(box, 'read 0 0 data 0 a\n unlock 0 1');
    reclaim(box);
    runScript(box, 'read 0 0 data 0 _');
  });
  mmTest('stays when it is locked after reclaim has found it idle', (box: Sandbox): Sim<void> => {
    const pfn = freedPage(box);
    runScript(box, 'lockonfault 0 1');
    isolateFolio(box.task4, pfn);
    folioLock(box.task4, pfn);
    tryToUnmap(box.task4, pfn);
    folioUnlock(box.task4, pfn);
    putbackFolio(box.task4, pfn);
    runScript(box, 'read 0 0 data 0 a');
  });
  mmTest('is wanted again once it is locked at once, which touches it for writing', (box: Sandbox): Sim<void> => {
    freedPage(box);
    runScript(box, 'lock 0 1\n unlock 0 1');
    reclaim(box);
    runScript(box, 'read 0 0 data 0 a');
  });
  mmTest('stays while somebody has a reference, and for good if he wrote', (box: Sandbox): Sim<void> => {
    const pfn = freedPage(box);
    folioGet(box.task, pfn);
    reclaim(box);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
    folioPut(box.task, pfn);
    const pages: Pfn[] = [];
    pinUserPages(box.task, box.mm, PAGE, 1, true, pages);
    runScript(box, 'advise 0 1 free');
    setPageContent(box.heap, pfn, 0, 9);
    reclaim(box);
    unpinUserPagesDirtyLock(box.task, pages);
    reclaim(box);
    expect(readIn(box.task, box.mm, PAGE)).toBe(9);
  });
  mmTest('goes after a pin whose owner did not say that he wrote', (box: Sandbox): Sim<void> => {
    freedPage(box);
    const pages: Pfn[] = [];
    pinUserPages(box.task, box.mm, PAGE, 1, true, pages);
    runScript(box, 'advise 0 1 free');
    unpinUserPages(box.task, pages);
    reclaim(box);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
  });
  mmTest('is still given up after a migration', (box: Sandbox): Sim<void> => {
    const pfn = freedPage(box);
    expect(isolateFolio(box.task4, pfn)).toBe(true);
    expect(migratePages(box.task4, [pfn], 'sync')).toBe(0);
    const moved = pfnAtVpn(box, PAGE);
    expect([moved === pfn, isSwapbacked(box, moved)]).toEqual([false, false]);
    expect(readIn(box.task, box.mm, PAGE)).toBe(A);
    reclaim(box);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
  });
});

describe('a page that is not given up', () => {
  mmTest('because somebody isolated it', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 1 rw\n write 0 a');
    const pfn = pfnAtVpn(box, PAGE);
    isolateFolio(box.task4, pfn);
    runScript(box, 'advise 0 1 free');
    putbackFolio(box.task4, pfn);
    reclaim(box);
    expect(readIn(box.task, box.mm, PAGE)).toBe(A);
  });
  mmTest('because it is dirty and a relative maps it', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 1 rw\n write 0 a');
    const pfn = pfnAtVpn(box, PAGE);
    isolateFolio(box.task4, pfn);
    migratePages(box.task4, [pfn], 'sync');
    const moved = pfnAtVpn(box, PAGE);
    expect(readOncePageFlags(box.heap, moved) & PG_dirty).toBe(PG_dirty);
    forkProcess(box);
    runScript(box, 'advise 0 1 free');
    expect(isSwapbacked(box, moved)).toBe(true);
  });
});

describe('a page shared with a child', () => {
  mmTest('stays the child’s, whose entry is dirty', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 1 rw\n write 0 a');
    const child = forkProcess(box);
    runScript(box, 'advise 0 1 free');
    reclaim(box);
    expect(readIn(box.task, child, PAGE)).toBe(A);
  });
  mmTest('given up before the fork goes from both', (box: Sandbox): Sim<void> => {
    freedPage(box);
    const child = forkProcess(box);
    reclaim(box);
    expect(pteIsNone(pteAt(box, PAGE))).toBe(true);
    expect(readIn(box.task, child, PAGE)).toBe(0);
  });
  mmTest('given up before the fork and written after it: the copy stays', (box: Sandbox): Sim<void> => {
    freedPage(box);
    const child = forkProcess(box);
    writeIn(box.task, box.mm, PAGE, 6);
    reclaim(box);
    expect([readIn(box.task, box.mm, PAGE), readIn(box.task, child, PAGE)]).toEqual([6, 0]);
  });
});
