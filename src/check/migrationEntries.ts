/** Invariant 10: at quiescence no page table holds a migration entry. */

import type { Heap } from '../arena/heap.ts';
import type { Violation } from '../base/finding.ts';
import type { MmPtr, PteVal, Vpn } from '../layout/ids.ts';
import { pteIsMigration, ptePfn } from '../layout/pte.ts';
import { describePage, describePlace, describePte, describeVma, placeOf } from './describe.ts';
import { forEachPte, liveMms, treeRanges } from './view.ts';

/** Every migration entry that is left when no migration runs. */
export function checkMigrationEntries(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const mm of liveMms(heap)) {
    forEachPte(heap, mm, (vpn, value) => {
      if (pteIsMigration(value)) violations.push(danglingEntry(heap, mm, vpn, value, 'no migration is running'));
    });
  }
  return violations;
}

/** The violation for one entry; `why` says how we know that nobody will restore it. */
export function danglingEntry(heap: Heap, mm: MmPtr, vpn: Vpn, value: PteVal, why: string): Violation {
  const range = treeRanges(heap, mm).find(({ start, end }) => start <= vpn && vpn < end);
  return {
    kind: 'dangling-migration-entry',
    title: `dangling migration PTE: ${describePlace(heap, mm, vpn)} still holds a migration entry, and ${why}`,
    signature: 'migration entry without a locked source folio',
    place: placeOf(heap, mm, vpn),
    evidence: [
      `entry: ${describePte(value)}`,
      `source: ${describePage(heap, ptePfn(value))}`,
      range === undefined ? 'no VMA covers the address' : `covered by ${describeVma(heap, range.vma)}`,
    ],
  };
}
