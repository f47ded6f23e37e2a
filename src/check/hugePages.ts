/**
 * The pool of huge pages: free pages and pages in use are the pool (52); what is reserved are the promises that mappings and
 * objects have not used (53). A page that an owner unmapped while others had it gives its promise back when it is freed, so until
 * then one less is reserved than promised.
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { ADDRESS_SPACE } from '../layout/addressSpace.ts';
import { GLOBAL, globalAt } from '../layout/globals.ts';
import { hugetlbPoolSize } from '../layout/hugetlb.ts';
import { HUGE_PAGES, PAGE, PG_hugetlb, PG_hugetlbRestoreReserve, PG_hugetlbTemporary } from '../layout/page.ts';
import { HPAGE_RESV_OWNER, VMA, VM_HUGETLB, VM_SHARED } from '../layout/vma.ts';
import { cachedPages, liveMms, liveObjects, treeRanges } from './view.ts';

/** Recounts the pool. */
export function checkHugePages(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const flags = [...slabObjects(heap, CACHES.frame)]
    .filter((page) => slabIsAllocated(heap, page))
    .map((page) => heap[page + PAGE.flags])
    .filter((bits) => (bits & PG_hugetlb) !== 0);
  const used = flags.filter((bits) => (bits & PG_hugetlbTemporary) === 0).length;
  const returning = flags.filter((bits) => (bits & PG_hugetlbRestoreReserve) !== 0).length;
  const free = heap[globalAt(heap, GLOBAL.hugetlbFree)];
  const reserved = heap[globalAt(heap, GLOBAL.hugetlbReserved)];
  const expected = promised(heap) + heap[globalAt(heap, GLOBAL.hugetlbStranded)] - returning;
  const wrong = (title: string, signature: string): void => {
    violations.push({ kind: 'count-mismatch', title, signature, evidence: [] });
  };
  if (free + used !== hugetlbPoolSize(heap)) {
    const what = `${free} huge pages are free and ${used} in use, of a pool of ${hugetlbPoolSize(heap)}`;
    wrong(what, 'huge pages free and in use are not the pool');
  }
  if (reserved !== expected) {
    wrong(`${reserved} huge pages are reserved, ${expected} are promised`, 'reserved huge pages differ from promises');
  }
  return violations;
}

/** Promises of owners' VMAs and of shared objects that are not used up. */
function promised(heap: Heap): number {
  let promises = 0;
  const shared = new Set<number>();
  for (const { vma, start, end } of liveMms(heap).flatMap((mm) => treeRanges(heap, mm))) {
    const flags = heap[vma + VMA.flags];
    if ((flags & VM_HUGETLB) === 0) continue;
    const object = heap[vma + VMA.file];
    if ((flags & VM_SHARED) !== 0) shared.add(object);
    else if ((heap[vma + VMA.privateData] & HPAGE_RESV_OWNER) !== 0) {
      const first = heap[vma + VMA.pgoff] / HUGE_PAGES;
      const last = first + (end - start) / HUGE_PAGES;
      for (let index = first; index < last; index++) if (!bit(heap, object, index)) promises++;
    }
  }
  for (const object of liveObjects(heap)) {
    if (!shared.has(object)) continue;
    const pages = heap[object + ADDRESS_SPACE.nrPages] / HUGE_PAGES;
    for (let index = 0; index < pages; index++) if (bit(heap, object, index)) promises++;
    promises -= cachedPages(heap, object).length;
  }
  return promises;
}

function bit(heap: Heap, object: number, index: number): boolean {
  return (heap[object + ADDRESS_SPACE.reserved + (index >> 5)] & (1 << (index & 31))) !== 0;
}
