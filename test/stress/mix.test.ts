import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { OP, OPERATIONS } from '../../stress/operations.ts';
import { defaultMix, drawOperation, formatMix, mixTotal, parseMix } from '../../stress/mix.ts';

describe('mix', () => {
  test('names change weights, the others keep theirs', () => {
    const mix = parseMix('fork=0,mremap=4');
    expect([mix[OP.fork], mix[OP.mremap], mix[OP.read]]).toEqual([0, 4, OPERATIONS[OP.read].weight]);
  });

  test('only: nothing else runs', () => {
    const mix = parseMix('only,fork=1,write=3');
    expect(mixTotal(mix)).toBe(4);
  });

  test('text and mix are the same thing', () => {
    expect(parseMix(formatMix(defaultMix()))).toEqual(defaultMix());
  });

  test.each([
    ['forc=1', /unknown operation 'forc'/],
    ['fork', /expected operation=weight/],
    ['fork=-1', /whole number/],
    ['fork=1e9', /whole number/],
    ['fork=99999999', /whole number/],
    ['fork=1=2', /expected operation=weight/],
    ['only', /every weight is zero/],
    ['', /expected operation=weight/],
  ])('refuses %j', (text, message) => {
    expect(() => parseMix(text)).toThrow(message);
  });

  test('draws follow the weights', () => {
    const mix = parseMix('only,fork=1,write=3');
    const prng = Prng.fromSeed(5);
    const counts = new Map<number, number>();
    for (let i = 0; i < 8000; i++) {
      const op = drawOperation(mix, mixTotal(mix), prng);
      counts.set(op, (counts.get(op) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([OP.fork, OP.write].sort());
    expect(Math.abs(counts.get(OP.write)! - 6000)).toBeLessThan(200);
  });
});
