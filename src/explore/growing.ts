/**
 * Flat arrays that grow. They begin short: a little program is explored in microseconds, and V8 makes arrays of up to 64
 * bytes on its own heap, the longer ones by a call of the allocator.
 */

/** Elements that an array begins with. */
export const SHORT = 16;

/** The array, with at least `length` elements and twice as many as before. */
export function extended(from: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(Math.max(length, from.length * 2));
  to.set(from);
  return to;
}

/** The same for bytes. */
export function extendedBytes(from: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  const to = new Uint8Array(Math.max(length, from.length * 2));
  to.set(from);
  return to;
}
