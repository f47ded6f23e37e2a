import { expect, test } from 'vitest';
import fc from 'fast-check';
import {
  HISTOGRAM_WORDS,
  histogramAdd,
  histogramCount,
  histogramMax,
  histogramMerge,
  histogramQuantile,
} from '../../src/base/histogram.ts';

const ERROR = 0.032;

function filled(values: readonly number[]): Int32Array {
  const words = new Int32Array(HISTOGRAM_WORDS);
  for (const value of values) histogramAdd(words, 0, value);
  return words;
}

test('empty', () => {
  expect([histogramCount(filled([]), 0), histogramQuantile(filled([]), 0, 0.5)]).toEqual([0, 0]);
});

test('quantiles are within a bucket of the exact ones (any values below 30 s)', () => {
  const values = fc.array(fc.integer({ min: 0, max: 30_000_000_000 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(values, fc.constantFrom(0.01, 0.5, 0.99, 1), (list, q) => {
      const exact = [...list].sort((a, b) => a - b)[Math.max(0, Math.ceil(q * list.length) - 1)];
      const seen = histogramQuantile(filled(list), 0, q);
      return Math.abs(seen - exact) <= Math.max(1, exact * ERROR);
    }),
    { seed: 1 },
  );
});

test('merge adds counts and keeps the largest value', () => {
  const a = filled([10, 20]);
  const b = filled([1_000_000]);
  histogramMerge(b, 0, a, 0);
  expect([histogramCount(a, 0), histogramMax(a, 0)]).toEqual([3, 1_000_000]);
});

test('values beyond the range fall into the last bucket, negative ones into the first', () => {
  const words = filled([2 ** 50, -5]);
  expect(histogramCount(words, 0)).toBe(2);
  expect(histogramQuantile(words, 0, 0)).toBe(0);
});
