/**
 * Objects of shared anonymous mappings: made by mmap, kept by the VMAs that map them, gone with the last one. A page is
 * created by the first access to it, by whoever that is, and stays in the object until the end.
 *
 * Lock order here: mmapLock > folio lock > i_pages lock.
 *
 * Invariants
 *   SHMEM-1  A page enters the index locked and is unlocked when its contents are zero: who finds it there waits.
 *   SHMEM-2  The object is reached over VMAs and over folio->mapping only. A VMA holds a reference; who came over a folio
 *            holds its lock, and the object cannot empty its index without that lock.
 *
 * Kernel: shmem_zero_setup(), shmem_get_folio_gfp(), shmem_evict_inode() in mm/shmem.c, fput() in fs/file_table.c. The kernel
 * puts the last fput off until the return to user mode; here it is done at once, under the mmap lock of the unmapping.
 * Not modelled: names, swap, huge pages, sealing, quotas, accounting of blocks.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import { EEXIST, EINVAL, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import {
  MAX_OBJECT_PAGES,
  addressSpacePages,
  atomicAddFileRefcount,
  hugetlbVmaLock,
  iMmapRwsem,
  iMmapTree,
  iPagesLock,
  initAddressSpace,
  isHugetlbObject,
  setHugetlbObject,
} from '../layout/addressSpace.ts';
import { NO_ADDRESS_SPACE, NO_PFN, NO_TREE_NODE, type AddressSpacePtr } from '../layout/ids.ts';
import {
  CLASS_HUGETLBFS_I_MMAP,
  CLASS_HUGETLB_VMA_LOCK,
  CLASS_I_MMAP_RWSEM,
  CLASS_XA_LOCK,
} from '../layout/lockClass.ts';
import {
  PG_swapbacked,
  PG_uptodate,
  atomicSetPageFlags,
  clearPageContents,
  mappingAddressSpace,
  readOncePageMapping,
} from '../layout/page.ts';
import { treeRootNode } from '../layout/treeNode.ts';
import { folioLock, folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { rwSemInit } from '../locks/rwSem.ts';
import { spinLockInit } from '../locks/spinLock.ts';
import { folioAddLru } from './anonFault.ts';
import { filemapAddFolio, filemapGetEntry, filemapTruncate } from './filemap.ts';
import { hugetlbUnreserveObject } from './hugetlbReserve.ts';
import { allocFrame } from './pageAlloc.ts';
import { folioPut } from './pageRef.ts';

/** shmem_zero_setup(): a new object of `nrPages` pages with one reference. @returns 0 without memory */
export function shmemZeroSetup(task: Task, nrPages: number): Sim<AddressSpacePtr> {
  const { heap } = task;
  if (nrPages > MAX_OBJECT_PAGES) return NO_ADDRESS_SPACE;
  const mapping = kmemCacheAlloc(task, CACHES.addressSpace) as AddressSpacePtr;
  if (mapping === NO_ADDRESS_SPACE) return NO_ADDRESS_SPACE;
  initAddressSpace(heap, mapping, nrPages);
  rwSemInit(heap, iMmapRwsem(mapping), CLASS_I_MMAP_RWSEM);
  spinLockInit(heap, iPagesLock(mapping), CLASS_XA_LOCK);
  return mapping;
}

/**
 * hugetlb_file_setup(): the same, of whole huge pages; nothing is reserved yet. Private mappings have one too, which stays empty:
 * it ties the process and its children together.
 */
export function hugetlbFileSetup(task: Task, nrPages: number): Sim<AddressSpacePtr> {
  const { heap } = task;
  const mapping = shmemZeroSetup(task, nrPages);
  if (mapping === NO_ADDRESS_SPACE) return NO_ADDRESS_SPACE;
  setHugetlbObject(heap, mapping);
  rwSemInit(heap, iMmapRwsem(mapping), CLASS_HUGETLBFS_I_MMAP);
  rwSemInit(heap, hugetlbVmaLock(mapping), CLASS_HUGETLB_VMA_LOCK);
  return mapping;
}

/** get_file(): one more reference; the caller has one, or a VMA of a locked mm does. */
export function getFile(task: Task, mapping: AddressSpacePtr): Sim<void> {
  const count = atomicAddFileRefcount(task.heap, mapping, 1);
  assert(count > 1, 'get_file of an object without references');
}

/** fput(): drops a reference; the last one frees the object and its pages. May sleep. */
export function fput(task: Task, mapping: AddressSpacePtr): Sim<void> {
  const count = atomicAddFileRefcount(task.heap, mapping, -1);
  assert(count >= 0, 'fput of an object without references');
  if (count > 0) return;
  assert(treeRootNode(task.heap, iMmapTree(mapping)) === NO_TREE_NODE, 'an object ends before its mappings');
  const pages = filemapTruncate(task, mapping);
  if (isHugetlbObject(task.heap, mapping)) hugetlbUnreserveObject(task, mapping, pages);
  kmemCacheFree(task, CACHES.addressSpace, mapping);
}

/**
 * shmem_get_folio(SGP_CACHE): the page at `index`, created if it is not there.
 *
 * @locked a reference on the object
 * @returns the page, locked and with a reference of the caller's; -EINVAL behind the end of the object; -ENOMEM
 */
export function shmemGetFolio(task: Task, mapping: AddressSpacePtr, index: number): Sim<number> {
  const { heap } = task;
  if (index >= addressSpacePages(heap, mapping)) return -EINVAL;
  for (;;) {
    const pfn = filemapGetEntry(task, mapping, index);
    if (pfn === NO_PFN) {
      const added = allocAndAddFolio(task, mapping, index);
      if (added !== -EEXIST) return added;
    } else {
      folioLock(task, pfn);
      // Migration may have put another page in its place while we waited.
      if (mappingAddressSpace(readOncePageMapping(heap, pfn)) === mapping) return pfn;
      folioUnlock(task, pfn);
      folioPut(task, pfn);
    }
  }
}

/** shmem_alloc_and_add_folio(). @returns the page, locked and zeroed; -EEXIST if somebody was faster; -ENOMEM */
function allocAndAddFolio(task: Task, mapping: AddressSpacePtr, index: number): Sim<number> {
  const pfn = allocFrame(task);
  if (pfn === NO_PFN) return -ENOMEM;
  const locked = folioTryLock(task, pfn);
  assert(locked, 'shmem: somebody else locked the new folio');
  const error = filemapAddFolio(task, mapping, index, pfn);
  if (error !== 0) {
    folioUnlock(task, pfn);
    folioPut(task, pfn);
    return error;
  }
  clearPageContents(task.heap, pfn);
  atomicSetPageFlags(task.heap, pfn, PG_uptodate | PG_swapbacked);
  folioAddLru(task, pfn);
  return pfn;
}
