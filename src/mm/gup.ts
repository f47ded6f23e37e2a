/**
 * get_user_pages: references on the pages behind user addresses, for who accesses them by their frames.
 *
 * Invariants
 *   GUP-1  MMF_HAS_PINNED is set before the first pin of an mm, so that fork asks about pins.
 *   GUP-2  A pinned anonymous page is exclusive when it is pinned, and stays so until it is unpinned.
 *   GUP-3  The zero page is handed out without counting.
 *
 * Kernel: pin_user_pages(), pin_user_pages_fast(), unpin_user_pages() in mm/gup.c. Every pin is a long-term one
 * (FOLL_LONGTERM).
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, Pfn, Vpn } from '../layout/ids.ts';
import { MMF_HAS_PINNED, atomicSetMmFlags, readOnceMmFlags } from '../layout/mm.ts';
import { GUP_PIN_COUNTING_BIAS, PG_dirty, atomicSetPageFlags, readOncePageFlags, zeroPfn } from '../layout/page.ts';
import { folioLock, folioUnlock } from '../locks/folioLock.ts';
import { gupFast } from './gupFast.ts';
import { FOLL_GET, FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from './gupFlags.ts';
import { gupSlow } from './gupSlow.ts';
import { folioPut, folioPutRefs } from './pageRef.ts';

/**
 * pin_user_pages(): pins `nr` pages from `vpn` on and appends them to `pages`.
 * @returns number of pages pinned if there were any; else -EFAULT, -ENOMEM or -EINTR
 */
export function pinUserPages(task: Task, mm: MmPtr, vpn: Vpn, nr: number, write: boolean, pages: Pfn[]): Sim<number> {
  mmSetHasPinned(task, mm);
  return gupSlow(task, mm, vpn, nr, pinFlags(write), pages);
}

/** pin_user_pages_fast(): as pinUserPages for task.mm, without locks as far as that goes. */
export function pinUserPagesFast(task: Task, vpn: Vpn, nr: number, write: boolean, pages: Pfn[]): Sim<number> {
  mmSetHasPinned(task, task.mm);
  return gupFastFallback(task, vpn, nr, pinFlags(write), pages);
}

/** get_user_pages(): as pinUserPages with plain references, to be dropped by putUserPages. */
export function getUserPages(task: Task, mm: MmPtr, vpn: Vpn, nr: number, write: boolean, pages: Pfn[]): Sim<number> {
  return gupSlow(task, mm, vpn, nr, getFlags(write), pages);
}

/** get_user_pages_fast(): as getUserPages for task.mm, without locks as far as that goes. */
export function getUserPagesFast(task: Task, vpn: Vpn, nr: number, write: boolean, pages: Pfn[]): Sim<number> {
  return gupFastFallback(task, vpn, nr, getFlags(write), pages);
}

/** unpin_user_pages(). */
export function unpinUserPages(task: Task, pages: readonly Pfn[]): Sim<void> {
  for (let i = 0; i < pages.length; i++) {
    const pfn = pages[i];
    if (pfn === zeroPfn(task.heap)) continue;
    if (task.check !== null) task.check.unpinned(task, pfn);
    folioPutRefs(task, pfn, GUP_PIN_COUNTING_BIAS);
  }
}

/**
 * unpin_user_pages_dirty_lock(): for who wrote to the pages. They become dirty before the pins go, or what was written could
 * be taken for nothing worth keeping. May wait for the folio locks.
 */
export function unpinUserPagesDirtyLock(task: Task, pages: readonly Pfn[]): Sim<void> {
  for (let i = 0; i < pages.length; i++) {
    const pfn = pages[i];
    if (pfn === zeroPfn(task.heap) || (readOncePageFlags(task.heap, pfn) & PG_dirty) !== 0) continue;
    folioLock(task, pfn);
    atomicSetPageFlags(task.heap, pfn, PG_dirty);
    folioUnlock(task, pfn);
  }
  unpinUserPages(task, pages);
}

/** put_page() for each page of getUserPages. */
export function putUserPages(task: Task, pages: readonly Pfn[]): Sim<void> {
  for (let i = 0; i < pages.length; i++) {
    if (pages[i] !== zeroPfn(task.heap)) folioPut(task, pages[i]);
  }
}

/** gup_fast_fallback(): the fast way, and the slow one for what it leaves. */
function gupFastFallback(task: Task, vpn: Vpn, nr: number, flags: number, pages: Pfn[]): Sim<number> {
  const { mm } = task;
  const fast = gupFast(task, mm, vpn, nr, flags, pages);
  if (fast === nr) return nr;
  const slow = gupSlow(task, mm, (vpn + fast) as Vpn, nr - fast, flags, pages);
  if (slow < 0) return fast > 0 ? fast : slow;
  return fast + slow;
}

/** mm_set_has_pinned_flag(): sticky, and tested first because the word is shared by all threads. */
function mmSetHasPinned(task: Task, mm: MmPtr): Sim<void> {
  if ((readOnceMmFlags(task.heap, mm) & MMF_HAS_PINNED) === 0) atomicSetMmFlags(task.heap, mm, MMF_HAS_PINNED);
}

function pinFlags(write: boolean): number {
  return FOLL_PIN | FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
}

function getFlags(write: boolean): number {
  return FOLL_GET | (write ? FOLL_WRITE : 0);
}
