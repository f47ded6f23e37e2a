/** Shared anonymous memory: one object for all who map it, whatever is done to their mappings. */
import { describe, expect } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { assert } from '../../src/base/assert.ts';
import { EFAULT, ENOMEM } from '../../src/base/errno.ts';
import type { Access, Sim } from '../../src/base/sim.ts';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import type { Task } from '../../src/cpu/task.ts';
import { iMmapRwsem } from '../../src/layout/addressSpace.ts';
import { NO_ADDRESS_SPACE, NO_MM, type AddressSpacePtr, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { MM } from '../../src/layout/mm.ts';
import { pteIsDirty, pteIsNone, pteIsWritable } from '../../src/layout/pte.ts';
import { vmaAnonVma, vmaFile } from '../../src/layout/vma.ts';
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { rcuBarrier } from '../../src/locks/rcu.ts';
import { rwSemIsLocked } from '../../src/locks/rwSem.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { getUserPagesFast, pinUserPages, pinUserPagesFast, putUserPages, unpinUserPages } from '../../src/mm/gup.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmDropAllLocks, mmTakeAllLocks } from '../../src/mm/mmTakeAllLocks.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap } from '../../src/mm/syscalls.ts';
import { BUS_ADRERR, FAULT_OOM, SEGV_ACCERR, SEGV_MAPERR, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { zapPageRange } from '../../src/mm/zap.ts';
import {
  PROT_RW,
  failingTask,
  forkProcess,
  mapShared,
  mmTest,
  pageState,
  pfnAtVpn,
  pteAt,
  readIn,
  unmapPages,
  writeIn,
  type Sandbox,
} from './sandbox.ts';
import { BASE, runScript, scriptTest } from './vmaScript.ts';

const PAGE = 40;

/** Maps the object page at `from` a second time, from `to` on. */
function duplicate(task: Task, from: number, to: number, nrPages: number): Sim<number> {
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  return sysMremap(task, vpnToAddr(from), 0, nrPages * PAGE_SIZE, flags, vpnToAddr(to));
}

function objectAt(box: Sandbox, vpn: number): Sim<AddressSpacePtr> {
  return vmaFile(box.heap, vmaLookup(box.task, box.mm, vpn as Vpn));
}

/** Entries of [vpn, vpn + nr): `.` none, else the number of the frame's first appearance. */
function entries(box: Sandbox, vpn: number, nr: number, mm = box.mm): Sim<string> {
  const frames: Pfn[] = [];
  let picture = '';
  for (let i = 0; i < nr; i++) {
    if (pteIsNone(pteAt(box, vpn + i, mm))) {
      picture += '.';
    } else {
      const pfn = pfnAtVpn(box, vpn + i, mm);
      if (!frames.includes(pfn)) frames.push(pfn);
      picture += frames.indexOf(pfn);
    }
  }
  return picture;
}

function objects(box: Sandbox): Access<number> {
  return slabAllocatedCount(box.heap, CACHES.addressSpace);
}

describe('one memory', () => {
  mmTest('a child sees what the parent writes after the fork, and the other way round', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 2);
    writeIn(box.task, box.mm, PAGE, 5);
    const child = forkProcess(box);
    expect(entries(box, PAGE, 2, child)).toBe('..');
    expect(readIn(box.task2, child, PAGE)).toBe(5);
    writeIn(box.task2, child, PAGE + 1, 7);
    expect(readIn(box.task, box.mm, PAGE + 1)).toBe(7);
    writeIn(box.task, box.mm, PAGE, 6);
    expect(readIn(box.task2, child, PAGE)).toBe(6);
    expect(pageState(box, pfnAtVpn(box, PAGE))).toBe('2/3');
  });

  mmTest('lives as long as somebody maps it', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 2);
    writeIn(box.task, box.mm, PAGE, 5);
    const child = forkProcess(box);
    unmapPages(box, PAGE, 2);
    expect(objects(box)).toBe(1);
    expect(readIn(box.task2, child, PAGE)).toBe(5);
    box.others.length = 0;
    for (const task of [box.task, box.task2]) task.mm = box.mm;
    mmput(box.task, child);
    expect(objects(box)).toBe(0);
    expect(slabAllocatedCount(box.heap, CACHES.xaNode)).toBe(0);
  });

  mmTest('keeps a page that nobody maps', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    writeIn(box.task, box.mm, PAGE, 5);
    const pfn = pfnAtVpn(box, PAGE);
    mmapReadLock(box.task, box.mm);
    zapPageRange(box.task, vmaLookup(box.task, box.mm, PAGE as Vpn), PAGE as Vpn, (PAGE + 1) as Vpn);
    mmapReadUnlock(box.task, box.mm);
    expect(entries(box, PAGE, 1)).toBe('.');
    expect(pageState(box, pfn)).toBe('0/1');
    expect(checkQuiescent(box.heap)).toEqual([]);
    expect(readIn(box.task, box.mm, PAGE)).toBe(5);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
  });

  mmTest('two mappings side by side are two objects', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    mapShared(box.task, PAGE + 1, 1);
    expect(objectAt(box, PAGE)).not.toBe(objectAt(box, PAGE + 1));
    expect(objectAt(box, PAGE)).not.toBe(NO_ADDRESS_SPACE);
  });

  mmTest('counts apart from anonymous memory, and is no data of the process', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 4);
    for (let i = 0; i < 3; i++) writeIn(box.task, box.mm, PAGE + i, i);
    const counts = (): Access<number[]> =>
      [MM.anonPages, MM.shmemPages, MM.totalVm, MM.dataVm].map((at) => box.heap[box.mm + at]);
    expect(counts()).toEqual([0, 3, 4, 0]);
    unmapPages(box, PAGE, 4);
    expect(counts()).toEqual([0, 0, 0, 0]);
  });
});

describe('faults', () => {
  mmTest('a write maps one page, writable and dirty', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 4);
    writeIn(box.task, box.mm, PAGE + 1, 5);
    expect(entries(box, PAGE, 4)).toBe('.0..');
    expect(pteIsWritable(pteAt(box, PAGE + 1)) && pteIsDirty(pteAt(box, PAGE + 1))).toBe(true);
    expect(pageState(box, pfnAtVpn(box, PAGE + 1))).toBe('1/2');
  });

  mmTest('a read creates its page, for good, and a later write does not fault', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
    const pfn = pfnAtVpn(box, PAGE);
    expect(pteIsWritable(pteAt(box, PAGE)) && !pteIsDirty(pteAt(box, PAGE))).toBe(true);
    writeIn(box.task, box.mm, PAGE, 5);
    expect(pfnAtVpn(box, PAGE)).toBe(pfn);
  });

  mmTest('a read maps what the object has in the aligned window of 16 pages', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 40);
    for (const i of [0, 7, 8, 9, 23, 24, 30]) writeIn(box.task, box.mm, PAGE + i, i + 1);
    const child = forkProcess(box);
    expect(readIn(box.task2, child, PAGE + 9)).toBe(10);
    // 40 is 8 pages into a window: [32, 48) has offsets 0 .. 7, [48, 64) has 8 .. 23.
    expect(entries(box, PAGE, 32, child)).toBe('........01.............2........');
    expect(readIn(box.task2, child, PAGE + 3)).toBe(0);
    // The page at 3 is new; those around it are mapped all the same.
    expect(entries(box, PAGE, 8, child)).toBe('0..1...2');
  });

  mmTest('a read of a page that is there maps no page twice and leaves others empty', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 8);
    for (const i of [0, 2, 7]) writeIn(box.task, box.mm, PAGE + i, i + 1);
    const child = forkProcess(box);
    expect(readIn(box.task2, child, PAGE + 2)).toBe(3);
    expect(entries(box, PAGE, 8, child)).toBe('0.1....2');
    expect(pageState(box, pfnAtVpn(box, PAGE))).toBe('2/3');
  });

  mmTest('behind the end of the object: SIGBUS, at the first page and by fault-around', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 2);
    const grown = sysMremap(box.task, vpnToAddr(PAGE), 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0, 0);
    expect(grown).toBe(vpnToAddr(PAGE));
    expect(readIn(box.task, box.mm, PAGE + 2)).toBe(BUS_ADRERR);
    expect(writeIn(box.task, box.mm, PAGE + 3, 1)).toBe(BUS_ADRERR);
    expect(readIn(box.task, box.mm, PAGE + 1)).toBe(0);
    const pages: Pfn[] = [];
    expect(pinUserPagesFast(box.task, (PAGE + 2) as Vpn, 1, true, pages)).toBe(-EFAULT);
  });

  mmTest('without rights, without mapping', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1, PROT_READ);
    expect(writeIn(box.task, box.mm, PAGE, 1)).toBe(SEGV_ACCERR);
    expect(readIn(box.task, box.mm, PAGE)).toBe(0);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(false);
    expect(readIn(box.task, box.mm, PAGE + 1)).toBe(SEGV_MAPERR);
  });

  mmTest('out of memory leaves nothing behind', (box: Sandbox): Sim<void> => {
    // The table (pud, pmd, pte the first time), the frame, then the two nodes of the index.
    for (let n = 0; n < 4; n++) {
      mapShared(box.task, PAGE, 70);
      expect(userWrite(failingTask(box.task, n), (PAGE + 1) as Vpn, 0, 1), `allocation ${n}`).toBe(FAULT_OOM);
      expect(checkQuiescent(box.heap)).toEqual([]);
      rcuBarrier(box.task);
    }
    expect(userWrite(failingTask(box.task, 4), (PAGE + 1) as Vpn, 0, 1)).toBe(0);
  });

  scriptTest(
    'populate reads: pages around are mapped too',
    `
    map 0 4 rw shared populate
    write 1 b                 data 1 b
  `,
  );
});

describe('mappings', () => {
  scriptTest(
    'protection: what was writable is writable again without a fault',
    `
    map 0 4 rw shared
    write 0 abcd
    protect 1 2 r             see 0 w|rr|w data 0 abcd
    protect 1 2 rw            see 0 wwww
    write 1 x                 data 0 axcd
  `,
  );
  scriptTest(
    'parts that were split merge again, by object and offset',
    `
    map 0 6 rw shared
    move 2 2 20               see 0 ww..ww see 20 ww
    move 20 2 2               see 0 wwwwww
    unmap 2 2
    map 2 2 rw shared         see 0 ww|ww|ww
  `,
  );
  scriptTest(
    'a part that moves away and does not fit its neighbour stays alone',
    `
    map 0 4 rw shared
    move 0 1 4                see 0 .www|w
  `,
  );

  mmTest('duplicates show the same pages and go on behind them', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 3);
    writeIn(box.task, box.mm, PAGE + 1, 5);
    expect(duplicate(box.task, PAGE + 1, PAGE + 100, 4)).toBe(vpnToAddr(PAGE + 100));
    expect(readIn(box.task, box.mm, PAGE + 100)).toBe(5);
    writeIn(box.task, box.mm, PAGE + 101, 7);
    expect(readIn(box.task, box.mm, PAGE + 2)).toBe(7);
    expect(readIn(box.task, box.mm, PAGE + 102)).toBe(BUS_ADRERR);
    expect(objects(box)).toBe(1);
    expect(pageState(box, pfnAtVpn(box, PAGE + 1))).toBe('2/3');
  });

  mmTest('a duplicate needs leave to move', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    expect(sysMremap(box.task, vpnToAddr(PAGE), 0, PAGE_SIZE, 0, 0)).toBe(-ENOMEM);
    const at = sysMremap(box.task, vpnToAddr(PAGE), 0, PAGE_SIZE, MREMAP_MAYMOVE, 0);
    expect(at).toBeGreaterThan(0);
  });

  mmTest('MREMAP_DONTUNMAP: both places map the object', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 2);
    writeIn(box.task, box.mm, PAGE, 5);
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    sysMremap(box.task, vpnToAddr(PAGE), 2 * PAGE_SIZE, 2 * PAGE_SIZE, flags, vpnToAddr(PAGE + 10));
    expect(entries(box, PAGE, 2) + entries(box, PAGE + 10, 2)).toBe('..0.');
    expect(readIn(box.task, box.mm, PAGE)).toBe(5);
    expect(pfnAtVpn(box, PAGE)).toBe(pfnAtVpn(box, PAGE + 10));
  });

  mmTest('whole tables move with the object', (box: Sandbox): Sim<void> => {
    mapShared(box.task, 512, 1024);
    writeIn(box.task, box.mm, 700, 5);
    const bytes = 1024 * PAGE_SIZE;
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    expect(sysMremap(box.task, vpnToAddr(512), bytes, bytes, flags, vpnToAddr(2048))).toBe(vpnToAddr(2048));
    expect(readIn(box.task, box.mm, 2048 + 188)).toBe(5);
  });

  mmTest('fails at any allocation of mmap and leaves nothing', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    for (let n = 0; n < 3; n++) {
      const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
      const task = failingTask(box.task, n);
      expect(sysMmap(task, vpnToAddr(PAGE + 4), PAGE_SIZE, PROT_RW, flags), `allocation ${n}`).toBe(-ENOMEM);
      expect(checkQuiescent(box.heap)).toEqual([]);
    }
  });

  mmTest('survives every failure of split, move, duplicate and fork', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 6);
    for (let i = 0; i < 6; i++) writeIn(box.task, box.mm, PAGE + i, 10 + i);
    for (let n = 0; n < 6; n++) {
      sysMprotect(failingTask(box.task, n), vpnToAddr(PAGE + 1), PAGE_SIZE, PROT_READ);
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
      sysMremap(failingTask(box.task, n), vpnToAddr(PAGE + 3), PAGE_SIZE, PAGE_SIZE, flags, vpnToAddr(PAGE + 50));
      duplicate(failingTask(box.task, n), PAGE + 5, PAGE + 60, 1);
      const child = dupMm(failingTask(box.task, n), box.mm);
      if (child > 0) mmput(box.task, child as MmPtr);
      rcuBarrier(box.task);
      expect(checkQuiescent(box.heap).map(({ title }) => title)).toEqual([]);
    }
    for (const i of [0, 1, 2, 4, 5]) expect(readIn(box.task, box.mm, PAGE + i)).toBe(10 + i);
  });
});

describe('the rmap', () => {
  mmTest('migration moves a page at all places, and in the object', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 2);
    writeIn(box.task, box.mm, PAGE, 5);
    duplicate(box.task, PAGE, PAGE + 10, 1);
    const child = forkProcess(box);
    readIn(box.task, box.mm, PAGE + 10);
    readIn(box.task2, child, PAGE);
    const before = pfnAtVpn(box, PAGE);
    expect(migrateRange(box.task3, box.mm, PAGE as Vpn, 1, 'sync')).toBe(0);
    const after = pfnAtVpn(box, PAGE);
    expect(after).not.toBe(before);
    expect([pfnAtVpn(box, PAGE + 10), pfnAtVpn(box, PAGE, child)]).toEqual([after, after]);
    expect(pageState(box, after)).toBe('3/4');
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
    expect(readIn(box.task2, child, PAGE + 10)).toBe(5);
  });

  mmTest('compaction moves a page that is only in the object', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    writeIn(box.task, box.mm, PAGE, 5);
    const pfn = pfnAtVpn(box, PAGE);
    unmapHalf(box);
    box.task4.mm = NO_MM;
    expect(compactScan(box.task4, pfn, 1)).toBe(1);
    expect(readIn(box.task, box.mm, PAGE + 10)).toBe(5);
    expect(pfnAtVpn(box, PAGE + 10)).not.toBe(pfn);
  });

  mmTest('a pinned page stays, writable as it was', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    const pages: Pfn[] = [];
    expect(pinUserPagesFast(box.task, PAGE as Vpn, 1, true, pages)).toBe(1);
    expect(migrateRange(box.task3, box.mm, PAGE as Vpn, 1, 'sync')).toBe(1);
    expect(pfnAtVpn(box, PAGE)).toBe(pages[0]);
    expect(pteIsWritable(pteAt(box, PAGE))).toBe(true);
    unpinUserPages(box.task, pages);
  });

  mmTest('a pin keeps the page when the object is gone', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    const pages: Pfn[] = [];
    pinUserPages(box.task, box.mm, PAGE as Vpn, 1, false, pages);
    unmapPages(box, PAGE, 1);
    expect(objects(box)).toBe(0);
    expect(pageState(box, pages[0])).toBe('0/1024');
    unpinUserPages(box.task, pages);
  });

  mmTest('a plain reference taken without locks holds up migration', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    writeIn(box.task, box.mm, PAGE, 5);
    const pages: Pfn[] = [];
    expect(getUserPagesFast(box.task, PAGE as Vpn, 1, false, pages)).toBe(1);
    expect(migrateRange(box.task3, box.mm, PAGE as Vpn, 1, 'sync')).toBe(1);
    putUserPages(box.task, pages);
    expect(migrateRange(box.task3, box.mm, PAGE as Vpn, 1, 'sync')).toBe(0);
    expect(readIn(box.task, box.mm, PAGE)).toBe(5);
  });

  mmTest('all locks of a process include those of its objects, each once', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw shared\n protect 1 1 r\n map 10 1 rw shared');
    const locks = [objectAt(box, BASE), objectAt(box, BASE + 10)].map(iMmapRwsem);
    mmapWriteLock(box.task, box.mm);
    expect(mmTakeAllLocks(box.task, box.mm)).toBe(0);
    for (const lock of locks) expect(rwSemIsLocked(box.heap, lock)).toBe(true);
    mmDropAllLocks(box.task, box.mm);
    for (const lock of locks) expect(rwSemIsLocked(box.heap, lock)).toBe(false);
    mmapWriteUnlock(box.task, box.mm);
  });

  mmTest('a shared VMA has no anon_vma', (box: Sandbox): Sim<void> => {
    mapShared(box.task, PAGE, 1);
    writeIn(box.task, box.mm, PAGE, 1);
    expect(vmaAnonVma(box.heap, vmaLookup(box.task, box.mm, PAGE as Vpn))).toBe(0);
  });
});

/** The object stays mapped at another place, where it was not touched. */
function unmapHalf(box: Sandbox): Sim<void> {
  const at = duplicate(box.task, PAGE, PAGE + 10, 1);
  assert(at > 0, 'mremap failed');
  unmapPages(box, PAGE, 1);
}
