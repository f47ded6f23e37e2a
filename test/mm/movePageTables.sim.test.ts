/** Moving entries and whole tables: nothing is lost, nothing stays behind in a TLB, and walks are kept out where they must. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { ENOMEM } from '../../src/base/errno.ts';
import type { LockStatsHook } from '../../src/cpu/hooks.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_TABLE, type LockClassId, type Vpn } from '../../src/layout/ids.ts';
import { CLASS_ANON_VMA_RWSEM } from '../../src/layout/lockClass.ts';
import { zeroPfn } from '../../src/layout/page.ts';
import { ENTRIES_PER_TABLE, LEVEL_PMD, LEVEL_PTE, TABLE, pagesPerEntry } from '../../src/layout/pageTable.ts';
import { pteIsMigration, pteIsNone } from '../../src/layout/pte.ts';
import { tlbSlot, tlbSlotAsid } from '../../src/layout/tlb.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { movePageTables, type PageTableMove } from '../../src/mm/movePageTables.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { setTlbUbcFlushPending, tryToUnmapFlush } from '../../src/mm/tlbFlush.ts';
import { SEGV_MAPERR, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { zapPageRange } from '../../src/mm/zap.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import { mmKernel } from './mmKernel.ts';
import { simPreempted } from './preempted.ts';
import {
  beginMigration,
  endMigration,
  expectQuiet,
  failingTask,
  mapPages,
  mmTest,
  movePages,
  openSandbox,
  pageState,
  pfnAtVpn,
  pteAt,
  readIn,
  type Sandbox,
} from './sandbox.ts';

const FROM = 10;
const TO = 40;
const PER_TABLE = ENTRIES_PER_TABLE;
const PER_PUD = pagesPerEntry(2);

function mremapRules(mremap: Partial<Rules['mremap']>): Rules {
  return { ...LINUX_7_0, mremap: { ...LINUX_7_0.mremap, ...mremap } };
}

/** Maps `nrPages` pages and stores each one's offset from `vpn` in those of `written`. */
function fill(box: Sandbox, vpn: number, nrPages: number, written: readonly number[]): Sim<void> {
  mapPages(box, vpn, nrPages);
  for (const i of written) expect(userWrite(box.task, (vpn + i) as Vpn, 0, 1000 + i)).toBe(0);
}

function expectFilled(box: Sandbox, vpn: number, written: readonly number[]): Sim<void> {
  for (const i of written) expect(readIn(box.task2, box.mm, vpn + i)).toBe(1000 + i);
}

describe('entry by entry', () => {
  mmTest('pages change their address and nothing else', (box: Sandbox): Sim<void> => {
    fill(box, FROM, 4, [0, 2]);
    userRead(box.task, (FROM + 1) as Vpn, 0);
    const before = [0, 1, 2, 3].map((i) => FROM + i);
    const entries: number[] = [];
    for (const vpn of before) entries.push(pteAt(box, vpn));
    userRead(box.task2, FROM as Vpn, 0);
    expect(movePages(box, FROM, 4, TO)).toBe(0);
    for (let i = 0; i < 4; i++) {
      expect(pteAt(box, TO + i)).toBe(entries[i]);
      expect(pteIsNone(pteAt(box, FROM + i))).toBe(true);
    }
    expect(pfnAtVpn(box, TO + 1)).toBe(zeroPfn(box.heap));
    expect(pageState(box, pfnAtVpn(box, TO))).toBe('1/1e');
    expectFilled(box, TO, [0, 2]);
    expect(userRead(box.task2, FROM as Vpn, 0)).toBe(SEGV_MAPERR);
  });

  mmTest('a migration entry moves as it is and is found again', (box: Sandbox): Sim<void> => {
    fill(box, FROM, 2, [0, 1]);
    const pfn = pfnAtVpn(box, FROM);
    beginMigration(box, pfn);
    const entry = pteAt(box, FROM);
    expect(movePages(box, FROM, 2, TO)).toBe(0);
    expect(pteIsMigration(pteAt(box, TO))).toBe(true);
    expect(pteAt(box, TO)).toBe(entry);
    endMigration(box, pfn);
    expectFilled(box, TO, [0, 1]);
  });

  mmTest('into another table and within one', (box: Sandbox): Sim<void> => {
    fill(box, FROM, 3, [0, 1, 2]);
    expect(movePages(box, FROM, 3, FROM + 8)).toBe(0);
    expect(movePages(box, FROM + 8, 3, 2 * PER_TABLE - 1)).toBe(0);
    expectFilled(box, 2 * PER_TABLE - 1, [0, 1, 2]);
  });

  mmTest('flushes what others deferred before it changes an entry', (box: Sandbox): Sim<void> => {
    fill(box, FROM, 1, [0]);
    fill(box, 20, 1, [0]);
    mapPages(box, TO, 1);
    const move = { mm: box.mm, nrPages: 1, needRmapLocks: false, forStack: true };
    const [oldStart, newStart] = [FROM as Vpn, TO as Vpn];
    const [oldVma, newVma] = [vmaLookup(box.task, box.mm, oldStart), vmaLookup(box.task, box.mm, newStart)];
    mmapWriteLock(box.task, box.mm);
    setTlbUbcFlushPending(box.task3, box.mm);
    const slot = tlbSlot(box.heap, box.task.cpu, 20 as Vpn);
    expect(tlbSlotAsid(box.heap, slot)).not.toBe(0);
    expect(movePageTables(box.task, { ...move, oldVma, newVma, oldStart, newStart })).toBe(1);
    expect(tlbSlotAsid(box.heap, slot)).toBe(0);
    expect(movePageTables(box.task, { ...move, oldVma, newVma: oldVma, oldStart: newStart, newStart: oldStart })).toBe(
      1,
    );
    mmapWriteUnlock(box.task, box.mm);
    tryToUnmapFlush(box.task3);
  });

  mmTest(
    'a flush behind the locks is too late',
    (box: Sandbox): Sim<void> => {
      fill(box, FROM, 1, [0]);
      expect(movePages(box, FROM, 1, TO)).toBe(0);
    },
    { rules: mremapRules({ flush: 'afterUnlock' }), expected: ['TLB entry of a moved page'] },
  );
});

describe('whole tables', () => {
  mmTest('an aligned PTE table is relinked', (box: Sandbox): Sim<void> => {
    const written = [0, 7, PER_TABLE - 1];
    fill(box, PER_TABLE, PER_TABLE, written);
    userRead(box.task2, (PER_TABLE + 7) as Vpn, 0);
    const table = findTable(box.task, box.mm, PER_TABLE as Vpn, LEVEL_PTE);
    expect(movePages(box, PER_TABLE, PER_TABLE, 4 * PER_TABLE)).toBe(0);
    expect(findTable(box.task, box.mm, (4 * PER_TABLE) as Vpn, LEVEL_PTE)).toBe(table);
    expect(findTable(box.task, box.mm, PER_TABLE as Vpn, LEVEL_PTE)).toBe(NO_TABLE);
    expect(tableBase(box, table)).toBe(4 * PER_TABLE);
    expectFilled(box, 4 * PER_TABLE, written);
    expect(userRead(box.task2, (PER_TABLE + 7) as Vpn, 0)).toBe(SEGV_MAPERR);
  });

  mmTest('one whose destination has a table is not', (box: Sandbox): Sim<void> => {
    const [from, to] = [PER_TABLE, 4 * PER_TABLE];
    const written = [1, 2, 300];
    fill(box, from, PER_TABLE, written);
    fill(box, to, PER_TABLE, [5]);
    const [oldVma, newVma] = [vmaLookup(box.task, box.mm, from as Vpn), vmaLookup(box.task, box.mm, to as Vpn)];
    const [oldStart, newStart] = [from as Vpn, to as Vpn];
    const table = findTable(box.task, box.mm, newStart, LEVEL_PTE);
    const move = { mm: box.mm, nrPages: PER_TABLE, needRmapLocks: true, forStack: false };
    mmapWriteLock(box.task, box.mm);
    // An empty table, as exec's stack finds it where it has just moved away from.
    zapPageRange(box.task, newVma, newStart, (to + PER_TABLE) as Vpn);
    expect(movePageTables(box.task, { ...move, oldVma, newVma, oldStart, newStart })).toBe(PER_TABLE);
    expect(findTable(box.task, box.mm, newStart, LEVEL_PTE)).toBe(table);
    expect(pteIsNone(pteAt(box, to + 300))).toBe(false);
    const back = { ...move, oldVma: newVma, newVma: oldVma, oldStart: newStart, newStart: oldStart };
    expect(movePageTables(box.task, back)).toBe(PER_TABLE);
    mmapWriteUnlock(box.task, box.mm);
    expectFilled(box, from, written);
  });

  mmTest('a table is relinked from a start inside it if nothing is mapped below', (box: Sandbox): Sim<void> => {
    const [from, to, pages] = [PER_TABLE + 20, 5 * PER_TABLE + 20, 2 * PER_TABLE];
    const written = [0, 100, PER_TABLE, 2 * PER_TABLE - 1];
    fill(box, from, pages, written);
    const table = findTable(box.task, box.mm, from as Vpn, LEVEL_PTE);
    expect(movePages(box, from, pages, to)).toBe(0);
    expect(findTable(box.task, box.mm, to as Vpn, LEVEL_PTE)).toBe(table);
    expectFilled(box, to, written);
  });

  for (const below of [PER_TABLE + 3, 5 * PER_TABLE + 3]) {
    mmTest(`but not over a mapping at ${below}`, (box: Sandbox): Sim<void> => {
      const [from, to, pages] = [PER_TABLE + 20, 5 * PER_TABLE + 20, 2 * PER_TABLE];
      fill(box, below, 1, [0]);
      fill(box, from, pages, [0, 100, PER_TABLE]);
      const table = findTable(box.task, box.mm, from as Vpn, LEVEL_PTE);
      expect(movePages(box, from, pages, to)).toBe(0);
      expect(findTable(box.task, box.mm, to as Vpn, LEVEL_PTE)).not.toBe(table);
      expectFilled(box, to, [0, 100, PER_TABLE]);
      expectFilled(box, below, [0]);
    });
  }

  mmTest('an aligned PMD table goes with everything below it', (box: Sandbox): Sim<void> => {
    const written = [3, 5 * PER_TABLE + 1, PER_PUD - 1];
    fill(box, PER_PUD, PER_PUD, written);
    const pmd = findTable(box.task, box.mm, PER_PUD as Vpn, LEVEL_PMD);
    const pte = findTable(box.task, box.mm, (PER_PUD + 3) as Vpn, LEVEL_PTE);
    expect(movePages(box, PER_PUD, PER_PUD, 3 * PER_PUD)).toBe(0);
    expect(findTable(box.task, box.mm, (3 * PER_PUD) as Vpn, LEVEL_PMD)).toBe(pmd);
    expect(findTable(box.task, box.mm, (3 * PER_PUD + 3) as Vpn, LEVEL_PTE)).toBe(pte);
    expect([tableBase(box, pmd), tableBase(box, pte)]).toEqual([3 * PER_PUD, 3 * PER_PUD]);
    expectFilled(box, 3 * PER_PUD, written);
  });

  mmTest('holes of any size are passed over', (box: Sandbox): Sim<void> => {
    const pages = 2 * PER_PUD + 5;
    fill(box, PER_PUD + 1, pages, [pages - 1]);
    expect(movePages(box, PER_PUD + 1, pages, 5 * PER_PUD + 2)).toBe(0);
    expectFilled(box, 5 * PER_PUD + 2, [pages - 1]);
  });
});

function tableBase({ heap }: Sandbox, table: number): number {
  return heap[table + TABLE.base];
}

/** Records the classes of all locks taken. */
class LockLog implements LockStatsHook {
  readonly classes: LockClassId[] = [];
  acquired(_task: Task, _lock: number, cls: LockClassId): void {
    this.classes.push(cls);
  }
  released(): void {
    // Only what is taken matters.
  }
}

describe('rmap locks', () => {
  /** How often the anon_vma lock is taken when one page, or one whole table, moves there and back. */
  function countRmapLocks(box: Sandbox, table: boolean, needRmapLocks: boolean): Sim<number> {
    const [from, to, nrPages] = table ? [PER_TABLE, 4 * PER_TABLE, PER_TABLE] : [FROM, TO, 1];
    mapPages(box, from, nrPages);
    mapPages(box, to, nrPages);
    userWrite(box.task, from as Vpn, 0, 1);
    const [oldVma, newVma] = [vmaLookup(box.task, box.mm, from as Vpn), vmaLookup(box.task, box.mm, to as Vpn)];
    const log = new LockLog();
    const task: Task = { ...box.task, lockStats: log };
    const move = { mm: box.mm, nrPages, needRmapLocks, forStack: false };
    const there = { ...move, oldVma, newVma, oldStart: from as Vpn, newStart: to as Vpn };
    // The other VMA has no anon_vma, so the way back would not know what to lock.
    const back = { ...move, oldVma, newVma: oldVma, oldStart: to as Vpn, newStart: from as Vpn, forStack: true };
    mmapWriteLock(task, box.mm);
    expect(moveAll(task, there)).toBe(nrPages);
    expect(moveAll(task, back)).toBe(nrPages);
    mmapWriteUnlock(task, box.mm);
    return log.classes.filter((cls) => cls === CLASS_ANON_VMA_RWSEM).length;
  }

  function moveAll(task: Task, move: PageTableMove): Sim<number> {
    return movePageTables(task, move);
  }

  const UNLOCKED_TABLE = 'mremap: a page table moves without the rmap lock';
  const CASES: readonly { rule: Rules['mremap']['rmapLocks']; table: boolean; need: boolean; taken: number }[] = [
    { rule: 'byOrder', table: false, need: false, taken: 0 },
    { rule: 'byOrder', table: false, need: true, taken: 2 },
    { rule: 'byOrder', table: true, need: false, taken: 2 },
    { rule: 'always', table: false, need: false, taken: 2 },
    { rule: 'never', table: false, need: true, taken: 0 },
    { rule: 'never', table: true, need: true, taken: 0 },
  ];
  for (const { rule, table, need, taken } of CASES) {
    const what = `${table ? 'a table' : 'an entry'}, ${need ? '' : 'not '}needed`;
    mmTest(
      `${rule}, ${what}: ${taken}`,
      (box: Sandbox): Sim<void> => {
        expect(countRmapLocks(box, table, need)).toBe(taken);
      },
      { rules: mremapRules({ rmapLocks: rule }), expected: rule === 'never' && table ? [UNLOCKED_TABLE] : [] },
    );
  }
});

describe('without memory', () => {
  for (const [from, pages, to] of [
    [FROM, 3, 2 * PER_TABLE - 1],
    [PER_TABLE, PER_TABLE, PER_PUD],
    [PER_TABLE - 2, 4, 3 * PER_TABLE - 1],
  ] as const) {
    mmTest(`${pages} pages at ${from} stay where they are, all of them`, (box: Sandbox): Sim<void> => {
      const written = [0, 1, pages - 1];
      fill(box, from, pages, written);
      let failures = 0;
      for (;;) {
        const task = failingTask(box.task, failures);
        const result = movePages(box, from, pages, to, task);
        if (task.injectedFailures === 0) {
          expect(result).toBe(0);
          break;
        }
        expect([0, -ENOMEM]).toContain(result);
        if (result === 0) expect(movePages(box, to, pages, from)).toBe(0);
        expectFilled(box, from, written);
        failures++;
      }
      expect(failures).toBeGreaterThan(2);
      expectFilled(box, to, written);
    });
  }
});

interface Shared {
  readonly box: Sandbox;
}

for (const { what, from, pages, to } of [
  { what: 'entries', from: FROM, pages: 2, to: TO },
  { what: 'a table', from: PER_TABLE, pages: PER_TABLE, to: 3 * PER_TABLE },
]) {
  const name = `${what} move there and back while their pages migrate and are used`;
  const program: Concurrent<Shared> = {
    ...mmKernel(LINUX_7_0, {}),
    executions: 50,
    setup: (kernel: Kernel): Sim<Shared> => {
      const box = openSandbox(kernel);
      fill(box, from, pages, [0, 1]);
      return { box };
    },
    threads: [
      (task: Task, { box }: Shared): Sim<void> => {
        task.mm = box.mm;
        expect(movePages(box, from, pages, to, task)).toBe(0);
        expect(movePages(box, to, pages, from, task)).toBe(0);
      },
      (task: Task, { box }: Shared): Sim<void> => {
        migrateRange(task, box.mm, from as Vpn, 2, 'sync');
        migrateRange(task, box.mm, to as Vpn, 2, 'async');
      },
      (task: Task, { box }: Shared): Sim<void> => {
        task.mm = box.mm;
        for (const vpn of [from, to]) {
          const result = userRead(task, vpn as Vpn, 0);
          expect(result === SEGV_MAPERR || (result === 0 && task.loaded === 1000)).toBe(true);
        }
      },
    ],
    check: (kernel: Kernel, { box }: Shared): Sim<void> => {
      kernel.task.mm = box.mm;
      for (const i of [0, 1]) {
        expect(readIn(kernel.task, box.mm, from + i)).toBe(1000 + i);
        expect(pageState(box, pfnAtVpn(box, from + i))).toBe('1/1e');
      }
      expectQuiet(box);
    },
  };
  simConcurrent(name, program);
  simPreempted(name, program);
}
