/** At quiescence nobody holds or waits for a lock: words of every lock of every live object, the tasks' wait words, page locks. */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { ADDRESS_SPACE } from '../layout/addressSpace.ts';
import { ANON_VMA } from '../layout/anonVma.ts';
import type { Pfn } from '../layout/ids.ts';
import { RWSEM, SPIN } from '../layout/lockWords.ts';
import { MM } from '../layout/mm.ts';
import { PAGE, PG_locked, nrFrames, pageAt } from '../layout/page.ts';
import { TABLE } from '../layout/pageTable.ts';
import { TASK, allTaskIds, taskAt } from '../layout/task.ts';
import { describePage } from './describe.ts';

const RWSEM_HELD = ~0b110;

/** Looks at every lock word. */
export function checkLocksFree(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  const held = (what: string, evidence: string[] = []): void => {
    violations.push({
      kind: 'lock-balance',
      title: `${what} is held although no operation runs`,
      signature: `${what} left held`,
      evidence,
    });
  };
  const rwsem = (at: number, what: string): void => {
    if ((heap[at + RWSEM.count] & RWSEM_HELD) !== 0) held(what);
  };
  const spin = (at: number, what: string): void => {
    if (heap[at + SPIN.state] !== 0) held(what);
  };
  for (const mm of allocated(heap, CACHES.mm)) {
    rwsem(mm + MM.mmapLock, 'mmap_lock');
    spin(mm + MM.pageTableLock, 'page_table_lock');
    if ((heap[mm + MM.writeProtectSeq] & 1) !== 0) held('write_protect_seq');
    if ((heap[mm + MM.mmLockSeq] & 1) !== 0) held('mm_lock_seq');
  }
  for (const anonVma of slabObjects(heap, CACHES.anonVma)) {
    rwsem(anonVma + ANON_VMA.rwsem, 'anon_vma->rwsem');
    spin(anonVma + ANON_VMA.lock, 'anon_vma->lock');
  }
  for (const object of allocated(heap, CACHES.addressSpace)) {
    rwsem(object + ADDRESS_SPACE.iMmapRwsem, 'i_mmap_rwsem');
    spin(object + ADDRESS_SPACE.iPagesLock, 'i_pages lock');
  }
  for (const table of allocated(heap, CACHES.pageTable)) spin(table + TABLE.lock, 'a page-table lock');
  for (let pfn = 1; pfn <= nrFrames(heap); pfn++) {
    if ((heap[pageAt(heap, pfn as Pfn) + PAGE.flags] & PG_locked) !== 0) {
      held('a folio lock', [describePage(heap, pfn as Pfn)]);
    }
  }
  for (const id of allTaskIds(heap)) {
    if (heap[taskAt(heap, id) + TASK.rcuNesting] !== 0) held('an RCU read side');
  }
  return violations;
}

function allocated(heap: Heap, cache: (typeof CACHES)[keyof typeof CACHES]): number[] {
  return [...slabObjects(heap, cache)].filter((object) => slabIsAllocated(heap, object));
}
