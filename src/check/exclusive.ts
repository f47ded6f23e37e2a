/** PG_anon_exclusive against the page tables: invariants 14 (anonymous and writable => exclusive), 15 (exclusive => one mapping), 16 (KSM). */

import type { Heap } from '../arena/heap.ts';
import type { Violation } from '../base/finding.ts';
import { NO_ADDRESS_SPACE, type Pfn } from '../layout/ids.ts';
import { PAGE, PG_anonExclusive, mappingIsKsm, nrFrames, pageAt } from '../layout/page.ts';
import { pteIsPresent, pteIsWritable, ptePfn } from '../layout/pte.ts';
import { describePage, describePlace } from './describe.ts';
import { forEachPte, liveMms, objectOfPage } from './view.ts';

/** Checks every present entry and every frame. */
export function checkExclusive(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const mm of liveMms(heap)) {
    forEachPte(heap, mm, (vpn, value) => {
      if (!pteIsPresent(value) || !pteIsWritable(value)) return;
      const pfn = ptePfn(value);
      if (pfn > nrFrames(heap) || (heap[pageAt(heap, pfn) + PAGE.flags] & PG_anonExclusive) !== 0) return;
      if (objectOfPage(heap, pfn) !== NO_ADDRESS_SPACE) return;
      violations.push({
        kind: 'exclusive',
        title: `${describePlace(heap, mm, vpn)} is mapped writable, but the page is not anon-exclusive`,
        signature: 'writable entry of a page that is not exclusive',
        evidence: [describePage(heap, pfn)],
      });
    });
  }
  for (let pfn = 1; pfn <= nrFrames(heap); pfn++) checkFrame(heap, pfn as Pfn, violations);
  return violations;
}

function checkFrame(heap: Heap, pfn: Pfn, violations: Violation[]): void {
  const page = pageAt(heap, pfn);
  if ((heap[page + PAGE.flags] & PG_anonExclusive) === 0) return;
  if (heap[page + PAGE.mapcount] > 1) {
    violations.push({
      kind: 'exclusive',
      title: `pfn ${pfn} is anon-exclusive and mapped ${heap[page + PAGE.mapcount]} times`,
      signature: 'exclusive page mapped more than once',
      evidence: [describePage(heap, pfn)],
    });
  }
  if (mappingIsKsm(heap[page + PAGE.mapping])) {
    violations.push({
      kind: 'exclusive',
      title: `KSM page pfn ${pfn} is anon-exclusive`,
      signature: 'KSM page is exclusive',
      evidence: [describePage(heap, pfn)],
    });
  }
}
