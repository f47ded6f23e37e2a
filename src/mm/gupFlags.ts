/** What get_user_pages is asked for (include/linux/mm_types.h), and the questions both of its ways ask. */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_VMA, type Pfn, type VmaPtr } from '../layout/ids.ts';
import { PG_anonExclusive, mappingIsAnon, readOncePageFlags, readOncePageMapping, zeroPfn } from '../layout/page.ts';

/** Write access is needed. */
export const FOLL_WRITE = 1 << 0;
/** Take a plain reference. */
export const FOLL_GET = 1 << 1;
/** Pin: the page's contents are accessed by others; always together with FOLL_LONGTERM here. */
export const FOLL_PIN = 1 << 2;
export const FOLL_LONGTERM = 1 << 3;

/**
 * gup_must_unshare(): a read-only pin is wanted on a page that the next write fault could replace by a copy (or on the
 * zero page, for a long-term pin): the pin would go on looking at the old one. A page of an object is never copied away from a
 * shared mapping; without a VMA to look at (GUP-fast, a long-term pin) that is not known.
 *
 * @param vma the mapping, or 0 if it is not known
 */
export function gupMustUnshare(task: Task, vma: VmaPtr, flags: number, pfn: Pfn): Sim<boolean> {
  if ((flags & (FOLL_WRITE | FOLL_PIN)) !== FOLL_PIN) return false;
  if (pfn === zeroPfn(task.heap)) return (flags & FOLL_LONGTERM) !== 0;
  if (!mappingIsAnon(readOncePageMapping(task.heap, pfn))) return vma === NO_VMA && (flags & FOLL_LONGTERM) !== 0;
  return (readOncePageFlags(task.heap, pfn) & PG_anonExclusive) === 0;
}
