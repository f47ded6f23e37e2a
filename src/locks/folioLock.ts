/**
 * The folio lock: one bit in the page flags, a second one that says somebody waits. It sleeps; lockdep does not track it
 * (nor does the kernel's).
 *
 * Lock order here: folio lock > ptl > bucket of the wait table. migrationEntryWaitOnLocked is called with a ptl held and
 * sleeps without it.
 *
 * Kernel: folio_lock(), folio_trylock(), folio_unlock(), folio_wait_locked(), migration_entry_wait_on_locked().
 */

import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import { mightSleep, type Task } from '../cpu/task.ts';
import type { Pfn, SpinLockPtr } from '../layout/ids.ts';
import {
  PG_locked,
  PG_waiters,
  atomicClearPageFlags,
  atomicSetPageFlags,
  readOncePageFlags,
  setFolioLocker,
} from '../layout/page.ts';
import { queueForFolio, sleepForFolio, waitToLockFolio, wakeFolio } from './folioWait.ts';
import { spinAssertHeld, spinUnlock } from './spinLock.ts';
import { WAIT_READ } from './waitList.ts';

/** folio_lock(). */
export function folioLock(task: Task, pfn: Pfn): Sim<void> {
  mightSleep(task, 'folio_lock');
  if ((atomicSetPageFlags(task.heap, pfn, PG_locked) & PG_locked) !== 0) waitToLockFolio(task, pfn);
  setFolioLocker(task.heap, pfn, task.id);
}

/** folio_trylock(). */
export function folioTryLock(task: Task, pfn: Pfn): Sim<boolean> {
  if ((atomicSetPageFlags(task.heap, pfn, PG_locked) & PG_locked) !== 0) return false;
  setFolioLocker(task.heap, pfn, task.id);
  return true;
}

/** folio_unlock(): wakes whoever waits for the bit. */
export function folioUnlock(task: Task, pfn: Pfn): Sim<void> {
  setFolioLocker(task.heap, pfn, 0);
  const before = atomicClearPageFlags(task.heap, pfn, PG_locked);
  assert((before & PG_locked) !== 0, 'folioUnlock: the folio is not locked');
  if ((before & PG_waiters) !== 0) wakeFolio(task, pfn);
}

/** folio_wait_locked(): waits until the folio was unlocked once. The caller holds a reference. */
export function folioWaitLocked(task: Task, pfn: Pfn): Sim<void> {
  mightSleep(task, 'folio_wait_locked');
  if ((readOncePageFlags(task.heap, pfn) & PG_locked) === 0) return;
  if (!queueForFolio(task, pfn, WAIT_READ, false)) sleepForFolio(task, pfn);
}

/**
 * Waits for the folio of a migration entry that was read under `ptl`. Drops `ptl`. Holds no reference: a page that was
 * found through its entry stays valid while the ptl is held, because removing the entry needs it, and after that only
 * its flag word is looked at, by the waker. Queueing under the ptl is what makes the wake-up certain: whoever unlocks
 * the folio has removed this entry before, so comes after us.
 *
 * @locked ptl; no RCU read section (pte_unmap first), since this sleeps
 */
export function migrationEntryWaitOnLocked(task: Task, pfn: Pfn, ptl: SpinLockPtr): Sim<void> {
  spinAssertHeld(task, ptl);
  const free = queueForFolio(task, pfn, WAIT_READ, false);
  spinUnlock(task, ptl);
  mightSleep(task, 'migration_entry_wait');
  if (!free) sleepForFolio(task, pfn);
}
