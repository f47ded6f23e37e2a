/**
 * What one task does, as the observer has seen it by the hooks: the mmap locks and VMA read locks it holds, and where it
 * stands between the two halves of a change of a mapping. Lock words name writers only; who reads is known nowhere else.
 *
 * A record is touched by its own task alone. It lives as long as the checker, which is made anew for each execution.
 */

import { slabGeneration } from '../arena/slab.ts';
import type { Heap } from '../arena/heap.ts';
import type { MmPtr, Pfn, VmaPtr } from '../layout/ids.ts';
import { VMA } from '../layout/vma.ts';

/** What must not change while a VMA is read-locked. */
export interface VmaSnapshot {
  readonly mm: MmPtr;
  readonly start: number;
  readonly end: number;
  readonly pgoff: number;
  readonly flags: number;
  readonly generation: number;
}

export interface TaskRecord {
  /** mmap locks held; true for write. */
  readonly mmapLocks: Map<MmPtr, boolean>;
  /** VMAs read-locked, as they were when the lock was got. */
  readonly vmaLocks: Map<VmaPtr, VmaSnapshot>;
  /** Mappings of a page that the task has counted in its mapcount and that no entry shows (yet, or any more). */
  readonly unshown: Map<Pfn, number>;
  /** Place of the entry that the task has just made empty, 0 when it has changed another one since. */
  emptied: number;
}

/** Records by task, made when first asked for. */
export function createTaskRecords(): (id: number) => TaskRecord {
  const records: TaskRecord[] = [];
  return (id) => (records[id] ??= { mmapLocks: new Map(), vmaLocks: new Map(), unshown: new Map(), emptied: 0 });
}

/** The fields of a VMA as they are now. */
export function vmaSnapshot(heap: Heap, vma: VmaPtr): VmaSnapshot {
  return {
    mm: heap[vma + VMA.mm] as MmPtr,
    start: heap[vma + VMA.start],
    end: heap[vma + VMA.end],
    pgoff: heap[vma + VMA.pgoff],
    flags: heap[vma + VMA.flags],
    generation: slabGeneration(heap, vma),
  };
}
