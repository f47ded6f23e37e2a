/**
 * TLBs against tables: at quiescence an entry of a live address space must agree with the page table in frame and must not
 * allow more than it (45 at rest). Entries of address spaces that are gone are dead by their number.
 */

import type { Heap } from '../arena/heap.ts';
import type { Violation } from '../base/finding.ts';
import type { MmPtr, PteVal, Vpn } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { HUGE_PAGES } from '../layout/page.ts';
import { pteIsHuge, pteIsPresent, pteIsWritable, ptePfn } from '../layout/pte.ts';
import { TLB_ENTRY } from '../layout/tlb.ts';
import { describePlace, describePte } from './describe.ts';
import { forEachPte, forEachTranslation, liveMms } from './view.ts';

interface CachedTranslation {
  readonly cpu: number;
  readonly asid: number;
  readonly vpn: Vpn;
  readonly pte: PteVal;
}

/** Every translation that a CPU holds. */
function cachedTranslations(heap: Heap): CachedTranslation[] {
  const cached: CachedTranslation[] = [];
  forEachTranslation(heap, (cpu, slot) => {
    const asid = heap[slot + TLB_ENTRY.asid];
    cached.push({ cpu, asid, vpn: heap[slot + TLB_ENTRY.vpn] as Vpn, pte: heap[slot + TLB_ENTRY.pte] as PteVal });
  });
  return cached;
}

/** Compares every cached translation with the page table of its address space. */
export function checkStaleTlb(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const cached = cachedTranslations(heap);
  for (const mm of liveMms(heap)) {
    const own = cached.filter(({ asid }) => asid === heap[mm + MM.asid]);
    if (own.length === 0) continue;
    const entries = new Map<number, PteVal>();
    forEachPte(heap, mm, (vpn, value) => entries.set(vpn, value));
    for (const translation of own) compare(heap, mm, translation, entryFor(entries, translation.vpn), violations);
  }
  return violations;
}

/** The entry that a translation of `vpn` comes from: its own, or that of the huge page around it. */
function entryFor(entries: ReadonlyMap<number, PteVal>, vpn: Vpn): PteVal | undefined {
  const huge = entries.get(vpn - (vpn % HUGE_PAGES));
  return huge !== undefined && pteIsHuge(huge) ? huge : entries.get(vpn);
}

function compare(
  heap: Heap,
  mm: MmPtr,
  { cpu, vpn, pte }: CachedTranslation,
  entry: PteVal | undefined,
  violations: Violation[],
): void {
  const same = entry !== undefined && pteIsPresent(entry) && ptePfn(entry) === ptePfn(pte);
  if (same && (pteIsWritable(entry) || !pteIsWritable(pte))) return;
  violations.push({
    kind: 'stale-tlb',
    title: `CPU ${cpu} still translates ${describePlace(heap, mm, vpn)} by an entry that the table no longer holds`,
    signature: same ? 'TLB entry allows writing, the table does not' : 'TLB entry without a table entry',
    evidence: [`TLB: ${describePte(pte)}`, `table: ${entry === undefined ? 'none' : describePte(entry)}`],
  });
}
