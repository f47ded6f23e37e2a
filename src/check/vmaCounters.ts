/**
 * Size counters of an address space against a recount of its VMAs (48). What MREMAP_DONTUNMAP leaves counted as locked is
 * the kernel's doing; it is known by a word of its own.
 */

import type { Heap } from '../arena/heap.ts';
import type { Violation } from '../base/finding.ts';
import type { MmPtr } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import {
  VMA,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_SHARED,
  VM_STACK_INCOMPLETE_SETUP,
  VM_WRITE,
} from '../layout/vma.ts';
import { describeMm, describeVma } from './describe.ts';
import { liveMms, treeRanges } from './view.ts';

/** Recounts every address space that has users: one that lost them keeps its last numbers. */
export function checkVmaCounters(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const mm of liveMms(heap)) if (heap[mm + MM.users] > 0) checkMm(heap, mm, violations);
  return violations;
}

function checkMm(heap: Heap, mm: MmPtr, violations: Violation[]): void {
  let total = 0;
  let data = 0;
  let locked = heap[mm + MM.strandedLockedVm];
  for (const { start, end, vma } of treeRanges(heap, mm)) {
    const flags = heap[vma + VMA.flags];
    // An exec that failed half-way: the stack covers both places, is counted at one, and the process is fit for exit only.
    if ((flags & VM_STACK_INCOMPLETE_SETUP) !== 0) return;
    total += end - start;
    if ((flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE) data += end - start;
    if ((flags & VM_LOCKED) !== 0) locked += end - start;
    else if ((flags & VM_LOCKONFAULT) !== 0) {
      violations.push({
        kind: 'vma-tree',
        title: `${describeMm(heap, mm)}: a VMA is to be locked as it is touched, but is not locked`,
        signature: 'VM_LOCKONFAULT without VM_LOCKED',
        evidence: [describeVma(heap, vma)],
      });
    }
  }
  const compare = (name: string, counted: number, expected: number): void => {
    if (counted === expected) return;
    violations.push({
      kind: 'count-mismatch',
      title: `${name} of ${describeMm(heap, mm)} is ${counted}, its VMAs have ${expected} such pages`,
      signature: `${name} differs from the VMAs`,
      evidence: [],
    });
  };
  compare('total_vm', heap[mm + MM.totalVm], total);
  compare('data_vm', heap[mm + MM.dataVm], data);
  compare('locked_vm', heap[mm + MM.lockedVm], locked);
}
