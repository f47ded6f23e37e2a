/**
 * The unstable tree: pages that have not changed since the pass before and wait for another with the same contents. Nothing keeps
 * their contents, so the order may be wrong at any time; then pages are missed, and the tree is thrown away after each pass.
 *
 * Lock order here: ksm_thread_mutex > mmapLock(read).
 *
 * Kernel: unstable_tree_search_insert(), get_mergeable_page() in mm/ksm.c.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import { NO_PFN, NO_RMAP_ITEM, NO_VMA, type Pfn, type RmapItemPtr } from '../layout/ids.ts';
import {
  RMAP_ITEM,
  UNSTABLE_FLAG,
  ksmTreeRoot,
  ksmWord,
  rmapItemMm,
  rmapItemVpn,
  setRmapItemWord,
  unstableRoot,
} from '../layout/ksm.ts';
import { mmapReadLock, mmapReadUnlock } from '../locks/mmapLock.ts';
import { comparePages, findMergeableVma, followAnonPage } from './ksmPage.ts';
import { descend, rootPlace, treeLink } from './ksmTree.ts';
import { folioPut } from './pageRef.ts';

/** A page that waits, with a reference, and its item. */
export interface WaitingPage {
  readonly item: RmapItemPtr;
  readonly pfn: Pfn;
}

/**
 * unstable_tree_search_insert(): a page with the contents of `pfn`; if there is none the item waits from now on.
 *
 * @returns the page; null if there is none, or if the search met something that is gone
 * @locked ksm_thread_mutex
 */
export function unstableTreeSearchInsert(task: Task, item: RmapItemPtr, pfn: Pfn): Sim<WaitingPage | null> {
  const { heap } = task;
  const place = rootPlace();
  let at = ksmTreeRoot(heap, unstableRoot(heap)) as RmapItemPtr;
  while (at !== NO_RMAP_ITEM) {
    const treePage = getMergeablePage(task, at);
    if (treePage === NO_PFN) return null;
    const order = comparePages(task, pfn, treePage);
    // A page that fork shared is no partner of itself.
    if (order === 0 && treePage !== pfn) return { item: at, pfn: treePage };
    folioPut(task, treePage);
    if (treePage === pfn) return null;
    at = descend(heap, at, order, place) as RmapItemPtr;
  }
  setRmapItemWord(heap, item, RMAP_ITEM.state, UNSTABLE_FLAG);
  setRmapItemWord(heap, item, RMAP_ITEM.seqnr, ksmWord(heap, GLOBAL.ksmSeqnr));
  treeLink(heap, unstableRoot(heap), item, place);
  return null;
}

/** get_mergeable_page(): the page at an item's address with a reference, or 0. */
function getMergeablePage(task: Task, item: RmapItemPtr): Sim<Pfn> {
  const { heap } = task;
  const mm = rmapItemMm(heap, item);
  const vpn = rmapItemVpn(heap, item);
  mmapReadLock(task, mm);
  const vma = findMergeableVma(task, mm, vpn);
  const pfn = vma === NO_VMA ? NO_PFN : followAnonPage(task, mm, vpn);
  mmapReadUnlock(task, mm);
  return pfn;
}
