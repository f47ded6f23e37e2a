/** KSM on one process and its children: what is merged, what is not, what writes, forks, unmapping and the end make of it. */
import { describe, expect } from 'vitest';
import { EAGAIN, ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { GLOBAL } from '../../src/layout/globals.ts';
import type { Pfn, Vpn } from '../../src/layout/ids.ts';
import { KSM_RUN_STOP, KSM_RUN_UNMERGE, setKsmWord } from '../../src/layout/ksm.ts';
import { setPageContent } from '../../src/layout/page.ts';
import { pteIsWritable } from '../../src/layout/pte.ts';
import { pinUserPages, unpinUserPages } from '../../src/mm/gup.ts';
import { ksmSetRun, ksmdTurn } from '../../src/mm/ksmd.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { isolateFolio, putbackFolio } from '../../src/mm/migrate.ts';
import { MADV_DONTNEED, MADV_MERGEABLE, PROT_NONE, PROT_READ } from '../../src/mm/syscallFlags.ts';
import { AT, advise, frames, mapValues, records, runPasses, unmergeable } from './ksmBox.ts';
import {
  PROT_RW,
  failingTask,
  forkProcess,
  mapPages,
  mapShared,
  mmTest,
  movePages,
  pageState,
  pfnAtVpn,
  protectPages,
  pteAt,
  readIn,
  unmapPages,
  writeIn,
  type Sandbox,
} from './sandbox.ts';

describe('merging', () => {
  mmTest('pages of equal contents become one, read-only and nobody‘s own', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 8, 7, 9, 7]);
    runPasses(box);
    expect(frames(box, 5)).toBe('AbAcA');
    expect(pageState(box, pfnAtVpn(box, AT))).toBe('3/3');
    expect(pteIsWritable(pteAt(box, AT))).toBe(false);
    for (let i = 0; i < 5; i++) expect(readIn(box.task2, box.mm, AT + i)).toBe([7, 8, 7, 9, 7][i]);
    expect(records(box)).toEqual([1, 5, 1]);
  });

  mmTest('not before their contents were seen twice', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box, 1);
    expect(frames(box, 2)).toBe('ab');
    writeIn(box.task, box.mm, AT, 6);
    writeIn(box.task, box.mm, AT, 5);
    writeIn(box.task, box.mm, AT + 1, 5);
    runPasses(box, 1);
    expect(frames(box, 2)).toBe('ab');
    runPasses(box, 1);
    expect(frames(box, 2)).toBe('AA');
  });

  mmTest('pages that differ in their last word stay apart', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    setPageContent(box.heap, pfnAtVpn(box, AT), 3, 1);
    runPasses(box);
    expect(frames(box, 2)).toBe('ab');
  });

  mmTest('the zero page, absent pages and shared memory take no part', (box: Sandbox): Sim<void> => {
    mapValues(box, [0, 0, 0]);
    readIn(box.task, box.mm, AT);
    readIn(box.task, box.mm, AT + 1);
    mapShared(box.task, AT + 20, 2);
    for (let i = 0; i < 2; i++) writeIn(box.task, box.mm, AT + 20 + i, 7);
    expect(advise(box, AT + 20, 2, MADV_MERGEABLE)).toBe(0);
    runPasses(box);
    expect(frames(box, 3)).toBe('aa.');
    expect(pfnAtVpn(box, AT + 20)).not.toBe(pfnAtVpn(box, AT + 21));
    expect(records(box)).toEqual([1, 0, 0]);
  });

  mmTest('memory that nobody called mergeable takes no part', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    mapPages(box, AT + 10, 1);
    writeIn(box.task, box.mm, AT + 10, 7);
    runPasses(box);
    expect(pfnAtVpn(box, AT + 10)).not.toBe(pfnAtVpn(box, AT));
    expect(pageState(box, pfnAtVpn(box, AT + 10))).toBe('1/1e');
  });

  mmTest('a later page joins, with what mapped it', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 8]);
    runPasses(box);
    writeIn(box.task, box.mm, AT + 2, 7);
    runPasses(box, 2);
    expect(frames(box, 3)).toBe('AAA');
    expect(records(box)).toEqual([1, 3, 1]);
  });

  mmTest('a page that somebody uses stays as it is', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    const pfn = pfnAtVpn(box, AT + 1);
    expect(isolateFolio(box.task, pfn)).toBe(true);
    runPasses(box);
    expect([frames(box, 2), pageState(box, pfn)]).toEqual(['ab', '1/2e']);
    expect(pteIsWritable(pteAt(box, AT + 1))).toBe(true);
    putbackFolio(box.task, pfn);
    runPasses(box);
    expect(frames(box, 2)).toBe('AA');
  });

  mmTest('without access to the memory too, and it stays without', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    protectPages(box, AT, 2, PROT_NONE);
    runPasses(box);
    expect(frames(box, 2)).toBe('AA');
    expect(readIn(box.task, box.mm, AT)).toBeLessThan(0);
    expect(unmergeable(box, AT, 2)).toBe(0);
    expect(frames(box, 2)).toBe('ab');
    expect(readIn(box.task, box.mm, AT)).toBeLessThan(0);
    protectPages(box, AT, 2, PROT_RW);
    expect([readIn(box.task, box.mm, AT), readIn(box.task, box.mm, AT + 1)]).toEqual([7, 7]);
  });
});

describe('a pinned page', () => {
  mmTest('is not merged, and a partner gets its own page back', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 7]);
    const pages: Pfn[] = [];
    expect(pinUserPages(box.task, box.mm, AT as Vpn, 1, true, pages)).toBe(1);
    runPasses(box, 4);
    expect(frames(box, 3)).toBe('abc');
    expect(pageState(box, pages[0])).toBe('1/1025e');
    expect(pteIsWritable(pteAt(box, AT))).toBe(true);
    unpinUserPages(box.task, pages);
    runPasses(box);
    expect(frames(box, 3)).toBe('AAA');
  });

  mmTest('a pin for writing takes the page out of the merged ones', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 7]);
    runPasses(box);
    const pages: Pfn[] = [];
    expect(pinUserPages(box.task, box.mm, (AT + 1) as Vpn, 1, true, pages)).toBe(1);
    expect([frames(box, 3), pageState(box, pages[0])]).toEqual(['AbA', '1/1025e']);
    unpinUserPages(box.task, pages);
  });
});

describe('a write to a merged page', () => {
  mmTest('copies it, for the last mapping too', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    expect(writeIn(box.task, box.mm, AT, 5)).toBe(0);
    expect([frames(box, 2), readIn(box.task, box.mm, AT + 1)]).toEqual(['aB', 7]);
    const last = pfnAtVpn(box, AT + 1);
    expect(pageState(box, last)).toBe('1/1');
    expect(writeIn(box.task, box.mm, AT + 1, 6)).toBe(0);
    expect([frames(box, 2), pfnAtVpn(box, AT + 1) === last]).toEqual(['ab', false]);
    expect(pageState(box, pfnAtVpn(box, AT + 1))).toBe('1/1e');
    runPasses(box, 1);
    expect(records(box)).toEqual([1, 2, 0]);
  });

  mmTest('mprotect there and back does not make it writable', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    protectPages(box, AT, 2, PROT_READ);
    protectPages(box, AT, 2, PROT_RW);
    expect(pteIsWritable(pteAt(box, AT))).toBe(false);
    writeIn(box.task, box.mm, AT, 5);
    expect(readIn(box.task, box.mm, AT + 1)).toBe(7);
  });
});

describe('fork', () => {
  mmTest('a page that fork shares is no partner of itself', (box: Sandbox): Sim<void> => {
    mapValues(box, [7]);
    const child = forkProcess(box);
    runPasses(box, 4);
    expect([frames(box, 1), frames(box, 1, child)]).toEqual(['a', 'a']);
  });

  mmTest('all mappings of a frame become those of a KSM page at once', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    const child = forkProcess(box);
    runPasses(box, 4);
    expect([frames(box, 2), frames(box, 2, child)]).toEqual(['AA', 'AA']);
    expect(pageState(box, pfnAtVpn(box, AT))).toBe('4/4');
    expect(records(box)).toEqual([2, 4, 1]);
    writeIn(box.task, child, AT, 3);
    expect([readIn(box.task, box.mm, AT), readIn(box.task, child, AT)]).toEqual([7, 3]);
  });

  mmTest('a merged page is shared; the child joins the scan', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    const child = forkProcess(box);
    expect([frames(box, 2, child), records(box)]).toEqual(['AA', [2, 2, 1]]);
    runPasses(box, 1);
    expect(records(box)).toEqual([2, 4, 1]);
  });

  mmTest('the parent ends: its items go, the child‘s pages stay', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    const child = forkProcess(box);
    unmapPages(box, AT, 2);
    runPasses(box, 2);
    expect([frames(box, 2, child), records(box)]).toEqual(['AA', [1, 2, 1]]);
    expect(readIn(box.task, child, AT)).toBe(7);
  });
});

describe('going away', () => {
  mmTest('unmapping leaves items that the next pass removes, and then the node', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 7, 8]);
    runPasses(box);
    expect(unmapPages(box, AT, 3)).toBe(0);
    expect(records(box)).toEqual([1, 4, 1]);
    runPasses(box, 1);
    expect(records(box)).toEqual([1, 1, 0]);
    unmapPages(box, AT + 3, 1);
    runPasses(box, 1);
    expect(records(box)).toEqual([0, 0, 0]);
  });

  mmTest('discarding pages does the same', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    expect(advise(box, AT, 2, MADV_DONTNEED)).toBe(0);
    expect(readIn(box.task, box.mm, AT)).toBe(0);
    runPasses(box, 1);
    expect(records(box)).toEqual([1, 0, 0]);
  });

  mmTest('MADV_UNMERGEABLE gives each mapping its own page', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 7]);
    runPasses(box);
    expect(unmergeable(box, AT, 2)).toBe(0);
    expect(frames(box, 3)).toBe('abC');
    for (let i = 0; i < 3; i++) expect(readIn(box.task, box.mm, AT + i)).toBe(7);
    runPasses(box);
    expect(frames(box, 3)).toBe('abC');
  });

  mmTest('mremap takes copies along', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 7]);
    runPasses(box);
    expect(movePages(box, AT + 1, 1, AT + 30)).toBe(0);
    expect(pageState(box, pfnAtVpn(box, AT + 30))).toBe('1/1e');
    expect([frames(box, 3), readIn(box.task, box.mm, AT + 30)]).toEqual(['A.A', 7]);
    runPasses(box);
    expect(pfnAtVpn(box, AT + 30)).toBe(pfnAtVpn(box, AT));
  });

  mmTest('the end of a process, in the middle of a pass', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 8]);
    const child = forkProcess(box);
    runPasses(box);
    ksmdTurn(box.task4, 4); // the scan is in the child now
    box.others.length = 0;
    mmput(box.task, child);
    expect(records(box)[0]).toBe(2);
    runPasses(box, 1);
    expect([frames(box, 3), records(box)]).toEqual(['AAb', [1, 3, 1]]);
  });

  mmTest('a process that was never scanned leaves nothing', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    const child = forkProcess(box);
    expect(records(box)).toEqual([2, 0, 0]);
    box.others.length = 0;
    mmput(box.task, child);
    expect(records(box)).toEqual([1, 0, 0]);
  });

  mmTest('everything is taken apart, and can be merged again', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 8, 8]);
    const child = forkProcess(box);
    runPasses(box);
    expect(ksmSetRun(box.task4, KSM_RUN_UNMERGE)).toBe(0);
    expect([frames(box, 4), frames(box, 4, child), records(box)]).toEqual(['abcd', 'abcd', [2, 0, 0]]);
    expect(readIn(box.task, child, AT + 3)).toBe(8);
    runPasses(box);
    expect(frames(box, 4)).toBe('AABB');
  });
});

describe('max_page_sharing', () => {
  mmTest('a full page gets a second one beside it, and the chain goes when one is left', (box: Sandbox): Sim<void> => {
    setKsmWord(box.heap, GLOBAL.ksmMaxPageSharing, 2);
    mapValues(box, [7, 7, 7, 7, 7, 3]);
    runPasses(box, 4);
    expect(frames(box, 6)).toBe('AABBcd');
    expect(records(box)).toEqual([1, 6, 3]);
    writeIn(box.task, box.mm, AT, 1);
    writeIn(box.task, box.mm, AT + 1, 2);
    runPasses(box, 3);
    expect(records(box)).toEqual([1, 6, 1]);
    expect(frames(box, 6)).toBe('abCCde');
  });
});

describe('without memory', () => {
  mmTest('MADV_MERGEABLE says so', (box: Sandbox): Sim<void> => {
    mapPages(box, AT, 2);
    const task = failingTask(box.task, 0);
    const own = { ...box, task };
    expect(advise(own, AT, 2, MADV_MERGEABLE)).toBe(-EAGAIN);
    expect(records(box)).toEqual([0, 0, 0]);
  });

  mmTest('MADV_UNMERGEABLE says so, and the memory stays mergeable', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    expect(unmergeable({ ...box, task: failingTask(box.task, 1) }, AT, 2)).toBe(-EAGAIN);
    expect(frames(box, 2)).toBe('aB');
    runPasses(box);
    expect(frames(box, 2)).toBe('AA');
  });

  mmTest('mremap fails with everything in place', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    expect(movePages(box, AT, 2, AT + 30, failingTask(box.task, 0))).toBe(-ENOMEM);
    expect(frames(box, 2)).toBe('AA');
  });

  mmTest('a scan goes on later, whatever allocation fails', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7, 8, 8]);
    for (let n = 0; n < 8; n++) runPasses({ ...box, task4: failingTask(box.task4, n, 2) }, 1);
    for (let i = 0; i < 4; i++) expect(readIn(box.task, box.mm, AT + i)).toBe([7, 7, 8, 8][i]);
    // A KSM page that could neither be kept nor be broken is nobody's partner until it is written.
    for (let i = 0; i < 4; i++) writeIn(box.task, box.mm, AT + i, [7, 7, 8, 8][i]);
    runPasses(box);
    expect(frames(box, 4)).toBe('AABB');
  });

  mmTest('taking everything apart gives up, and works the next time', (box: Sandbox): Sim<void> => {
    mapValues(box, [7, 7]);
    runPasses(box);
    expect(ksmSetRun(failingTask(box.task4, 0, 9), KSM_RUN_UNMERGE)).toBe(-ENOMEM);
    expect(frames(box, 2)).toBe('AA');
    expect(ksmSetRun(box.task4, KSM_RUN_STOP)).toBe(0);
    expect(ksmSetRun(box.task4, KSM_RUN_UNMERGE)).toBe(0);
    expect([frames(box, 2), records(box)]).toEqual(['ab', [1, 0, 0]]);
  });
});
