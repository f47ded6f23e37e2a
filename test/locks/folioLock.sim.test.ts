import { expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { waitBucket, waitBucketLock } from '../../src/layout/globals.ts';
import type { Pfn, SpinLockPtr } from '../../src/layout/ids.ts';
import { CLASS_FOLIO_WAIT_TABLE, CLASS_PTE_LOCK } from '../../src/layout/lockClass.ts';
import { SPIN_WORDS } from '../../src/layout/lockWords.ts';
import {
  PG_dirty,
  PG_locked,
  PG_waiters,
  atomicSetPageFlags,
  folioLocker,
  readOncePageFlags,
} from '../../src/layout/page.ts';
import {
  folioLock,
  folioTryLock,
  folioUnlock,
  folioWaitLocked,
  migrationEntryWaitOnLocked,
} from '../../src/locks/folioLock.ts';
import { spinIsLocked, spinLock, spinLockInit } from '../../src/locks/spinLock.ts';
import type { Kernel } from '../support/kernel.ts';
import { simTest } from '../support/simTest.ts';
import { messageOf } from './suite/thrown.ts';

const FOLIO = 3 as Pfn;

function initBucket(kernel: Kernel): Sim<void> {
  spinLockInit(kernel.heap, waitBucketLock(waitBucket(kernel.heap, FOLIO)), CLASS_FOLIO_WAIT_TABLE);
}

simTest('folio lock: one bit, beside others that it leaves alone', (kernel: Kernel): Sim<void> => {
  const { heap, task } = kernel;
  atomicSetPageFlags(heap, FOLIO, PG_dirty);
  folioLock(task, FOLIO);
  expect(readOncePageFlags(heap, FOLIO)).toBe(PG_dirty | PG_locked);
  expect(folioLocker(heap, FOLIO)).toBe(task.id);
  expect(folioTryLock(kernel.taskOn(2), FOLIO)).toBe(false);
  expect(folioLocker(heap, FOLIO)).toBe(task.id);
  folioUnlock(task, FOLIO);
  expect(readOncePageFlags(heap, FOLIO)).toBe(PG_dirty);
  expect(folioTryLock(kernel.taskOn(2), FOLIO)).toBe(true);
});

simTest('folio lock: a waiters bit that is left over is cleared by the next unlock', (kernel: Kernel): Sim<void> => {
  initBucket(kernel);
  atomicSetPageFlags(kernel.heap, FOLIO, PG_waiters);
  folioLock(kernel.task, FOLIO);
  folioUnlock(kernel.task, FOLIO);
  expect(readOncePageFlags(kernel.heap, FOLIO)).toBe(0);
});

simTest('folio lock: nobody waits for an unlocked folio', (kernel: Kernel): Sim<void> => {
  initBucket(kernel);
  const ptl = kernel.words(SPIN_WORDS) as SpinLockPtr;
  spinLockInit(kernel.heap, ptl, CLASS_PTE_LOCK);
  folioWaitLocked(kernel.task, FOLIO);
  spinLock(kernel.task, ptl);
  migrationEntryWaitOnLocked(kernel.task, FOLIO, ptl);
  expect(spinIsLocked(kernel.heap, ptl)).toBe(false);
  expect(kernel.task.preemptCount).toBe(0);
});

simTest('folio lock: an unlock of an unlocked folio is refused', (kernel: Kernel): Sim<void> => {
  let message = '';
  try {
    folioUnlock(kernel.task, FOLIO);
  } catch (error) {
    message = messageOf(error);
  }
  expect(message).toBe('folioUnlock: the folio is not locked');
});
