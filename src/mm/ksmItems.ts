/**
 * The rmap_items of an mm: a list by address that the scan walks along with the pages.
 *
 * Lock order here: ksm_thread_mutex > folio lock.
 *
 * Kernel: get_next_rmap_item(), remove_trailing_rmap_items() in mm/ksm.c.
 */

import { CACHES } from '../arena/header.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheAlloc, kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import { NO_RMAP_ITEM, type MmPtr, type RmapItemPtr, type Vpn } from '../layout/ids.ts';
import { initRmapItem, rmapItemAt, rmapItemNextLink, rmapItemVpn, setRmapItemAt } from '../layout/ksm.ts';
import { removeRmapItemFromTree } from './ksmNode.ts';

/**
 * get_next_rmap_item(): the item of the page at `vpn`, made if there is none. Those before it, from `link` on, stand for pages that
 * are gone, and go.
 *
 * @param link the word that leads to the next item
 * @returns 0 without memory
 * @locked ksm_thread_mutex; mmapLock
 */
export function getNextRmapItem(task: Task, mm: MmPtr, link: number, vpn: Vpn): Sim<RmapItemPtr> {
  const { heap } = task;
  let next = rmapItemAt(heap, link);
  while (next !== NO_RMAP_ITEM) {
    const at = rmapItemVpn(heap, next);
    if (at === vpn) return next;
    if (at > vpn) break;
    dropRmapItem(task, link, next);
    next = rmapItemAt(heap, link);
  }
  const item = kmemCacheAlloc(task, CACHES.ksmRmapItem) as RmapItemPtr;
  if (item === NO_RMAP_ITEM) return NO_RMAP_ITEM;
  initRmapItem(heap, item, mm, vpn);
  setRmapItemAt(heap, rmapItemNextLink(item), next);
  setRmapItemAt(heap, link, item);
  return item;
}

/** remove_trailing_rmap_items(): all items from `link` on. @locked ksm_thread_mutex */
export function removeTrailingRmapItems(task: Task, link: number): Sim<void> {
  const { heap } = task;
  for (let item = rmapItemAt(heap, link); item !== NO_RMAP_ITEM; item = rmapItemAt(heap, link)) {
    dropRmapItem(task, link, item);
  }
}

/** Takes the item to which `link` leads out of everything, and frees it. */
function dropRmapItem(task: Task, link: number, item: RmapItemPtr): Sim<void> {
  setRmapItemAt(task.heap, link, rmapItemAt(task.heap, rmapItemNextLink(item)));
  removeRmapItemFromTree(task, item);
  kmemCacheFree(task, CACHES.ksmRmapItem, item);
}
