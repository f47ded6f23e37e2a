/**
 * The rmap of a KSM page: from folio->mapping to the stable node, from its rmap_items each to an anon_vma and an address, from the
 * anon_vma's tree to every VMA that covers the address. The page's index says nothing: its mappings have nothing in common.
 *
 * Lock order here: folio lock > anon_vma lock of one item after the other > what the visitor takes (page table locks).
 *
 * Invariants
 *   KSM-11  In a first round each item leads to its own mm, in a second to all others, which were forked since the scan came by: a
 *           child is visited after the parent that has the item.
 *   KSM-12  A mapping that fork made and that the scan has not seen is found by the item of the parent, as long as there is one.
 *
 * Not found, as in Linux: a mapping that has moved, of a page that a relative's merging made a KSM page. It makes a migration fail. If it
 * moves between the two halves of a migration, its migration entry stays: mremap takes KSM pages only out of mergeable VMAs.
 *
 * Kernel: rmap_walk_ksm(), folio_migrate_ksm() in mm/ksm.c (6.18).
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { ANON_VMA_LIST_LAST, anonVmaTree, avcTreeNode, avcVma, treeNodeAvc } from '../layout/anonVma.ts';
import {
  NO_ANON_VMA,
  NO_AVC,
  NO_RMAP_ITEM,
  NO_STABLE_NODE,
  type AnonVmaPtr,
  type Pfn,
  type RmapItemPtr,
  type VmaPtr,
  type Vpn,
} from '../layout/ids.ts';
import {
  readOnceStableNodePfn,
  rmapItemAnonVma,
  rmapItemHlistNext,
  rmapItemMm,
  rmapItemVpn,
  stableNodeItem,
  writeOnceStableNodePfn,
} from '../layout/ksm.ts';
import { vmaEnd, vmaMm, vmaStart } from '../layout/vma.ts';
import { anonVmaLockRead, anonVmaTryLockRead, anonVmaUnlockRead, usesRootRwsem } from './anonVmaLock.ts';
import { intervalTreeIterFirst, intervalTreeIterNext } from './intervalTree.ts';
import { folioSetStableNode, folioStableNode } from './ksmPage.ts';
import { lockEachAnonVma, lockVisited, unlockEachAnonVma, unlockVisited } from './rmapWalkSpin.ts';

/** What a walk does at a VMA with the page's address in it; false ends the walk. */
type VisitAt = (task: Task, pfn: Pfn, vma: VmaPtr, vpn: Vpn) => Sim<boolean>;

/** How the walk goes on after an item. */
const GO_ON = 0;
const OVER = 1;
const CONTENDED = 2;

/**
 * rmap_walk_ksm(): visits every VMA that may map the page, until `visitAt` returns false; none if the page has no node.
 *
 * @param tryLock give up rather than wait for a lock
 * @locked folio lock: it keeps the node and its list
 * @returns false if it gave up
 */
export function rmapWalkKsm(task: Task, pfn: Pfn, tryLock: boolean, visitAt: VisitAt): Sim<boolean> {
  const { heap } = task;
  const node = folioStableNode(task, pfn);
  if (node === NO_STABLE_NODE) return true;
  for (let round = 0; round < 2; round++) {
    let item = stableNodeItem(heap, node);
    while (item !== NO_RMAP_ITEM) {
      const outcome = walkItem(task, pfn, item, round === 0, tryLock, visitAt);
      if (outcome !== GO_ON) return outcome === OVER;
      item = rmapItemHlistNext(heap, item);
    }
  }
  return true;
}

/** One item: the VMA of its own mm that covers its address, or (not `own`) those of the others. */
function walkItem(
  task: Task,
  pfn: Pfn,
  item: RmapItemPtr,
  own: boolean,
  tryLock: boolean,
  visitAt: VisitAt,
): Sim<number> {
  const { heap } = task;
  const locked = lockItem(task, rmapItemAnonVma(heap, item), tryLock);
  if (locked === NO_ANON_VMA) return tryLock && usesRootRwsem(task.rules) ? CONTENDED : GO_ON;
  const mm = rmapItemMm(heap, item);
  const vpn = rmapItemVpn(heap, item);
  const tree = anonVmaTree(locked);
  let outcome = GO_ON;
  let avc = treeNodeAvc(intervalTreeIterFirst(heap, tree, 0, ANON_VMA_LIST_LAST));
  while (avc !== NO_AVC && outcome === GO_ON) {
    const vma = avcVma(heap, avc);
    const covers = vmaStart(heap, vma) <= vpn && vpn < vmaEnd(heap, vma);
    if (covers && (vmaMm(heap, vma) === mm) === own) {
      const nested = usesRootRwsem(task.rules) ? NO_ANON_VMA : lockVisited(task, locked, vma);
      if (!visitAt(task, pfn, vma, vpn)) outcome = OVER;
      // Before the next item's lock is asked for: two walks of different trees would wait for each other.
      if (nested !== NO_ANON_VMA) unlockVisited(task, nested);
    }
    avc = treeNodeAvc(intervalTreeIterNext(heap, avcTreeNode(avc), 0, ANON_VMA_LIST_LAST));
  }
  if (usesRootRwsem(task.rules)) anonVmaUnlockRead(task, locked);
  else unlockEachAnonVma(task, locked);
  return outcome;
}

/** Locks an item's anon_vma, which its reference keeps. @returns the anon_vma to walk, or 0 */
function lockItem(task: Task, anonVma: AnonVmaPtr, tryLock: boolean): Sim<AnonVmaPtr> {
  if (!usesRootRwsem(task.rules)) return lockEachAnonVma(task, anonVma);
  if (anonVmaTryLockRead(task, anonVma)) return anonVma;
  if (tryLock) return NO_ANON_VMA;
  anonVmaLockRead(task, anonVma);
  return anonVma;
}

/**
 * folio_migrate_ksm(): the node's page is the copy from now on. `dst` has the mapping of `src` already.
 *
 * @locked folio lock of both
 */
export function folioMigrateKsm(task: Task, src: Pfn, dst: Pfn): Sim<void> {
  const { heap } = task;
  const node = folioStableNode(task, dst);
  if (node === NO_STABLE_NODE) return;
  assert(readOnceStableNodePfn(heap, node) === src, 'ksm: a node has another page than the one that is migrated');
  // In this order: who finds the old page without the node looks at kpfn again.
  writeOnceStableNodePfn(heap, node, dst);
  folioSetStableNode(task, src, NO_STABLE_NODE);
}
