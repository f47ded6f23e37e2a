/**
 * KSM's thread: what is done about each page of the scan, and what starts and stops it.
 *
 * Each page: a KSM page is noted as one more mapping; another is merged with a KSM page of the same contents, or with one that
 * waits in the unstable tree, or waits there itself.
 *
 * Lock order here: ksm_thread_mutex > mmapLock(read) > folio lock.
 *
 * Invariants
 *   KSM-10  A page is merged or waits only if it has the contents that were seen at this place in the pass before.
 *
 * Kernel: cmp_and_merge_page(), ksm_do_scan(), ksm_scan_thread(), run_store() in mm/ksm.c (6.18). Not modelled: the zero page,
 * a second try at huge pages, sleeping between turns.
 */

import { assert } from '../base/assert.ts';
import { EBUSY } from '../base/errno.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { GLOBAL } from '../layout/globals.ts';
import { NO_PFN, NO_RMAP_ITEM, NO_STABLE_NODE, type Pfn, type RmapItemPtr } from '../layout/ids.ts';
import {
  KSM_RUN_MERGE,
  KSM_RUN_STOP,
  KSM_RUN_UNMERGE,
  RMAP_ITEM,
  ksmHasNoSlots,
  ksmThreadMutex,
  ksmWord,
  rmapItemHead,
  rmapItemWord,
  setKsmWord,
  setRmapItemWord,
} from '../layout/ksm.ts';
import { folioLock, folioUnlock } from '../locks/folioLock.ts';
import { mutexLock, mutexUnlock } from '../locks/mutex.ts';
import { breakCow } from './ksmBreak.ts';
import { tryToMergeTwoPages, tryToMergeWithKsmPage } from './ksmMerge.ts';
import { removeRmapItemFromTree } from './ksmNode.ts';
import { folioStableNode, pageChecksum } from './ksmPage.ts';
import { scanGetNextRmapItem } from './ksmScan.ts';
import { stableTreeAppend, stableTreeInsert, stableTreeSearch } from './ksmStable.ts';
import { unmergeAndRemoveAll } from './ksmUnmerge.ts';
import { unstableTreeSearchInsert } from './ksmUnstable.ts';
import { folioPut } from './pageRef.ts';

/** Pages of one turn while several passes are made (pages_to_scan). */
const PAGES_TO_SCAN = 100;

/**
 * One turn of the thread: at most `nrPages` pages, and not beyond the end of a pass.
 *
 * @locked nothing
 * @returns number of passes that are complete, or -1 if there was nothing to do: stopped, or no address space is known
 */
export function ksmdTurn(task: Task, nrPages: number): Sim<number> {
  const { heap } = task;
  mutexLock(task, ksmThreadMutex(heap));
  const shouldRun = (ksmWord(heap, GLOBAL.ksmRun) & KSM_RUN_MERGE) !== 0 && !ksmHasNoSlots(heap);
  if (shouldRun) ksmDoScan(task, nrPages);
  const passes = ksmWord(heap, GLOBAL.ksmSeqnr);
  mutexUnlock(task, ksmThreadMutex(heap));
  return shouldRun ? passes : -1;
}

/** Turns until `passes` more passes are complete, or there is nothing to do. */
export function ksmdPasses(task: Task, passes: number): Sim<void> {
  let last = ksmdTurn(task, 0);
  let left = passes;
  while (last >= 0 && left > 0) {
    const done = ksmdTurn(task, PAGES_TO_SCAN);
    if (done !== last) left--;
    last = done;
  }
}

/**
 * run_store(): KSM_RUN_MERGE lets the thread run, KSM_RUN_STOP stops it, KSM_RUN_UNMERGE stops it and takes all that it has merged apart.
 *
 * @locked nothing
 * @returns 0; -ENOMEM or -EINTR when not all could be taken apart: then it is stopped
 */
export function ksmSetRun(task: Task, run: number): Sim<number> {
  const { heap } = task;
  let error = 0;
  mutexLock(task, ksmThreadMutex(heap));
  if (ksmWord(heap, GLOBAL.ksmRun) !== run) {
    setKsmWord(heap, GLOBAL.ksmRun, run);
    if (run === KSM_RUN_UNMERGE) error = unmergeAndRemoveAll(task);
    if (error !== 0) setKsmWord(heap, GLOBAL.ksmRun, KSM_RUN_STOP);
  }
  mutexUnlock(task, ksmThreadMutex(heap));
  return error;
}

/** ksm_do_scan(). @locked ksm_thread_mutex */
function ksmDoScan(task: Task, nrPages: number): Sim<void> {
  for (let i = 0; i < nrPages; i++) {
    const scanned = scanGetNextRmapItem(task);
    if (scanned === null || scanned.item === NO_RMAP_ITEM) return;
    cmpAndMergePage(task, scanned.pfn, scanned.item);
    folioPut(task, scanned.pfn);
  }
}

/** cmp_and_merge_page(). @locked ksm_thread_mutex; a reference on the page */
function cmpAndMergePage(task: Task, pfn: Pfn, item: RmapItemPtr): Sim<void> {
  const node = folioStableNode(task, pfn);
  if (node !== NO_STABLE_NODE) {
    if (rmapItemHead(task.heap, item) === node) return;
  } else if (!sawSameContents(task, pfn, item)) {
    return;
  }
  const kpfn = stableTreeSearch(task, pfn);
  removeRmapItemFromTree(task, item);
  if (kpfn === -EBUSY) return;
  if (kpfn !== NO_PFN) {
    joinKsmPage(task, pfn, item, kpfn as Pfn);
    folioPut(task, kpfn as Pfn);
    return;
  }
  const waiting = unstableTreeSearchInsert(task, item, pfn);
  if (waiting === null) return;
  if (tryToMergeTwoPages(task, item, pfn, waiting.item, waiting.pfn)) becomeStable(task, pfn, item, waiting.item);
  folioPut(task, waiting.pfn);
}

/** Whether the page has the contents that it had when the scan was here last; the item is in no tree afterwards. */
function sawSameContents(task: Task, pfn: Pfn, item: RmapItemPtr): Sim<boolean> {
  const { heap } = task;
  removeRmapItemFromTree(task, item);
  const checksum = pageChecksum(task, pfn);
  if (rmapItemWord(heap, item, RMAP_ITEM.oldChecksum) === checksum) return true;
  setRmapItemWord(heap, item, RMAP_ITEM.oldChecksum, checksum);
  return false;
}

/** The page joins a KSM page of the same contents; or it is that page, and its mapping is noted. */
function joinKsmPage(task: Task, pfn: Pfn, item: RmapItemPtr, kpfn: Pfn): Sim<void> {
  if (tryToMergeWithKsmPage(task, item, pfn, kpfn) !== 0) return;
  folioLock(task, kpfn);
  const node = folioStableNode(task, kpfn);
  assert(node !== NO_STABLE_NODE, 'ksm: a page lost its node while somebody had a reference');
  stableTreeAppend(task, item, node);
  folioUnlock(task, kpfn);
}

/** The two mappings of a new KSM page become known to rmap walks; or without memory they are broken again. */
function becomeStable(task: Task, kpfn: Pfn, item: RmapItemPtr, treeItem: RmapItemPtr): Sim<void> {
  folioLock(task, kpfn);
  const node = stableTreeInsert(task, kpfn);
  if (node !== NO_STABLE_NODE) {
    stableTreeAppend(task, treeItem, node);
    stableTreeAppend(task, item, node);
  }
  folioUnlock(task, kpfn);
  if (node !== NO_STABLE_NODE) return;
  breakCow(task, treeItem);
  breakCow(task, item);
}
