/**
 * Walking all mappings of a page. That of an object: fileRmap.ts; one that KSM merged: ksmRmap.ts. An anonymous one: from folio->mapping to the anon_vma, from its tree to every VMA that may map
 * the page, from folio->index to the address in each.
 *
 * Lock order here: folio lock > anon_vma lock > what rmapOne takes (page table locks). A walk holds neither mmap locks nor VMA
 * locks: it is the anon_vma lock alone that keeps the VMAs and their ranges in place.
 *
 * Invariants
 *   WALK-1  VMAs are visited in the tree's order: a forked child after its parent, a moved VMA after its source.
 *   WALK-2  Every mapping that existed when the walk began and that no longer holder of a page table lock moved meanwhile is
 *           visited, unless rmapOne or done ended the walk.
 *
 * Kernel: rmap_walk_anon(), rmap_walk_anon_lock() in mm/rmap.c. Not modelled: large folios.
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { anonVmaTree, avcTreeNode, avcVma, treeNodeAvc } from '../layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type AnonVmaPtr, type Pfn, type VmaPtr, type Vpn } from '../layout/ids.ts';
import {
  PG_locked,
  mappingAnonVma,
  mappingIsAnon,
  mappingIsKsm,
  pageIndex,
  readOncePageFlags,
  readOncePageMapping,
} from '../layout/page.ts';
import { rmapWalkFile } from './fileRmap.ts';
import { anonVmaLockRead, anonVmaTryLockRead, anonVmaUnlockRead, usesRootRwsem } from './anonVmaLock.ts';
import { intervalTreeIterFirst, intervalTreeIterNext } from './intervalTree.ts';
import { rmapWalkKsm } from './ksmRmap.ts';
import { lockEachAnonVma, lockVisited, unlockEachAnonVma, unlockVisited } from './rmapWalkSpin.ts';
import { vmaAddress } from './vmaAddress.ts';

/** struct rmap_walk_control: what a walk does and how it locks. */
export interface RmapWalkControl {
  /** Called for each VMA with the page's address in it; false ends the walk. May not sleep under the rules of 2010. */
  readonly rmapOne: (task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn) => Sim<boolean>;
  /** True once there is nothing left to visit. */
  readonly done: (task: Task, pfn: Pfn) => Sim<boolean>;
  /** VMAs to leave out. */
  readonly invalidVma: (task: Task, vma: VmaPtr) => Sim<boolean>;
  /** Locks the page's anon_vma and returns the one whose tree is to be walked, or 0 when there is nothing to walk. */
  readonly anonLock: (task: Task, pfn: Pfn, rwc: RmapWalkControl) => Sim<AnonVmaPtr>;
  /** Give up rather than wait for the anon_vma lock. */
  readonly tryLock: boolean;
  /** Set when tryLock made the walk give up. */
  contended: boolean;
}

/** For `done`: the walk goes to its end. */
export function neverDone(_task: Task, _pfn: Pfn): Sim<boolean> {
  return false;
}

/** For `invalidVma`: every VMA is visited. */
export function noInvalidVma(_task: Task, _vma: VmaPtr): Sim<boolean> {
  return false;
}

/**
 * rmap_walk(): visits every VMA that may map the page.
 *
 * @locked folio lock; a mapping, or a reference on the anon_vma, that keeps the anon_vma of an unmapped page
 */
export function rmapWalk(task: Task, pfn: Pfn, rwc: RmapWalkControl): Sim<void> {
  const { heap } = task;
  assert((readOncePageFlags(heap, pfn) & PG_locked) !== 0, 'rmap walk: the folio is not locked');
  const mapping = readOncePageMapping(heap, pfn);
  if (mappingIsKsm(mapping)) {
    const visit = (walker: Task, page: Pfn, vma: VmaPtr, vpn: Vpn): Sim<boolean> =>
      visitAt(walker, page, vma, vpn, rwc);
    if (!rmapWalkKsm(task, pfn, rwc.tryLock, visit)) rwc.contended = true;
    return;
  }
  if (!mappingIsAnon(mapping)) {
    const visitFileVma = (walker: Task, page: Pfn, vma: VmaPtr, pgoff: number): Sim<boolean> =>
      visitVma(walker, page, vma, pgoff, rwc);
    if (!rmapWalkFile(task, pfn, rwc.tryLock, visitFileVma)) rwc.contended = true;
    return;
  }
  const anonVma = rwc.anonLock(task, pfn, rwc);
  if (anonVma === NO_ANON_VMA) return;
  const pgoff = pageIndex(heap, pfn);
  let avc = treeNodeAvc(intervalTreeIterFirst(heap, anonVmaTree(anonVma), pgoff, pgoff));
  while (avc !== NO_AVC) {
    const vma = avcVma(heap, avc);
    const nested = usesRootRwsem(task.rules) ? NO_ANON_VMA : lockVisited(task, anonVma, vma);
    const goOn = visitVma(task, pfn, vma, pgoff, rwc);
    if (nested !== NO_ANON_VMA) unlockVisited(task, nested);
    if (!goOn) break;
    avc = treeNodeAvc(intervalTreeIterNext(heap, avcTreeNode(avc), pgoff, pgoff));
  }
  unlockAfterWalk(task, anonVma);
}

/** One VMA of a walk. @returns false when the walk is over @locked the tree's lock */
function visitVma(task: Task, pfn: Pfn, vma: VmaPtr, pgoff: number, rwc: RmapWalkControl): Sim<boolean> {
  const vpn = vmaAddress(task, vma, pgoff);
  // With a tree this cannot be: its keys say that the VMA covers the page. A list has no keys; and where the range of a VMA
  // changes under no lock, half of it may be read here, which makes the walk miss the page without a word.
  return vpn < 0 || visitAt(task, pfn, vma, vpn as Vpn, rwc);
}

/** The page's address in a VMA of a walk. @returns false when the walk is over @locked the tree's lock */
function visitAt(task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn, rwc: RmapWalkControl): Sim<boolean> {
  if (rwc.invalidVma(task, vma)) return true;
  if (!rwc.rmapOne(task, pfn, vma, vpn)) return false;
  return !rwc.done(task, pfn);
}

/**
 * rmap_walk_anon_lock(): for a page that need not be mapped at the moment (all its entries may be migration entries).
 * That a mapping exists cannot be asked here, so the caller holds a reference on the anon_vma.
 */
export function rmapWalkAnonLock(task: Task, pfn: Pfn, rwc: RmapWalkControl): Sim<AnonVmaPtr> {
  const anonVma = mappingAnonVma(readOncePageMapping(task.heap, pfn));
  if (anonVma === NO_ANON_VMA) return NO_ANON_VMA;
  if (!usesRootRwsem(task.rules)) return lockEachAnonVma(task, anonVma);
  if (anonVmaTryLockRead(task, anonVma)) return anonVma;
  if (rwc.tryLock) {
    rwc.contended = true;
    return NO_ANON_VMA;
  }
  anonVmaLockRead(task, anonVma);
  return anonVma;
}

/** Undoes `anonLock`. */
function unlockAfterWalk(task: Task, anonVma: AnonVmaPtr): Sim<void> {
  if (usesRootRwsem(task.rules)) anonVmaUnlockRead(task, anonVma);
  else unlockEachAnonVma(task, anonVma);
}
