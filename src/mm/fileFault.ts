/**
 * Faults on mappings of objects. A write fault maps its page; a read fault first maps what the object already has around the
 * address.
 *
 * Lock order here: mmapLock(read) or VMA lock > folio lock > ptl; in fault-around ptl > folio lock by trylock.
 *
 * Invariants
 *   FFAULT-1  A page is mapped with its folio lock held: migration and truncation come before or after.
 *   FFAULT-2  Fault-around waits for nobody: a page that is locked, or an entry that is not empty, is left out.
 *
 * Kernel: do_fault(), do_read_fault(), do_shared_fault(), do_fault_around(), finish_fault() in mm/memory.c, filemap_map_pages()
 * in mm/filemap.c, shmem_fault() in mm/shmem.c. Not modelled: private mappings of objects (do_cow_fault), page_mkwrite,
 * preallocated page tables, large folios.
 */

import { assert } from '../base/assert.ts';
import { EINVAL } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { addressSpacePages } from '../layout/addressSpace.ts';
import {
  NO_PFN,
  NO_TABLE,
  type AddressSpacePtr,
  type MmPtr,
  type PageTablePtr,
  type Pfn,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import { atomicAddMmShmemPages } from '../layout/mm.ts';
import {
  PG_dirty,
  PG_locked,
  PG_uptodate,
  atomicSetPageFlags,
  mappingAddressSpace,
  readOncePageFlags,
  readOncePageMapping,
} from '../layout/page.ts';
import { ENTRIES_PER_TABLE, LEVEL_PTE, entryAt, readOncePte } from '../layout/pageTable.ts';
import { makePte, pteIsNone } from '../layout/pte.ts';
import { VM_SHARED, vmaEnd, vmaFile, vmaFlags, vmaStart } from '../layout/vma.ts';
import { folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { rcuReadLock, rcuReadUnlock } from '../locks/rcu.ts';
import { FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './faultFlags.ts';
import { folioAddFileRmapPte } from './fileRmap.ts';
import { filemapPeek } from './filemap.ts';
import { pteMakeDirtyWritable, vmPageProt } from './pageProt.ts';
import { folioPut, folioTryGet } from './pageRef.ts';
import { setPteAt } from './pteAccess.ts';
import { pteOffsetMapLock, pteUnmapUnlock } from './pteLock.ts';
import { shmemGetFolio } from './shmem.ts';
import { linearPageIndex } from './vmaAddress.ts';

/** Pages of a fault-around window, a power of two (fault_around_pages). */
const FAULT_AROUND_PAGES = 16;

/**
 * do_fault(): the entry of `vpn` in a mapping of an object was none when it was looked at; its table exists.
 *
 * @locked mmapLock or the VMA
 * @returns 0, VM_FAULT_SIGBUS behind the end of the object, or VM_FAULT_OOM
 */
export function doFault(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, flags: number): Sim<number> {
  const { heap } = task;
  assert((vmaFlags(heap, vma) & VM_SHARED) !== 0, 'fault: a private mapping of an object');
  const write = (flags & FAULT_FLAG_WRITE) !== 0;
  if (!write && doFaultAround(task, mm, vma, vpn)) return 0;
  const pfn = shmemGetFolio(task, vmaFile(heap, vma), linearPageIndex(task, vma, vpn));
  if (pfn < 0) return pfn === -EINVAL ? VM_FAULT_SIGBUS : VM_FAULT_OOM;
  const mapped = finishFault(task, mm, vma, vpn, pfn as Pfn, write);
  if (mapped && write) atomicSetPageFlags(heap, pfn as Pfn, PG_dirty);
  folioUnlock(task, pfn as Pfn);
  if (!mapped) folioPut(task, pfn as Pfn);
  return 0;
}

/** finish_fault(): maps the page; its reference becomes the entry's. False if the entry is not empty any more. */
function finishFault(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, pfn: Pfn, write: boolean): Sim<boolean> {
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) return false;
  const isFirst = pteIsNone(readOncePte(task.heap, entryAt(table, vpn, LEVEL_PTE)));
  if (isFirst) {
    setPteRange(task, mm, vma, vpn, table, pfn, write);
    atomicAddMmShmemPages(task.heap, mm, 1);
  }
  pteUnmapUnlock(task, table);
  return isFirst;
}

/** set_pte_range() of one page. @locked ptl, folio lock */
function setPteRange(
  task: Task,
  mm: MmPtr,
  vma: VmaPtr,
  vpn: Vpn,
  table: PageTablePtr,
  pfn: Pfn,
  write: boolean,
): Sim<void> {
  const vmFlags = vmaFlags(task.heap, vma);
  const clean = makePte(pfn, vmPageProt(vmFlags));
  folioAddFileRmapPte(task, pfn, vma);
  setPteAt(task, mm, vpn, entryAt(table, vpn, LEVEL_PTE), write ? pteMakeDirtyWritable(clean, vmFlags) : clean);
}

/** A page of the object that was found, locked and referenced, with its offset. */
interface CachedFolio {
  index: number;
  pfn: Pfn;
}

/** do_fault_around(): maps pages of the object around `vpn`. True if the page at `vpn` itself is mapped now. */
function doFaultAround(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn): Sim<boolean> {
  const { heap } = task;
  const vmaFirst = vmaStart(heap, vma);
  const from = Math.max(vpn - (vpn % FAULT_AROUND_PAGES), vmaFirst);
  const tableEnd = vpn - (vpn % ENTRIES_PER_TABLE) + ENTRIES_PER_TABLE;
  const to = Math.min(from + FAULT_AROUND_PAGES, tableEnd, vmaEnd(heap, vma));
  const toIndex = linearPageIndex(task, vma, vpn) - vpn;
  rcuReadLock(task);
  const mapped = filemapMapPages(task, mm, vma, vpn, from + toIndex, to + toIndex);
  rcuReadUnlock(task);
  return mapped;
}

/** filemap_map_pages(): maps what the object has of [first, end). @locked RCU */
function filemapMapPages(task: Task, mm: MmPtr, vma: VmaPtr, vpn: Vpn, first: number, end: number): Sim<boolean> {
  const { heap } = task;
  const mapping = vmaFile(heap, vma);
  const last = Math.min(end, addressSpacePages(heap, mapping));
  const toVpn = vpn - linearPageIndex(task, vma, vpn);
  const found: CachedFolio = { index: first, pfn: NO_PFN };
  if (!nextUptodateFolio(task, mapping, found, last)) return false;
  const table = pteOffsetMapLock(task, mm, vpn);
  if (table === NO_TABLE) {
    folioUnlock(task, found.pfn);
    folioPut(task, found.pfn);
    return false;
  }
  let added = 0;
  let mapped = false;
  do {
    const at = (found.index + toVpn) as Vpn;
    const isFirst = pteIsNone(readOncePte(heap, entryAt(table, at, LEVEL_PTE)));
    if (isFirst) {
      setPteRange(task, mm, vma, at, table, found.pfn, false);
      added++;
      if (at === vpn) mapped = true;
    }
    folioUnlock(task, found.pfn);
    if (!isFirst) folioPut(task, found.pfn);
    found.index++;
  } while (nextUptodateFolio(task, mapping, found, last));
  if (added > 0) atomicAddMmShmemPages(heap, mm, added);
  pteUnmapUnlock(task, table);
  return mapped;
}

/**
 * next_uptodate_folio(): finds the next page from found.index on that can be had without waiting, locked and referenced.
 *
 * @locked RCU
 * @returns false when there is none before `end`
 */
function nextUptodateFolio(task: Task, mapping: AddressSpacePtr, found: CachedFolio, end: number): Sim<boolean> {
  for (; found.index < end; found.index++) {
    const pfn = filemapPeek(task, mapping, found.index);
    if (pfn === NO_PFN || (readOncePageFlags(task.heap, pfn) & PG_locked) !== 0) continue;
    if (!folioTryGet(task, pfn)) continue;
    if (folioTryLock(task, pfn)) {
      if (isUsable(task, mapping, found.index, pfn)) {
        found.pfn = pfn;
        return true;
      }
      folioUnlock(task, pfn);
    }
    folioPut(task, pfn);
  }
  return false;
}

/** Still in the object at that offset, and its contents are there. @locked folio lock */
function isUsable(task: Task, mapping: AddressSpacePtr, index: number, pfn: Pfn): Sim<boolean> {
  const { heap } = task;
  if (mappingAddressSpace(readOncePageMapping(heap, pfn)) !== mapping) return false;
  if (filemapPeek(task, mapping, index) !== pfn) return false;
  return (readOncePageFlags(heap, pfn) & PG_uptodate) !== 0;
}
