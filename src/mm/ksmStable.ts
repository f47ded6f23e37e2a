/**
 * The stable tree: one node for each merged page, ordered by contents. Merged pages are write-protected, so their order lasts.
 *
 * A node has no reference on its page, or pages could not be freed before the scan comes by. It looks through a keyhole: the page
 * is its own as long as page and node point to each other; else the page was freed, or has moved to where kpfn says.
 *
 * When a page has max_page_sharing mappings by merging, the next ones with its contents get another page: such nodes are dups in a
 * chain, which has their place in the tree. It keeps walks short.
 *
 * Lock order here: ksm_thread_mutex > folio lock (by trylock, or with nothing but mmap locks held).
 *
 * Kernel: ksm_get_folio(), stable_tree_search(), stable_tree_insert(), stable_tree_append() in mm/ksm.c. Not modelled: a tree
 * for each node of a NUMA machine. Chains are pruned once a pass, there every two seconds.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import { EBUSY } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import { NO_PFN, NO_STABLE_NODE, type Pfn, type RmapItemPtr, type StableNodePtr } from '../layout/ids.ts';
import {
  RMAP_ITEM,
  STABLE_FLAG,
  initStableNode,
  ksmTreeRoot,
  ksmWord,
  linkDup,
  linkRmapItem,
  setRmapItemWord,
  setStableNodeLength,
  stableNodeLength,
  stableRoot,
} from '../layout/ksm.ts';
import { folioUnlock } from '../locks/folioLock.ts';
import { chainCandidate, createChain, isChain, isSharingCandidate } from './ksmChain.ts';
import { ksmGetFolio } from './ksmNode.ts';
import { comparePages, folioSetStableNode, folioStableNode } from './ksmPage.ts';
import { descend, rootPlace, treeLink, type TreePlace } from './ksmTree.ts';
import { folioGet, folioPut } from './pageRef.ts';

/** For chainCandidate. */
const NO_PRUNING = -1;

/** What a walk down the tree came to: the node there (a chain, or the one to share), or the place where it would be. */
interface TreeSearch {
  /** In the tree; 0 if no page has the contents. */
  readonly node: StableNodePtr;
  /** Whose page may be shared: the node itself or one of its chain. */
  readonly dup: StableNodePtr;
  readonly place: TreePlace;
}

/**
 * stable_tree_search(): a KSM page with the contents of `pfn`. Of a KSM page, itself.
 *
 * @returns the page with a reference; 0; or -EBUSY if it is locked by somebody
 * @locked ksm_thread_mutex
 */
export function stableTreeSearch(task: Task, pfn: Pfn): Sim<number> {
  if (folioStableNode(task, pfn) !== NO_STABLE_NODE) {
    folioGet(task, pfn);
    return pfn;
  }
  for (;;) {
    const { node, dup } = walkStableTree(task, pfn, true);
    if (node === NO_STABLE_NODE || !isSharingCandidate(task, dup)) return NO_PFN;
    // Locked for a moment: a migration that is under way sees our reference or is over.
    const kfolio = ksmGetFolio(task, dup, 'trylock');
    if (kfolio === -EBUSY) return kfolio;
    if (kfolio !== NO_PFN) {
      folioUnlock(task, kfolio as Pfn);
      return kfolio;
    }
  }
}

/**
 * stable_tree_insert(): a node for the new KSM page.
 *
 * @returns 0 without memory: the page stays a KSM page without node
 * @locked ksm_thread_mutex, folio lock
 */
export function stableTreeInsert(task: Task, kpfn: Pfn): Sim<StableNodePtr> {
  const { heap } = task;
  const { node: equal, place } = walkStableTree(task, kpfn, false);
  const node = kmemCacheAlloc(task, CACHES.ksmStableNode) as StableNodePtr;
  if (node === NO_STABLE_NODE) return NO_STABLE_NODE;
  initStableNode(heap, node, kpfn, 0);
  if (equal === NO_STABLE_NODE) {
    treeLink(heap, stableRoot(heap), node, place);
  } else {
    const chain = isChain(task, equal) ? equal : createChain(task, equal);
    if (chain === NO_STABLE_NODE) {
      kmemCacheFree(task, CACHES.ksmStableNode, node);
      return NO_STABLE_NODE;
    }
    linkDup(heap, chain, node);
  }
  // Last: until now the node may have had to be given up, and nothing may lead to it then.
  folioSetStableNode(task, kpfn, node);
  return node;
}

/** stable_tree_append(): the mapping that the item stands for is one of the page's. @locked ksm_thread_mutex, folio lock */
export function stableTreeAppend(task: Task, item: RmapItemPtr, node: StableNodePtr): Sim<void> {
  const { heap } = task;
  const length = stableNodeLength(heap, node);
  assert(length >= 0, 'ksm: a mapping is added to a chain');
  setStableNodeLength(heap, node, length + 1);
  setRmapItemWord(heap, item, RMAP_ITEM.head, node);
  setRmapItemWord(heap, item, RMAP_ITEM.state, STABLE_FLAG);
  linkRmapItem(heap, node, item);
}

/** Walks down until it meets the contents of `pfn`; from the top again when a node turns out to be stale and goes. */
function walkStableTree(task: Task, pfn: Pfn, prune: boolean): Sim<TreeSearch> {
  const { heap } = task;
  const pass = prune ? ksmWord(heap, GLOBAL.ksmSeqnr) : NO_PRUNING;
  let place = rootPlace();
  let at = ksmTreeRoot(heap, stableRoot(heap)) as StableNodePtr;
  while (at !== NO_STABLE_NODE) {
    const { node, dup, kpfn } = chainCandidate(task, at, pass);
    if (kpfn === NO_PFN) {
      place = rootPlace();
      at = ksmTreeRoot(heap, stableRoot(heap)) as StableNodePtr;
      continue;
    }
    const order = comparePages(task, pfn, kpfn);
    folioPut(task, kpfn);
    if (order === 0) return { node, dup, place };
    at = descend(heap, node, order, place) as StableNodePtr;
  }
  return { node: NO_STABLE_NODE, dup: NO_STABLE_NODE, place };
}
