/** A number for the contents of a part of an arena, to tell states apart. Only at quiescence. */

import type { Heap } from './heap.ts';

const TWO_TO_21 = 0x20_0000;

/** A part of an arena: words [from, to). */
export interface ArenaPart {
  readonly from: number;
  readonly to: number;
}

/**
 * 53 bits over the words of the parts and their places. Each word that is not zero adds a term of its own, so a zero costs a
 * look: most of an arena is page tables, and those are nearly empty.
 */
export function arenaHash(heap: Heap, parts: readonly ArenaPart[]): number {
  let high = 0;
  let low = 0;
  for (const { from, to } of parts) {
    for (let at = from; at < to; at++) {
      const word = heap[at];
      if (word === 0) continue;
      const mixed = Math.imul(word ^ Math.imul(at, 0x9e37_79b1), 0x85eb_ca6b);
      const folded = mixed ^ (mixed >>> 15);
      high = (high + Math.imul(folded, 0xc2b2_ae35)) | 0;
      low = (low + Math.imul(folded ^ (word << 7) ^ at, 0x27d4_eb2f)) | 0;
    }
  }
  low = Math.imul(low ^ (low >>> 16), 0x7feb_352d);
  return (high >>> 0) * TWO_TO_21 + ((low >>> 11) & (TWO_TO_21 - 1));
}
