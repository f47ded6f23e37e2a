/** Page tables: every table reachable once, none leaked, entries only where a VMA is (41), pgtables counter. */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { MM } from '../layout/mm.ts';
import { ENTRIES_PER_TABLE, LEVEL_PGD, LEVEL_PTE, TABLE } from '../layout/pageTable.ts';
import { describeMm, describePlace } from './describe.ts';
import { forEachPte, isTable, liveMms, treeRanges } from './view.ts';

/** Checks every table of every mm and that no table is left over. */
export function checkPageTables(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const seen = new Set<number>();
  for (const mm of liveMms(heap)) {
    const before = seen.size;
    const pgd = heap[mm + MM.pgd];
    if (pgd !== 0) collect(heap, pgd, LEVEL_PGD, seen, violations);
    const tables = seen.size - before;
    if (heap[mm + MM.pgtables] !== tables) {
      violations.push(
        wrong(`${describeMm(heap, mm)} counts ${heap[mm + MM.pgtables]} tables, has ${tables}`, 'pgtables counter'),
      );
    }
    const ranges = treeRanges(heap, mm);
    forEachPte(heap, mm, (vpn) => {
      if (ranges.some(({ start, end }) => start <= vpn && vpn < end)) return;
      violations.push(
        wrong(`${describePlace(heap, mm, vpn)} has an entry, but no VMA covers it`, 'entry without a VMA'),
      );
    });
  }
  for (const table of slabObjects(heap, CACHES.pageTable)) {
    if (!slabIsAllocated(heap, table) || seen.has(table)) continue;
    violations.push({
      ...wrong('a page table is allocated but not reachable from any mm', 'page table leaked'),
      kind: 'leak',
    });
  }
  return violations;
}

function wrong(title: string, signature: string): Violation {
  return { kind: 'page-table', title, signature, evidence: [] };
}

function collect(heap: Heap, table: number, level: number, seen: Set<number>, violations: Violation[]): void {
  if (!isTable(heap, table)) {
    violations.push({
      ...wrong('an upper entry leads to a freed table', 'entry to a freed table'),
      kind: 'use-after-free',
    });
    return;
  }
  if (seen.has(table)) {
    violations.push(wrong('a page table is reachable by two ways', 'page table linked twice'));
    return;
  }
  seen.add(table);
  if (heap[table + TABLE.level] !== level) violations.push(wrong('a page table hangs at a wrong level', 'table level'));
  if (level === LEVEL_PTE) return;
  for (let i = 0; i < ENTRIES_PER_TABLE; i++) {
    const next = heap[table + TABLE.entries + i];
    if (next > 0) collect(heap, next, level - 1, seen, violations);
  }
}
