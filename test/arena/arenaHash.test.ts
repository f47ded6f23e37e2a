/** A hash of parts of an arena: every word and its place count, what is left out does not. */
import { expect, it } from 'vitest';
import { arenaHash, type ArenaPart } from '../../src/arena/arenaHash.ts';
import { createHeap } from '../../src/arena/heap.ts';

const PARTS: ArenaPart[] = [
  { from: 0, to: 100 },
  { from: 150, to: 200 },
];

it('each single word and bit makes another hash, but for those left out', () => {
  const heap = createHeap(200);
  const seen = new Set([arenaHash(heap, PARTS)]);
  for (let at = 0; at < 200; at++) {
    for (let bit = 0; bit < 32; bit++) {
      heap[at] = 1 << bit;
      seen.add(arenaHash(heap, PARTS));
    }
    heap[at] = 0;
  }
  expect(seen.size).toBe(1 + 150 * 32);
});

it('two words that change places make another hash', () => {
  const heap = createHeap(200);
  [heap[3], heap[160]] = [5, 9];
  const before = arenaHash(heap, PARTS);
  [heap[3], heap[160]] = [9, 5];
  expect(arenaHash(heap, PARTS)).not.toBe(before);
  expect(Number.isSafeInteger(before)).toBe(true);
});
