/** The twin of wordWait.ts in the explored build: sleeping is a request to the scheduler. Written as generators by hand. */

import { ACCESS, REQUEST, S, logAccess, wakeParked } from '../instrument/runtime.ts';
import type { Heap } from './heap.ts';

export function* parkWord(heap: Heap, at: number, expected: number): Generator<unknown, void> {
  const value = heap[at];
  logAccess(at, ACCESS.park, value);
  if (value !== expected) return;
  S.request = REQUEST.park;
  S.at = at;
  yield 0;
  logAccess(at, ACCESS.park, heap[at]);
}

export function* unparkWord(_heap: Heap, at: number, count: number): Generator<unknown, void> {
  logAccess(at, ACCESS.wake, count);
  if (wakeParked(at, count) === 0) return;
  S.request = REQUEST.woke;
  yield 0;
}

export function* relax(): Generator<unknown, void> {
  S.request = REQUEST.relax;
  yield 0;
}

export function* chooseOption(options: number): Generator<unknown, number> {
  S.request = REQUEST.choose;
  S.at = options;
  return (yield 0) as number;
}
