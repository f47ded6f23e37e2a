/**
 * A stable node and its page, to which it has no reference.
 *
 * Lock order here: ksm_thread_mutex > folio lock.
 *
 * Invariants
 *   KSM-4  A node is freed only when its page is gone or (after an unmerge) knows nothing of it: whoever has the page locked and
 *          finds the node in folio->mapping may use it.
 *   KSM-5  An rmap_item in a node's list has a reference on its anon_vma.
 *
 * Kernel: ksm_get_folio(), remove_node_from_stable_tree(), remove_stable_node(), remove_rmap_item_from_tree() in mm/ksm.c.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import { EBUSY } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import {
  NO_ANON_VMA,
  NO_PFN,
  NO_RMAP_ITEM,
  NO_STABLE_NODE,
  type Pfn,
  type RmapItemPtr,
  type StableNodePtr,
} from '../layout/ids.ts';
import {
  RMAP_ITEM,
  STABLE_FLAG,
  UNSTABLE_FLAG,
  ksmWord,
  readOnceStableNodePfn,
  rmapItemAnonVma,
  rmapItemHead,
  rmapItemHlistNext,
  rmapItemWord,
  setRmapItemAnonVma,
  setRmapItemWord,
  setStableNodeLength,
  stableNodeChain,
  stableNodeItem,
  stableNodeLength,
  stableRoot,
  unlinkDup,
  unlinkRmapItem,
  unstableRoot,
} from '../layout/ksm.ts';
import { makeKsmMapping, readOncePageMapping } from '../layout/page.ts';
import { folioLock, folioTryLock, folioUnlock } from '../locks/folioLock.ts';
import { putAnonVma } from './anonVma.ts';
import { folioMapped } from './folioAnonVma.ts';
import { folioSetStableNode } from './ksmPage.ts';
import { treeErase } from './ksmTree.ts';
import { folioPut, folioTryGet } from './pageRef.ts';

/** What shall be done about the folio lock. */
type FolioLocking = 'nolock' | 'lock' | 'trylock';

/**
 * ksm_get_folio(): the node's page with a reference, and locked if so asked.
 *
 * @returns the page; -EBUSY if trylock failed; 0 if the page is gone: the node is freed
 * @locked ksm_thread_mutex
 */
export function ksmGetFolio(task: Task, node: StableNodePtr, locking: FolioLocking): Sim<number> {
  for (;;) {
    const pfn = readOnceStableNodePfn(task.heap, node);
    const result = grabFolio(task, node, pfn, locking);
    if (result !== NO_PFN) return result;
    // Not its page any more. A migration has written kpfn before it took the node from the old page.
    if (readOnceStableNodePfn(task.heap, node) !== pfn) continue;
    removeNodeFromStableTree(task, node);
    return NO_PFN;
  }
}

/** One try. @returns the page, -EBUSY, or 0 if `pfn` is not the node's page */
function grabFolio(task: Task, node: StableNodePtr, pfn: Pfn, locking: FolioLocking): Sim<number> {
  const { heap } = task;
  const expected = makeKsmMapping(node);
  if (readOncePageMapping(heap, pfn) !== expected) return NO_PFN;
  // A count of zero: it is being freed.
  if (!folioTryGet(task, pfn)) return NO_PFN;
  if (readOncePageMapping(heap, pfn) !== expected) {
    folioPut(task, pfn);
    return NO_PFN;
  }
  if (locking === 'nolock') return pfn;
  if (locking === 'lock') {
    folioLock(task, pfn);
  } else if (!folioTryLock(task, pfn)) {
    folioPut(task, pfn);
    return -EBUSY;
  }
  if (readOncePageMapping(heap, pfn) === expected) return pfn;
  folioUnlock(task, pfn);
  folioPut(task, pfn);
  return NO_PFN;
}

/** remove_node_from_stable_tree(): nobody can come to the node by its page any more. @locked ksm_thread_mutex */
function removeNodeFromStableTree(task: Task, node: StableNodePtr): Sim<void> {
  const { heap } = task;
  let length = stableNodeLength(heap, node);
  assert(length >= 0, 'ksm: a chain is removed as a node');
  for (let item = stableNodeItem(heap, node); item !== NO_RMAP_ITEM; length--) {
    const next = rmapItemHlistNext(heap, item);
    leaveStableNode(task, item);
    item = next;
  }
  assert(length === 0, 'ksm: the number of mappings of a node is wrong');
  if (stableNodeChain(heap, node) !== NO_STABLE_NODE) unlinkDup(heap, node);
  else treeErase(heap, stableRoot(heap), node);
  kmemCacheFree(task, CACHES.ksmStableNode, node);
}

/**
 * remove_stable_node(): gives up a node whose page is mapped nowhere.
 *
 * @returns false if it is mapped: everything stays
 * @locked ksm_thread_mutex
 */
export function removeStableNode(task: Task, node: StableNodePtr): Sim<boolean> {
  const kfolio = ksmGetFolio(task, node, 'lock') as Pfn;
  if (kfolio === NO_PFN) return true;
  // Mapped still: by a process whose end is between ksmExit and the unmapping, or in which no memory was left for copies.
  const unused = !folioMapped(task, kfolio);
  if (unused) {
    folioSetStableNode(task, kfolio, NO_STABLE_NODE);
    removeNodeFromStableTree(task, node);
  }
  folioUnlock(task, kfolio);
  folioPut(task, kfolio);
  return unused;
}

/**
 * remove_rmap_item_from_tree(): the item is in no tree and in no node's list afterwards.
 *
 * @locked ksm_thread_mutex; no folio lock
 */
export function removeRmapItemFromTree(task: Task, item: RmapItemPtr): Sim<void> {
  const { heap } = task;
  const state = rmapItemWord(heap, item, RMAP_ITEM.state);
  if (state === STABLE_FLAG) {
    const node = rmapItemHead(heap, item);
    const kfolio = ksmGetFolio(task, node, 'lock') as Pfn;
    if (kfolio === NO_PFN) return; // the node went, and let go of its items
    unlinkRmapItem(heap, node, item);
    folioUnlock(task, kfolio);
    folioPut(task, kfolio);
    const length = stableNodeLength(heap, node);
    assert(length > 0, 'ksm: a node has less mappings than items');
    setStableNodeLength(heap, node, length - 1);
    leaveStableNode(task, item);
  } else if (state === UNSTABLE_FLAG) {
    // The tree of the pass before is gone already, as a whole.
    const age = ksmWord(heap, GLOBAL.ksmSeqnr) - rmapItemWord(heap, item, RMAP_ITEM.seqnr);
    assert(age === 0 || age === 1, 'ksm: an item of the unstable tree was forgotten');
    if (age === 0) treeErase(heap, unstableRoot(heap), item);
    setRmapItemWord(heap, item, RMAP_ITEM.state, 0);
  }
}

/** The item is in no list any more: no walk needs its anon_vma. */
function leaveStableNode(task: Task, item: RmapItemPtr): Sim<void> {
  const { heap } = task;
  const anonVma = rmapItemAnonVma(heap, item);
  setRmapItemWord(heap, item, RMAP_ITEM.head, NO_STABLE_NODE);
  setRmapItemWord(heap, item, RMAP_ITEM.state, 0);
  setRmapItemAnonVma(heap, item, NO_ANON_VMA);
  putAnonVma(task, anonVma);
}
