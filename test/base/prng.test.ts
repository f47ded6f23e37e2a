import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/base/prng.ts';

function draw(prng: Prng, count: number): number[] {
  return Array.from({ length: count }, () => prng.next32());
}

describe('prng', () => {
  test('the published vector of xoshiro128** for the state {1, 2, 3, 4}', () => {
    expect(draw(new Prng([1, 2, 3, 4]), 6)).toEqual([11520, 0, 5927040, 70819200, 2031721883, 1637235492]);
  });

  test('a seed gives one stream for ever', () => {
    expect(draw(Prng.fromSeed(42), 3)).toMatchInlineSnapshot(`
      [
        1800116737,
        3943717425,
        9805341,
      ]
    `);
  });

  test('streams of one seed and seeds that differ in the high half are independent', () => {
    const streams = [Prng.fromSeed(7, 0), Prng.fromSeed(7, 1), Prng.fromSeed(7 + 2 ** 32, 0)].map((prng) =>
      draw(prng, 4),
    );
    expect(new Set(streams.map(String)).size).toBe(3);
  });

  test('below: in range and roughly uniform', () => {
    const prng = Prng.fromSeed(1);
    const counts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 50_000; i++) counts[prng.below(5)]++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  test.each([0, 0.25, 1])('chance %d', (probability) => {
    const prng = Prng.fromSeed(3);
    let hits = 0;
    for (let i = 0; i < 20_000; i++) if (prng.chance(probability)) hits++;
    expect(Math.abs(hits / 20_000 - probability)).toBeLessThan(0.02);
  });
});
