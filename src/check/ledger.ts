/**
 * The pin ledger: one word per frame, in the observer's own part of the arena, counted by the pinned and unpinned hooks.
 * It lies at a place the machine's creator reserves; without a ledger no pins are outstanding.
 */

import { HEADER } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { Pfn } from '../layout/ids.ts';
import { nrFrames } from '../layout/page.ts';

/** Words the ledger takes at the start of the user section. */
export function ledgerWords(frames: number): number {
  return frames + 1;
}

/** Pins outstanding on a frame, as the hooks counted them. */
export function pinsOf(heap: Heap, pfn: Pfn): number {
  return hasLedger(heap) ? Atomics.load(heap, heap[HEADER.userBase] + pfn) : 0;
}

/** Counts a pin (1) or an unpin (-1); returns the new number. */
export function countPin(heap: Heap, pfn: Pfn, delta: number): number {
  return hasLedger(heap) ? Atomics.add(heap, heap[HEADER.userBase] + pfn, delta) + delta : 0;
}

function hasLedger(heap: Heap): boolean {
  return heap[HEADER.userWords] >= ledgerWords(nrFrames(heap));
}
