/** Looking for a page's entry: what matches, and why a walk that must not miss asks for PVMW_SYNC. */
import { describe, expect } from 'vitest';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { LEVEL_PTE, entryAt, readOncePte } from '../../src/layout/pageTable.ts';
import { PTE_NONE, ptePfn } from '../../src/layout/pte.ts';
import { isolateFolio } from '../../src/mm/migrate.ts';
import { migrateFolioMove, migrateFolioUnmap } from '../../src/mm/migrateFolio.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import {
  PVMW_MIGRATION,
  PVMW_SYNC,
  pageVmaMappedWalk,
  pageVmaMappedWalkDone,
  startPageVmaMappedWalk,
} from '../../src/mm/pageVmaMappedWalk.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from '../../src/mm/pteLock.ts';
import { ptepGetAndClear, setPteAt } from '../../src/mm/pteAccess.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE } from '../../src/mm/syscallFlags.ts';
import { sysMmap } from '../../src/mm/syscalls.ts';
import { userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, simExplore } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { PROT_RW, mapPages, mmTest, pfnAtVpn, type Sandbox } from './sandbox.ts';

const PAGE = 10 as Vpn;

/** Whether a walk with these flags finds `pfn` at PAGE. */
function finds(task: Task, pfn: Pfn, vma: VmaPtr, flags: number): Sim<boolean> {
  const pvmw = startPageVmaMappedWalk(task, pfn, vma, PAGE, flags);
  const found = pageVmaMappedWalk(task, pvmw);
  if (!found) return false;
  assert(ptePfn(readOncePte(task.heap, pvmw.pte)) === pfn, 'the walk found another page');
  const again = pageVmaMappedWalk(task, pvmw);
  assert(!again, 'a small folio has one entry');
  return true;
}

describe('a walk', () => {
  for (const sync of [0, PVMW_SYNC]) {
    mmTest(`finds a present entry, not a migration entry (${sync})`, (box: Sandbox): Sim<void> => {
      const vma = mapPages(box, PAGE, 1);
      expect(finds(box.task, 5 as Pfn, vma, sync)).toBe(false);
      expect(userWrite(box.task, PAGE, 0, 1)).toBe(0);
      const pfn = pfnAtVpn(box, PAGE);
      expect(finds(box.task, pfn, vma, sync)).toBe(true);
      expect(finds(box.task, (pfn + 1) as Pfn, vma, sync)).toBe(false);
      expect(finds(box.task, pfn, vma, sync | PVMW_MIGRATION)).toBe(false);
    });

    mmTest(`finds a migration entry by its source, if asked for (${sync})`, (box: Sandbox): Sim<void> => {
      const vma = mapPages(box, PAGE, 1);
      expect(userWrite(box.task, PAGE, 0, 1)).toBe(0);
      const src = pfnAtVpn(box, PAGE);
      expect(isolateFolio(box.task, src)).toBe(true);
      const dst = migrateFolioUnmap(box.task, src, 'sync') as Pfn;
      expect(finds(box.task, src, vma, sync)).toBe(false);
      expect(finds(box.task, dst, vma, sync | PVMW_MIGRATION)).toBe(false);
      expect(finds(box.task, src, vma, sync | PVMW_MIGRATION)).toBe(true);
      expect(migrateFolioMove(box.task, src, dst)).toBe(0);
    });
  }

  mmTest('can be ended at a match', (box: Sandbox): Sim<void> => {
    const vma = mapPages(box, PAGE, 1);
    expect(userWrite(box.task, PAGE, 0, 1)).toBe(0);
    const pvmw = startPageVmaMappedWalk(box.task, pfnAtVpn(box, PAGE), vma, PAGE, 0);
    expect(pageVmaMappedWalk(box.task, pvmw)).toBe(true);
    pageVmaMappedWalkDone(box.task, pvmw);
  });
});

describe('an entry that is cleared for a moment under its ptl', () => {
  interface Shared {
    readonly mm: MmPtr;
    readonly vma: VmaPtr;
    readonly pfn: Pfn;
  }

  function setup({ task, heap }: Kernel): Sim<Shared> {
    const mm = mmAlloc(task);
    task.mm = mm;
    const at = sysMmap(task, vpnToAddr(PAGE), PAGE_SIZE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    assert(at > 0, 'mmap failed');
    const error = userWrite(task, PAGE, 0, 1);
    assert(error === 0, 'user write failed');
    const table = pteOffsetMapLock(task, mm, PAGE);
    const pfn = ptePfn(readOncePte(heap, entryAt(table, PAGE, LEVEL_PTE)));
    pteUnmapUnlock(task, table);
    return { mm, vma: vmaLookup(task, mm, PAGE), pfn };
  }

  function blinker(task: Task, { mm }: Shared): Sim<void> {
    const table = pteOffsetMapLock(task, mm, PAGE);
    const pte = entryAt(table, PAGE, LEVEL_PTE);
    const value = ptepGetAndClear(task, mm, PAGE, pte);
    assert(value !== PTE_NONE, 'nothing there');
    setPteAt(task, mm, PAGE, pte, value);
    pteUnmapUnlock(task, table);
  }

  function walker(flags: number): (task: Task, shared: Shared) => Sim<void> {
    return (task: Task, { vma, pfn }: Shared): Sim<void> => {
      const found = finds(task, pfn, vma, flags);
      assert(found, 'the walk missed the entry');
    };
  }

  const kernel = { ...mmKernel(LINUX_7_0, {}), setup };

  simConcurrent('is not missed with PVMW_SYNC', { ...kernel, threads: [blinker, walker(PVMW_SYNC)] });

  simExplore('is missed without', { ...kernel, threads: [blinker, walker(0)], executions: 500 }, ({ firstFailure }) => {
    expect(firstFailure?.verdict).toBe('assertion');
  });
});
