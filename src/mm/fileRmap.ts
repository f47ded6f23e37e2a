/**
 * The rmap of a page of an object: from folio->mapping to the object, from its tree of VMAs to every VMA that maps the page's
 * offset.
 *
 * Lock order here: folio lock > i_mmap_rwsem > what rmapOne takes (page table locks).
 *
 * Invariants
 *   WALK-3  The folio lock keeps the object: it cannot end while one of its pages is locked. i_mmap_rwsem keeps the VMAs and
 *           their ranges.
 *
 * Kernel: rmap_walk_file(), folio_add_file_rmap_pte() in mm/rmap.c. Not modelled: large folios, nonlinear mappings.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { iMmapRwsem, iMmapTree } from '../layout/addressSpace.ts';
import { NO_ADDRESS_SPACE, NO_TREE_NODE, type Pfn, type VmaPtr } from '../layout/ids.ts';
import { atomicAddPageMapcount, mappingAddressSpace, pageIndex, readOncePageMapping } from '../layout/page.ts';
import { treeNodeVma } from '../layout/vma.ts';
import { downRead, downReadTrylock, upRead } from '../locks/rwSem.ts';
import { intervalTreeIterFirst, intervalTreeIterNext } from './intervalTree.ts';

/**
 * folio_add_file_rmap_pte(): one more mapping of a page of an object.
 *
 * @locked ptl; the entry is not set yet
 */
export function folioAddFileRmapPte(task: Task, pfn: Pfn, vma: VmaPtr): Sim<void> {
  atomicAddPageMapcount(task.heap, pfn, 1);
  task.check?.rmapChanged(task, pfn, vma, 1);
}

/**
 * rmap_walk_file(): visits every VMA that may map the page, until `visit` returns false; none if the page has left its object.
 *
 * @param tryLock give up rather than wait for the lock
 * @locked folio lock
 * @returns false if it gave up
 */
export function rmapWalkFile(
  task: Task,
  pfn: Pfn,
  tryLock: boolean,
  visit: (task: Task, pfn: Pfn, vma: VmaPtr, pgoff: number) => Sim<boolean>,
): Sim<boolean> {
  const { heap } = task;
  const mapping = mappingAddressSpace(readOncePageMapping(heap, pfn));
  if (mapping === NO_ADDRESS_SPACE) return true;
  const lock = iMmapRwsem(mapping);
  if (!tryLock) downRead(task, lock);
  else if (!downReadTrylock(task, lock)) return false;
  const pgoff = pageIndex(heap, pfn);
  let node = intervalTreeIterFirst(heap, iMmapTree(mapping), pgoff, pgoff);
  while (node !== NO_TREE_NODE) {
    if (!visit(task, pfn, treeNodeVma(node), pgoff)) break;
    node = intervalTreeIterNext(heap, node, pgoff, pgoff);
  }
  upRead(task, lock);
  return true;
}
