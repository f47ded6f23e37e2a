/** Page tables: making them, finding them, and who may take them away. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { NO_TABLE, type Vpn } from '../../src/layout/ids.ts';
import { MM } from '../../src/layout/mm.ts';
import {
  ENTRIES_PER_TABLE,
  LEVEL_PGD,
  LEVEL_PMD,
  LEVEL_PTE,
  LEVEL_PUD,
  TABLE,
  pagesPerEntry,
} from '../../src/layout/pageTable.ts';
import { tlbFinishMmu, tlbGatherMmu } from '../../src/mm/mmuGather.ts';
import {
  findTable,
  freePgtables,
  nextBoundary,
  nextPteTable,
  pmdAlloc,
  pteAlloc,
  pudAlloc,
} from '../../src/mm/pageTable.ts';
import { failingTask, mmTest, type Sandbox } from './sandbox.ts';

const PER_TABLE = ENTRIES_PER_TABLE;
const PER_PUD = pagesPerEntry(LEVEL_PUD);
/** Far enough to need tables of its own at every level. */
const FAR = pagesPerEntry(LEVEL_PGD) + 5 * PER_PUD + 7 * PER_TABLE + 9;

function tables({ heap }: Sandbox): number {
  return slabAllocatedCount(heap, CACHES.pageTable);
}

function word({ heap }: Sandbox, at: number): number {
  return heap[at];
}

function counted({ heap, mm }: Sandbox): number {
  return heap[mm + MM.pgtables];
}

/** free_pgtables for a range nothing is mapped in. */
function freeRange(box: Sandbox, start: number, end: number, floor: number, ceiling: number): Sim<void> {
  const tlb = tlbGatherMmu(box.task, box.mm, false);
  freePgtables(box.task, tlb, box.mm, start as Vpn, end as Vpn, floor as Vpn, ceiling as Vpn);
  tlbFinishMmu(box.task, tlb);
}

describe('allocation', () => {
  mmTest('makes what is missing, once', (box: Sandbox): Sim<void> => {
    expect([tables(box), counted(box)]).toEqual([1, 1]);
    const pte = pteAlloc(box.task, box.mm, 10 as Vpn);
    expect(pteAlloc(box.task, box.mm, 11 as Vpn)).toBe(pte);
    expect([tables(box), counted(box)]).toEqual([4, 4]);
    expect(pteAlloc(box.task, box.mm, PER_TABLE as Vpn)).not.toBe(pte);
    expect(tables(box)).toBe(5);
    for (const level of [LEVEL_PTE, LEVEL_PMD, LEVEL_PUD, LEVEL_PGD]) {
      const table = findTable(box.task, box.mm, 10 as Vpn, level);
      expect(word(box, table + TABLE.level)).toBe(level);
      expect(word(box, table + TABLE.base)).toBe(0);
    }
    freeRange(box, 0, 2 * PER_TABLE, 0, 0);
    expect([tables(box), counted(box)]).toEqual([1, 1]);
  });

  mmTest('stops at the level that is asked for', (box: Sandbox): Sim<void> => {
    const pud = pudAlloc(box.task, box.mm, FAR as Vpn);
    expect(findTable(box.task, box.mm, FAR as Vpn, LEVEL_PUD)).toBe(pud);
    expect(findTable(box.task, box.mm, FAR as Vpn, LEVEL_PMD)).toBe(NO_TABLE);
    const pmd = pmdAlloc(box.task, box.mm, FAR as Vpn);
    expect(findTable(box.task, box.mm, FAR as Vpn, LEVEL_PMD)).toBe(pmd);
    expect(findTable(box.task, box.mm, FAR as Vpn, LEVEL_PTE)).toBe(NO_TABLE);
    expect(word(box, pmd + TABLE.base)).toBe(FAR - (FAR % PER_PUD));
    freeRange(box, FAR, FAR + 1, 0, 0);
  });

  mmTest('keeps what it got before memory ran out', (box: Sandbox): Sim<void> => {
    for (let n = 2; n >= 0; n--) {
      expect(pteAlloc(failingTask(box.task, n, 3), box.mm, 10 as Vpn)).toBe(NO_TABLE);
      expect(counted(box)).toBe(tables(box));
      freeRange(box, 0, 1, 0, 0);
      expect(tables(box)).toBe(1);
    }
  });
});

describe('the walk over holes', () => {
  mmTest('finds the next table, or the end', (box: Sandbox): Sim<void> => {
    const next = (from: number, end: number): Sim<number> => nextPteTable(box.task, box.mm, from as Vpn, end as Vpn);
    expect(next(0, 100)).toBe(100);
    pteAlloc(box.task, box.mm, FAR as Vpn);
    const first = FAR - (FAR % PER_TABLE);
    expect(next(0, FAR + 1)).toBe(first);
    expect(next(FAR, FAR + 1)).toBe(FAR);
    expect(next(0, first)).toBe(first);
    expect(next(first + PER_TABLE, FAR + PER_PUD)).toBe(FAR + PER_PUD);
    freeRange(box, FAR, FAR + 1, 0, 0);
  });

  mmTest('knows where each level ends', (): Sim<void> => {
    expect(nextBoundary(5 as Vpn, LEVEL_PMD)).toBe(PER_TABLE);
    expect(nextBoundary(PER_TABLE as Vpn, LEVEL_PMD)).toBe(2 * PER_TABLE);
    expect(nextBoundary(FAR as Vpn, LEVEL_PGD)).toBe(2 * pagesPerEntry(LEVEL_PGD));
  });
});

describe('freeing', () => {
  interface Case {
    readonly what: string;
    readonly range: readonly [start: number, end: number, floor: number, ceiling: number];
    /** PTE tables left of those at 0, 1 and 2; tables in all. */
    readonly left: readonly number[];
    readonly tables: number;
  }
  const CASES: readonly Case[] = [
    { what: 'all', range: [3, 3 * PER_TABLE, 0, 0], left: [], tables: 1 },
    {
      what: 'one, with neighbours close by',
      range: [PER_TABLE, 2 * PER_TABLE, 9, 2 * PER_TABLE],
      left: [0, 2],
      tables: 5,
    },
    {
      what: 'none, for a neighbour below',
      range: [PER_TABLE + 9, 2 * PER_TABLE, PER_TABLE + 5, 0],
      left: [0, 1, 2],
      tables: 6,
    },
    {
      what: 'none, for a neighbour above',
      range: [PER_TABLE, PER_TABLE + 9, 0, PER_TABLE + 9],
      left: [0, 1, 2],
      tables: 6,
    },
    { what: 'the lower ones', range: [0, 2 * PER_TABLE + 1, 0, 2 * PER_TABLE + 1], left: [2], tables: 4 },
  ];
  for (const { what, range, left, tables: count } of CASES) {
    mmTest(`${what}`, (box: Sandbox): Sim<void> => {
      for (const i of [0, 1, 2]) pteAlloc(box.task, box.mm, (i * PER_TABLE + 5) as Vpn);
      const [start, end, floor, ceiling] = range;
      freeRange(box, start, end, floor, ceiling);
      const found: number[] = [];
      for (const i of [0, 1, 2]) {
        if (findTable(box.task, box.mm, (i * PER_TABLE) as Vpn, LEVEL_PTE) !== NO_TABLE) found.push(i);
      }
      expect(found).toEqual(left);
      expect(counted(box)).toBe(count);
      freeRange(box, 0, 3 * PER_TABLE, 0, 0);
      expect(counted(box)).toBe(1);
    });
  }
});
