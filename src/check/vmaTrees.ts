/** VMA trees: sorted, disjoint, each node's range equals its VMA's, anon_vma set exactly when the chain is not empty (29). */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import type { MmPtr } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { VMA, VM_SHARED } from '../layout/vma.ts';
import { describeMm, describeVma } from './describe.ts';
import { avcsOf, isObject, liveMms, treeRanges, type TreeRange } from './view.ts';

/** Checks the tree of every mm. */
export function checkVmaTrees(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const mm of liveMms(heap)) {
    const ranges = treeRanges(heap, mm);
    let end = 0;
    for (const range of ranges) {
      checkRange(heap, mm, range, end, violations);
      end = range.end;
    }
    if (heap[mm + MM.mapCount] !== ranges.length) {
      violations.push(
        wrong(heap, mm, 'map_count differs from the tree', `${heap[mm + MM.mapCount]} against ${ranges.length}`),
      );
    }
  }
  return violations;
}

function wrong(heap: Heap, mm: MmPtr, what: string, detail: string): Violation {
  return {
    kind: 'vma-tree',
    title: `VMA tree of ${describeMm(heap, mm)}: ${what}`,
    signature: `vma tree: ${what}`,
    evidence: [detail],
  };
}

function checkRange(heap: Heap, mm: MmPtr, range: TreeRange, previousEnd: number, violations: Violation[]): void {
  const { start, end, vma } = range;
  const text = `[${start}, ${end})`;
  if (start >= end || start < previousEnd) violations.push(wrong(heap, mm, 'ranges overlap or are empty', text));
  if (!isObject(heap, CACHES.vma, vma) || !slabIsAllocated(heap, vma)) {
    violations.push({ ...wrong(heap, mm, 'a range leads to a freed VMA', text), kind: 'use-after-free' });
    return;
  }
  if (heap[vma + VMA.start] !== start || heap[vma + VMA.end] !== end) {
    violations.push(wrong(heap, mm, 'a range differs from its VMA', `${text}, ${describeVma(heap, vma)}`));
  }
  if (heap[vma + VMA.mm] !== mm) violations.push(wrong(heap, mm, 'a VMA belongs to another mm', text));
  if ((heap[vma + VMA.flags] & VM_SHARED) !== 0 && heap[vma + VMA.file] === 0) {
    violations.push(wrong(heap, mm, 'a shared mapping without an object', describeVma(heap, vma)));
  }
  if ((heap[vma + VMA.anonVma] !== 0) !== avcsOf(heap, vma, 1).length > 0) {
    violations.push(wrong(heap, mm, 'anon_vma and chain disagree', describeVma(heap, vma)));
  }
}
