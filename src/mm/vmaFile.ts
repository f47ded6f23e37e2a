/**
 * The tie between a VMA and the object it maps: a reference on the object, and a place in its tree of VMAs (i_mmap), where rmap
 * walks from the object's pages find the VMA.
 *
 * Lock order here: mmapLock(write) > VMA write > i_mmap_rwsem > anon_vma root.
 *
 * Invariants
 *   IMMAP-1  A linked VMA of an object is in the object's tree with its range as key whenever nobody holds i_mmap_rwsem for
 *            write.
 *   IMMAP-2  A copy comes behind the original among equal keys: fork and mremap insert it later.
 *
 * Kernel: vma_link_file(), unlink_file_vma(), __vma_link_file() in mm/vma.c. vma_interval_tree_insert_after() of fork puts the
 * child next to the parent; here it comes behind all of equal key, which is behind the parent too. Not modelled: batches
 * of unlinks, writable counts.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { iMmapRwsem, iMmapTree } from '../layout/addressSpace.ts';
import { NO_ADDRESS_SPACE, type AddressSpacePtr, type VmaPtr } from '../layout/ids.ts';
import { VM_HUGETLB, vmaEnd, vmaFile, vmaFlags, vmaPgoff, vmaStart, vmaTreeNode } from '../layout/vma.ts';
import { downWrite, upWrite } from '../locks/rwSem.ts';
import { hugetlbClose } from './hugetlbReserve.ts';
import { intervalTreeInsert, intervalTreeRemove } from './intervalTree.ts';
import { fput, getFile } from './shmem.ts';

/** i_mmap_lock_write(). */
export function iMmapLockWrite(task: Task, mapping: AddressSpacePtr): Sim<void> {
  downWrite(task, iMmapRwsem(mapping));
}

/** i_mmap_unlock_write(). */
export function iMmapUnlockWrite(task: Task, mapping: AddressSpacePtr): Sim<void> {
  upWrite(task, iMmapRwsem(mapping));
}

/** A copy of a VMA takes its own reference on the object, if there is one. */
export function vmaGetFile(task: Task, vma: VmaPtr): Sim<void> {
  const mapping = vmaFile(task.heap, vma);
  if (mapping !== NO_ADDRESS_SPACE) getFile(task, mapping);
}

/** vma_close(): a VMA that is unmapped gives up what it was promised. Once is enough. @locked mmapLock */
export function vmaClose(task: Task, vma: VmaPtr): Sim<void> {
  if ((vmaFlags(task.heap, vma) & VM_HUGETLB) !== 0) hugetlbClose(task, vma);
}

/** The VMA is about to be freed (the fput of remove_vma). It is in no tree. */
export function vmaPutFile(task: Task, vma: VmaPtr): Sim<void> {
  const mapping = vmaFile(task.heap, vma);
  if (mapping !== NO_ADDRESS_SPACE) fput(task, mapping);
}

/** vma_link_file(): rmap walks find the VMA from here on. Nothing to do for one without an object. */
export function vmaLinkFile(task: Task, vma: VmaPtr): Sim<void> {
  const mapping = vmaFile(task.heap, vma);
  if (mapping === NO_ADDRESS_SPACE) return;
  iMmapLockWrite(task, mapping);
  vmaTreeInsert(task, mapping, vma);
  iMmapUnlockWrite(task, mapping);
}

/** unlink_file_vma(). */
export function unlinkFileVma(task: Task, vma: VmaPtr): Sim<void> {
  const mapping = vmaFile(task.heap, vma);
  if (mapping === NO_ADDRESS_SPACE) return;
  iMmapLockWrite(task, mapping);
  vmaTreeRemove(task, mapping, vma);
  iMmapUnlockWrite(task, mapping);
}

/** vma_interval_tree_insert() under the VMA's range of today. @locked i_mmap_rwsem for write */
export function vmaTreeInsert(task: Task, mapping: AddressSpacePtr, vma: VmaPtr): Sim<void> {
  const { heap } = task;
  assert(vmaFile(heap, vma) === mapping, 'i_mmap: the VMA maps another object');
  const first = vmaPgoff(heap, vma);
  const pages = vmaEnd(heap, vma) - vmaStart(heap, vma);
  intervalTreeInsert(heap, iMmapTree(mapping), vmaTreeNode(vma), first, first + pages - 1);
}

/** vma_interval_tree_remove(). @locked i_mmap_rwsem for write */
export function vmaTreeRemove(task: Task, mapping: AddressSpacePtr, vma: VmaPtr): Sim<void> {
  intervalTreeRemove(task.heap, iMmapTree(mapping), vmaTreeNode(vma));
}
