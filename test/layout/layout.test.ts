/** Layouts: no struct overlaps itself, pictures in comments are what the code does. */
import { describe, expect, test } from 'vitest';
import { fieldTable, type FieldTable } from '../../src/arena/fieldTable.ts';
import { ADDRESS_SPACE_TABLE } from '../../src/layout/addressSpace.ts';
import { ANON_VMA, ANON_VMA_TABLE, AVC_TABLE } from '../../src/layout/anonVma.ts';
import { GLOBAL_TABLE } from '../../src/layout/globals.ts';
import type { Pfn, Vpn } from '../../src/layout/ids.ts';
import { KSM_MM_SLOT_TABLE, RMAP_ITEM_TABLE, STABLE_NODE_TABLE } from '../../src/layout/ksm.ts';
import { MUTEX_TABLE, RWSEM_TABLE, RWSEM_WORDS, SPIN_TABLE, SPIN_WORDS } from '../../src/layout/lockWords.ts';
import { MM, MM_TABLE } from '../../src/layout/mm.ts';
import { PAGE_TABLE_OF_FIELDS, makeAnonMapping, mappingAnonVma, mappingIsAnon } from '../../src/layout/page.ts';
import { LEVEL_PMD, LEVEL_PTE, PAGE_TABLE_TABLE, TABLE, tableIndex } from '../../src/layout/pageTable.ts';
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_TYPE_MIGRATION_WRITE,
  PTE_WRITE,
  PTE_YOUNG,
  makeNonPresentPte,
  makePte,
  pteIsHuge,
  pteIsMigration,
  pteIsPresent,
  pteIsWritable,
  ptePfn,
  pteType,
} from '../../src/layout/pte.ts';
import { TASK_TABLE } from '../../src/layout/task.ts';
import { TLB_ENTRY_TABLE } from '../../src/layout/tlb.ts';
import { VMA_TABLE } from '../../src/layout/vma.ts';
import { VMA_NODE_TABLE } from '../../src/layout/vmaNode.ts';

const TABLES: readonly FieldTable[] = [
  SPIN_TABLE,
  RWSEM_TABLE,
  MUTEX_TABLE,
  PAGE_TABLE_OF_FIELDS,
  PAGE_TABLE_TABLE,
  MM_TABLE,
  VMA_TABLE,
  VMA_NODE_TABLE,
  ANON_VMA_TABLE,
  ADDRESS_SPACE_TABLE,
  AVC_TABLE,
  TASK_TABLE,
  TLB_ENTRY_TABLE,
  GLOBAL_TABLE,
  KSM_MM_SLOT_TABLE,
  RMAP_ITEM_TABLE,
  STABLE_NODE_TABLE,
];

test.each(TABLES.map((table) => [table.name, table] as const))(
  '%s: every field inside, none shared',
  (_name, table) => {
    const words = Object.values(table.fields);
    expect(new Set(words).size).toBe(words.length);
    expect(Math.max(...words)).toBeLessThan(table.words);
  },
);

test('a field outside its struct and two on one word are refused', () => {
  expect(() => fieldTable('x', { a: 0, b: 4 }, 4)).toThrow(/x\.b lies outside/);
  expect(() => fieldTable('x', { a: 0, b: 0 }, 4)).toThrow(/shares its word/);
});

test('embedded locks have room', () => {
  expect(MM.pageTableLock - MM.mmapLock).toBeGreaterThanOrEqual(RWSEM_WORDS);
  expect(MM.mmLockSeq - MM.pageTableLock).toBeGreaterThanOrEqual(SPIN_WORDS);
  expect(ANON_VMA.lock - ANON_VMA.rwsem).toBeGreaterThanOrEqual(RWSEM_WORDS);
  expect(ANON_VMA.root - ANON_VMA.lock).toBeGreaterThanOrEqual(SPIN_WORDS);
  expect(TABLE.level - TABLE.lock).toBeGreaterThanOrEqual(SPIN_WORDS);
});

describe('entries', () => {
  test('a present entry keeps frame and flags up to the largest frame', () => {
    for (const pfn of [1, 2, 0x7_ffff]) {
      const pte = makePte(pfn as Pfn, PTE_WRITE | PTE_DIRTY);
      expect([ptePfn(pte), pteIsPresent(pte), pteIsWritable(pte), pteIsMigration(pte)]).toEqual([
        pfn,
        true,
        true,
        false,
      ]);
    }
  });

  test('an entry of a huge page is told from a table by its sign, and keeps its frame', () => {
    const pte = makePte(0x7_ffff as Pfn, PTE_HUGE | PTE_WRITE);
    expect([ptePfn(pte), pteIsPresent(pte), pteIsWritable(pte), pteIsHuge(pte)]).toEqual([0x7_ffff, true, true, true]);
    const entry = makeNonPresentPte(PTE_TYPE_MIGRATION_WRITE, 0x7_ffff, PTE_HUGE);
    expect([ptePfn(entry), pteIsMigration(entry), pteIsHuge(entry)]).toEqual([0x7_ffff, true, true]);
    expect(pteIsHuge(makePte(0x7_ffff as Pfn, PTE_WRITE))).toBe(false);
  });

  test('a migration entry keeps type, frame, young and dirty', () => {
    const pte = makeNonPresentPte(PTE_TYPE_MIGRATION_WRITE, 0x7_ffff, PTE_YOUNG);
    expect([ptePfn(pte), pteType(pte), pteIsMigration(pte), pteIsPresent(pte)]).toEqual([0x7_ffff, 3, true, false]);
    expect(pte & PTE_YOUNG).not.toBe(0);
  });

  test('an address is split into 9 bits per level', () => {
    const vpn = ((5 << 9) | 7) as Vpn;
    expect([tableIndex(vpn, LEVEL_PTE), tableIndex(vpn, LEVEL_PMD)]).toEqual([7, 5]);
  });

  test('folio->mapping: pointer and low bits in one word', () => {
    const mapping = makeAnonMapping(123_456 as never);
    expect([mappingAnonVma(mapping), mappingIsAnon(mapping)]).toEqual([123_456, true]);
    expect(mappingAnonVma(0)).toBe(0);
  });
});
