/**
 * Latency histogram over words of any Int32Array: log-linear buckets with 32 steps per power of two (3 % error), values
 * in nanoseconds up to 2^35 (34 s). One writer per histogram; readers may look at any time.
 */

const STEP_BITS = 5;
const STEPS = 1 << STEP_BITS;
const MAX_BITS = 35;

/** Words of one histogram: its buckets, then the largest value in microseconds, rounded up. */
export const HISTOGRAM_WORDS = (MAX_BITS - STEP_BITS + 1) * STEPS + 1;
const MAX_AT = HISTOGRAM_WORDS - 1;

/** Counts one value. */
export function histogramAdd(words: Int32Array, at: number, ns: number): void {
  words[at + bucketOf(ns)]++;
  const microseconds = Math.ceil(ns / 1000);
  if (microseconds > words[at + MAX_AT]) words[at + MAX_AT] = microseconds;
}

/** Adds the histogram at `from` to the one at `to`. */
export function histogramMerge(from: Int32Array, fromAt: number, to: Int32Array, toAt: number): void {
  for (let i = 0; i < MAX_AT; i++) to[toAt + i] += from[fromAt + i];
  to[toAt + MAX_AT] = Math.max(to[toAt + MAX_AT], from[fromAt + MAX_AT]);
}

/** Number of values counted. */
export function histogramCount(words: Int32Array, at: number): number {
  let count = 0;
  for (let i = 0; i < MAX_AT; i++) count += words[at + i];
  return count;
}

/** Value at quantile `q` (0..1) in nanoseconds: the middle of its bucket; 0 for an empty histogram. */
export function histogramQuantile(words: Int32Array, at: number, q: number): number {
  const count = histogramCount(words, at);
  if (count === 0) return 0;
  let left = Math.max(1, Math.ceil(q * count));
  for (let i = 0; i < MAX_AT; i++) {
    left -= words[at + i];
    if (left <= 0) return bucketMiddle(i);
  }
  return histogramMax(words, at);
}

/** Largest value in nanoseconds, rounded up to a microsecond. */
export function histogramMax(words: Int32Array, at: number): number {
  return words[at + MAX_AT] * 1000;
}

function bucketOf(ns: number): number {
  const value = Math.min(Math.max(Math.floor(ns), 0), 2 ** MAX_BITS - 1);
  if (value < STEPS) return value;
  const bits = Math.floor(Math.log2(value));
  const shift = bits - STEP_BITS;
  return (shift + 1) * STEPS + (Math.floor(value / 2 ** shift) - STEPS);
}

function bucketMiddle(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const shift = Math.floor(bucket / STEPS) - 1;
  return Math.round(((bucket % STEPS) + STEPS + 0.5) * 2 ** shift);
}
