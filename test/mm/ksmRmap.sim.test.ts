/** The rmap of merged pages: migration, compaction, reclaim's look, and what the walk does not find. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { anonVmaRwSem, readOnceAnonVmaRoot } from '../../src/layout/anonVma.ts';
import type { MmPtr, Pfn, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { vmaAnonVma, vmaMm } from '../../src/layout/vma.ts';
import { folioLock, folioUnlock } from '../../src/locks/folioLock.ts';
import { downWrite, upWrite } from '../../src/locks/rwSem.ts';
import { compactScan } from '../../src/mm/compact.ts';
import { rmapWalkKsm } from '../../src/mm/ksmRmap.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { AT, frames, mapValues, records, runPasses, unmergeable } from './ksmBox.ts';
import { forkProcess, mmTest, movePages, pageState, pfnAtVpn, readIn, writeIn, type Sandbox } from './sandbox.ts';

/** Mappings that a walk from the page visits, as `process:page` in order; process 0 is the sandbox's own. */
function visited(box: Sandbox, pfn: Pfn, mms: readonly MmPtr[], tryLock = false): Sim<string[]> {
  const seen: string[] = [];
  const visit = (_task: unknown, _pfn: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> => {
    seen.push(`${mms.indexOf(vmaMm(box.heap, vma))}:${vpn - AT}`);
    return true;
  };
  folioLock(box.task, pfn);
  const walked = rmapWalkKsm(box.task, pfn, tryLock, visit);
  folioUnlock(box.task, pfn);
  if (!walked) seen.push('contended');
  return seen;
}

describe('a walk', () => {
  mmTest('visits each mapping by its item, newest first', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 8, 7, 7]);
    runPasses(box);
    expect(visited(box, pfnAtVpn(box, AT), [box.mm])).toEqual(['0:3', '0:2', '0:0']);
  });

  mmTest('visits children that were forked since, behind all items', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    const child = forkProcess(box);
    const mms = [box.mm, child];
    expect(visited(box, pfnAtVpn(box, AT), mms)).toEqual(['0:1', '0:0', '1:1', '1:0']);
  });

  mmTest('gives up when it may not wait', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    const vma = vmaLookup(box.task, box.mm, AT as Vpn);
    const sem = anonVmaRwSem(readOnceAnonVmaRoot(box.heap, vmaAnonVma(box.heap, vma)));
    downWrite(box.task2, sem);
    expect(visited(box, pfnAtVpn(box, AT), [box.mm], true)).toEqual(['contended']);
    upWrite(box.task2, sem);
  });
});

describe('migration', () => {
  mmTest('moves a merged page with all its mappings, and the node with it', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 8]);
    const child = forkProcess(box);
    runPasses(box);
    const old = pfnAtVpn(box, AT);
    expect(migrateRange(box.task2, box.mm, AT as Vpn, 1, 'sync')).toBe(0);
    expect(pfnAtVpn(box, AT)).not.toBe(old);
    expect([frames(box, 3), frames(box, 3, child)]).toEqual(['AAb', 'AAb']);
    expect(pageState(box, pfnAtVpn(box, AT))).toBe('4/4');
    writeIn(box.task, box.mm, AT + 2, 7);
    runPasses(box, 2);
    expect([frames(box, 3), records(box)]).toEqual(['AAA', [2, 6, 1]]);
  });

  mmTest('compaction does too', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 8, 8]);
    runPasses(box);
    expect(compactScan(box.task4, 1 as Pfn, 64)).toBeGreaterThan(1);
    expect(frames(box, 4)).toBe('AABB');
    for (let i = 0; i < 4; i++) expect(readIn(box.task3, box.mm, AT + i)).toBe([7, 7, 8, 8][i]);
  });

  mmTest('a page whose mapping has moved since is not found, and stays', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    const child = forkProcess(box);
    const own = box.task2.mm;
    box.task2.mm = child;
    expect(unmergeable(box, AT, 2, child)).toBe(0);
    expect(movePages(box, AT + 1, 1, AT + 30, box.task2)).toBe(0);
    box.task2.mm = own;
    // The second of two pages is kept: the child's mapping becomes one of a KSM page, where no item leads to.
    runPasses(box, 4);
    const pfn = pfnAtVpn(box, AT + 30, child);
    expect(pfnAtVpn(box, AT)).toBe(pfn);
    expect(visited(box, pfn, [box.mm, child])).not.toContain('1:30');
    expect(migrateRange(box.task, box.mm, AT as Vpn, 1, 'sync')).toBe(1);
    expect([pfnAtVpn(box, AT), pfnAtVpn(box, AT + 30, child)]).toEqual([pfn, pfn]);
    expect(readIn(box.task, child, AT + 30)).toBe(7);
  });

  mmTest('reclaim looks at merged pages and leaves them', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    reclaimScan(box.task4, 1 as Pfn, 64);
    expect(reclaimScan(box.task4, pfnAtVpn(box, AT), 1)).toBe(1);
    readIn(box.task, box.mm, AT + 1);
    expect(reclaimScan(box.task4, pfnAtVpn(box, AT), 1)).toBe(0);
    expect(frames(box, 2)).toBe('AA');
  });
});
