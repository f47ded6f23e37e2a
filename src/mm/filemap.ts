/**
 * The page index of an object (the page cache): lookups without a lock, changes under the i_pages lock.
 *
 * Lock order here: folio lock > i_pages lock. Lookups run inside RCU.
 *
 * Invariants
 *   CACHE-1  The index holds a reference on each of its pages, and folio->mapping and folio->index of a page in it say where
 *            it is. They change only with the folio lock and the i_pages lock held.
 *   CACHE-2  A lookup takes its reference first and looks again afterwards: an unchanged slot means that the page it holds
 *            is the one of that offset.
 *   CACHE-3  A page whose references are frozen at 0 is being replaced by migration; who meets it looks again.
 *
 * Kernel: filemap_get_entry(), shmem_add_to_page_cache(), __filemap_remove_folio(), folio_migrate_mapping() in mm/filemap.c,
 * mm/shmem.c, mm/migrate.c; lib/xarray.c. Not modelled: tags, shadow entries, large folios, freeing of nodes before the object.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import { EEXIST, ENOMEM } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import { cpuRelax } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import {
  XA_SLOTS,
  addCachedPages,
  addressSpaceLevels,
  cachedPages,
  clearXaNode,
  iPagesLock,
  readOnceXaNode,
  readOnceXaPage,
  topSlot,
  writeOnceXaSlot,
  xaSlot,
} from '../layout/addressSpace.ts';
import { NO_PFN, NO_XA_NODE, type AddressSpacePtr, type Pfn, type XaNodePtr } from '../layout/ids.ts';
import {
  cmpxchgPageRefcount,
  makeFileMapping,
  pageIndex,
  setPageIndex,
  setPageRefcount,
  writeOncePageMapping,
} from '../layout/page.ts';
import { folioLock, folioUnlock } from '../locks/folioLock.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { spinLock, spinUnlock } from '../locks/spinLock.ts';
import { folioGet, folioPut, folioTryGet } from './pageRef.ts';

const NO_SLOT = 0;

/**
 * filemap_get_entry(): the page at `index` with a reference of the caller's, or 0.
 *
 * @locked a reference on the object
 */
export function filemapGetEntry(task: Task, mapping: AddressSpacePtr, index: number): Sim<Pfn> {
  rcuReadLock(task);
  let pfn = getEntry(task, mapping, index);
  while (pfn < NO_PFN) {
    cpuRelax(task);
    pfn = getEntry(task, mapping, index);
  }
  rcuReadUnlock(task);
  return pfn;
}

/** One look. @returns the page, 0, or -1 if the page was just being replaced @locked RCU */
function getEntry(task: Task, mapping: AddressSpacePtr, index: number): Sim<Pfn> {
  const pfn = filemapPeek(task, mapping, index);
  if (pfn === NO_PFN) return NO_PFN;
  if (!folioTryGet(task, pfn)) return -1 as Pfn;
  if (filemapPeek(task, mapping, index) === pfn) return pfn;
  folioPut(task, pfn);
  return -1 as Pfn;
}

/** The page at `index` without a reference, or 0. @locked RCU, the i_pages lock, or nobody else knows the object */
export function filemapPeek(task: Task, mapping: AddressSpacePtr, index: number): Sim<Pfn> {
  const slot = findSlot(task, mapping, index);
  return slot === NO_SLOT ? NO_PFN : readOnceXaPage(task.heap, slot);
}

/** Slot of `index`, 0 when a node on the way is missing. */
function findSlot(task: Task, mapping: AddressSpacePtr, index: number): Sim<number> {
  let slot = topSlot(mapping);
  for (let level = addressSpaceLevels(task.heap, mapping) - 1; level >= 0; level--) {
    const node = readOnceXaNode(task.heap, slot);
    if (node === NO_XA_NODE) return NO_SLOT;
    slot = xaSlot(node, index, level);
  }
  return slot;
}

/**
 * shmem_add_to_page_cache(): puts a new page into the index, which takes a reference of its own.
 *
 * @locked folio lock
 * @returns 0; -EEXIST if somebody was faster, -ENOMEM: the page is as it was
 */
export function filemapAddFolio(task: Task, mapping: AddressSpacePtr, index: number, pfn: Pfn): Sim<number> {
  const { heap } = task;
  const slot = reserveSlot(task, mapping, index);
  if (slot === NO_SLOT) return -ENOMEM;
  const lock = iPagesLock(mapping);
  folioGet(task, pfn);
  setPageIndex(heap, pfn, index);
  writeOncePageMapping(heap, pfn, makeFileMapping(mapping));
  spinLock(task, lock);
  const isFirst = readOnceXaPage(heap, slot) === NO_PFN;
  if (isFirst) {
    writeOnceXaSlot(heap, slot, pfn);
    addCachedPages(heap, mapping, 1);
  }
  spinUnlock(task, lock);
  if (isFirst) return 0;
  writeOncePageMapping(heap, pfn, 0);
  folioPut(task, pfn);
  return -EEXIST;
}

/** Makes the nodes on the way to `index`; they stay as long as the object. @returns the slot, or 0 without memory */
function reserveSlot(task: Task, mapping: AddressSpacePtr, index: number): Sim<number> {
  const { heap } = task;
  let slot = topSlot(mapping);
  for (let level = addressSpaceLevels(heap, mapping) - 1; level >= 0; level--) {
    let node = readOnceXaNode(heap, slot);
    if (node === NO_XA_NODE) node = linkNewNode(task, mapping, slot);
    if (node === NO_XA_NODE) return NO_SLOT;
    slot = xaSlot(node, index, level);
  }
  return slot;
}

/** Allocates outside the lock, for that may sleep, and looks again under it. @returns the node in `slot`, 0 without memory */
function linkNewNode(task: Task, mapping: AddressSpacePtr, slot: number): Sim<XaNodePtr> {
  const { heap } = task;
  const node = kmemCacheAlloc(task, CACHES.xaNode) as XaNodePtr;
  if (node === NO_XA_NODE) return NO_XA_NODE;
  clearXaNode(heap, node);
  const lock = iPagesLock(mapping);
  spinLock(task, lock);
  const winner = readOnceXaNode(heap, slot);
  if (winner === NO_XA_NODE) writeOnceXaSlot(heap, slot, node);
  spinUnlock(task, lock);
  if (winner === NO_XA_NODE) return node;
  kmemCacheFree(task, CACHES.xaNode, node);
  return winner;
}

/**
 * folio_migrate_mapping(): puts `dst` in the place of `src` in its object. The index's reference moves with it.
 *
 * @param expected references on `src` that are accounted for, the index's among them
 * @locked folio lock of both
 * @returns false with nothing changed if somebody has another reference on `src`
 */
export function filemapReplaceFolio(
  task: Task,
  mapping: AddressSpacePtr,
  src: Pfn,
  dst: Pfn,
  expected: number,
): Sim<boolean> {
  const { heap } = task;
  const index = pageIndex(heap, src);
  const lock = iPagesLock(mapping);
  spinLock(task, lock);
  // Frozen, so that no lookup gets a reference on the old page while the slot changes.
  if (cmpxchgPageRefcount(heap, src, expected, 0) !== expected) {
    spinUnlock(task, lock);
    return false;
  }
  setPageIndex(heap, dst, index);
  writeOncePageMapping(heap, dst, makeFileMapping(mapping));
  folioGet(task, dst);
  const slot = findSlot(task, mapping, index);
  assert(slot !== NO_SLOT && readOnceXaPage(heap, slot) === src, 'page cache: the page is not at its index');
  writeOnceXaSlot(heap, slot, dst);
  writeOncePageMapping(heap, src, 0);
  setPageRefcount(heap, src, expected - 1);
  spinUnlock(task, lock);
  return true;
}

/**
 * The end of an object: all its pages leave the index (truncate_inode_pages_final), then the nodes go. Nobody maps it any
 * more; but migration may hold one of its pages locked, and a pin may keep one.
 *
 * @locked nothing that the holder of a folio lock waits for
 * @returns number of pages it had
 */
export function filemapTruncate(task: Task, mapping: AddressSpacePtr): Sim<number> {
  const pages = cachedPages(task.heap, mapping);
  const top = readOnceXaNode(task.heap, topSlot(mapping));
  if (top !== NO_XA_NODE) freeNode(task, mapping, top, addressSpaceLevels(task.heap, mapping) - 1);
  return pages;
}

function freeNode(task: Task, mapping: AddressSpacePtr, node: XaNodePtr, level: number): Sim<void> {
  for (let i = 0; i < XA_SLOTS; i++) {
    if (level === 0) {
      truncateSlot(task, mapping, node + i);
    } else {
      const child = readOnceXaNode(task.heap, node + i);
      if (child !== NO_XA_NODE) freeNode(task, mapping, child, level - 1);
    }
  }
  kmemCacheFree(task, CACHES.xaNode, node);
}

/** Empties a slot of the lowest level, waiting for whoever has the page locked. */
function truncateSlot(task: Task, mapping: AddressSpacePtr, slot: number): Sim<void> {
  const { heap } = task;
  let pfn = readOnceXaPage(heap, slot);
  while (pfn !== NO_PFN) {
    if (folioTryGet(task, pfn)) {
      folioLock(task, pfn);
      const isSame = readOnceXaPage(heap, slot) === pfn;
      if (isSame) removeFolio(task, mapping, slot, pfn);
      folioUnlock(task, pfn);
      if (isSame) folioPut(task, pfn);
      folioPut(task, pfn);
    } else {
      cpuRelax(task);
    }
    pfn = readOnceXaPage(heap, slot);
  }
}

/** __filemap_remove_folio(); the index's reference is the caller's now. @locked folio lock */
function removeFolio(task: Task, mapping: AddressSpacePtr, slot: number, pfn: Pfn): Sim<void> {
  const lock = iPagesLock(mapping);
  spinLock(task, lock);
  writeOnceXaSlot(task.heap, slot, NO_PFN);
  addCachedPages(task.heap, mapping, -1);
  writeOncePageMapping(task.heap, pfn, 0);
  spinUnlock(task, lock);
}
