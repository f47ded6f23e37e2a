/** The arena as the simulated kernel sees it: one fixed array of words over one SharedArrayBuffer. */

/** Everything simulated lives here. Pointers are word indexes into it; 0 is the null pointer. */
export type Heap = Int32Array<SharedArrayBuffer>;

/**
 * Allocates a heap of `words` words, all zero.
 * The length is fixed: a growable buffer with a length-tracking view reads 35 times slower.
 */
export function createHeap(words: number): Heap {
  return new Int32Array(new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT));
}

/** View of an existing buffer. @throws RangeError for a growable buffer or one that is not whole words */
export function attachHeap(buffer: SharedArrayBuffer): Heap {
  if ((buffer as { growable?: boolean }).growable === true) throw new RangeError('the arena must not be growable');
  if (buffer.byteLength % Int32Array.BYTES_PER_ELEMENT !== 0) throw new RangeError('the arena is not whole words');
  return new Int32Array(buffer);
}
