/**
 * Counts against a recount of all page tables: mapcount (1), refcount (4), MM_ANONPAGES and MM_SHMEMPAGES (5), the zero page (6), frames that
 * nothing refers to (7). Pins are counted in a ledger of their own (src/check/ledger.ts), never taken from the page.
 */

import type { Heap } from '../arena/heap.ts';
import { CACHES } from '../arena/header.ts';
import { slabIsAllocated } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { NO_ADDRESS_SPACE, type MmPtr, type Pfn } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { GUP_PIN_COUNTING_BIAS, PAGE, nrFrames, pageAt, zeroPfn } from '../layout/page.ts';
import { pteIsHuge, pteIsMigration, pteIsPresent, ptePfn } from '../layout/pte.ts';
import { describeMm, describePage } from './describe.ts';
import { pinsOf } from './ledger.ts';
import { cachedPages, forEachPte, isObject, liveMms, liveObjects, objectOfPage } from './view.ts';

/** Recounts every page and every mm. */
export function checkCounts(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const mapped = new Int32Array(nrFrames(heap) + 1);
  for (const mm of liveMms(heap)) countMm(heap, mm, mapped, violations);
  const cached = new Int32Array(nrFrames(heap) + 1);
  for (const object of liveObjects(heap)) {
    for (const { pfn } of cachedPages(heap, object)) if (pfn > 0 && pfn < cached.length) cached[pfn]++;
  }
  for (let pfn = 1; pfn <= nrFrames(heap); pfn++) checkFrame(heap, pfn as Pfn, mapped[pfn], cached[pfn], violations);
  return violations;
}

function countMm(heap: Heap, mm: MmPtr, mapped: Int32Array, violations: Violation[]): void {
  let anonPages = 0;
  let shmemPages = 0;
  forEachPte(heap, mm, (_vpn, value) => {
    const pfn = ptePfn(value);
    const isPresent = pteIsPresent(value) && pfn !== zeroPfn(heap);
    if (!isPresent && !pteIsMigration(value)) return;
    if (isPresent && pfn < mapped.length) mapped[pfn]++;
    if (pteIsHuge(value)) return; // counted by neither
    if (objectOfPage(heap, pfn) === NO_ADDRESS_SPACE) anonPages++;
    else shmemPages++;
  });
  const compare = (name: string, counted: number, entries: number, what: string): void => {
    if (counted === entries) return;
    violations.push({
      kind: 'count-mismatch',
      title: `${name} of ${describeMm(heap, mm)} is ${counted}, its tables hold ${entries} ${what}`,
      signature: `${name} differs from the page tables`,
      evidence: [],
    });
  };
  compare('MM_ANONPAGES', heap[mm + MM.anonPages], anonPages, 'anonymous entries');
  compare('MM_SHMEMPAGES', heap[mm + MM.shmemPages], shmemPages, 'entries of objects');
}

function checkFrame(heap: Heap, pfn: Pfn, mapped: number, cached: number, violations: Violation[]): void {
  const page = pageAt(heap, pfn);
  const allocated = isObject(heap, CACHES.frame, page) && slabIsAllocated(heap, page);
  const mapcount = heap[page + PAGE.mapcount];
  const refcount = heap[page + PAGE.refcount];
  const wrong = (kind: Violation['kind'], what: string, signature: string): void => {
    violations.push({ kind, title: what, signature, evidence: [describePage(heap, pfn)] });
  };
  if (!allocated) {
    if (mapped > 0)
      wrong('use-after-free', `pfn ${pfn} is free and mapped by ${mapped} entries`, 'free frame is mapped');
    return;
  }
  if (pfn === zeroPfn(heap)) {
    if (mapcount !== 0 || refcount !== 1) {
      wrong(
        'count-mismatch',
        `the zero page has mapcount ${mapcount}, refcount ${refcount}`,
        'zero page counts changed',
      );
    }
    return;
  }
  if (mapcount !== mapped) {
    wrong(
      'count-mismatch',
      `mapcount of pfn ${pfn} is ${mapcount}, ${mapped} entries map it`,
      'mapcount differs from entries',
    );
  }
  const expected = mapped + cached + pinsOf(heap, pfn) * GUP_PIN_COUNTING_BIAS;
  if (expected === 0) wrong('leak', `pfn ${pfn} is allocated, but nothing maps, pins or keeps it`, 'frame leaked');
  else if (refcount !== expected) {
    wrong(
      'count-mismatch',
      `refcount of pfn ${pfn} is ${refcount}, ${expected} are accounted for`,
      'refcount differs from holders',
    );
  }
}
