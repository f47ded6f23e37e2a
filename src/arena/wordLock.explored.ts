/**
 * The twin of wordLock.ts in the explored build: who cannot take the lock is not runnable until it can, and taking it is
 * one step. Written as generators by hand. A lock that is held exclusively names its holder: -1 is the first task, -2 the
 * second one. Each of these steps is a full barrier.
 */

import type { Access } from '../base/sim.ts';
import { ACCESS, REQUEST, S, logAccess } from '../instrument/runtime.ts';
import type { Heap } from './heap.ts';
import { drainOwnStores } from './storeBuffer.ts';

export function* lockWord(heap: Heap, at: number): Generator<unknown, void> {
  if (heap[at] !== 0) {
    S.request = REQUEST.await;
    S.at = at;
    yield 0;
  }
  drainOwnStores();
  heap[at] = -1 - S.task;
  logAccess(at, ACCESS.lock, -1 - S.task);
  if (--S.budget < 0) yield 0;
}

export function unlockWord(heap: Heap, at: number): Access<void> {
  drainOwnStores();
  heap[at] = 0;
  logAccess(at, ACCESS.unlock, 0);
}

export function* lockWordShared(heap: Heap, at: number): Generator<unknown, void> {
  if (heap[at] < 0) {
    S.request = REQUEST.awaitShared;
    S.at = at;
    yield 0;
  }
  drainOwnStores();
  logAccess(at, ACCESS.lockShared, ++heap[at]);
  if (--S.budget < 0) yield 0;
}

export function unlockWordShared(heap: Heap, at: number): Access<void> {
  drainOwnStores();
  logAccess(at, ACCESS.unlockShared, --heap[at]);
}
