import { describe, expect, test } from 'vitest';
import { checkQuiescent } from '../../src/check/quiescent.ts';
import { CORRUPTIONS } from './corruptions.ts';
import { COUNTER_CORRUPTIONS } from './counterCorruptions.ts';
import { forgeWorld } from './forge.ts';

describe('quiescent checks', () => {
  test('a consistent world: nothing to say', () => {
    expect(checkQuiescent(forgeWorld().heap)).toEqual([]);
  });

  test.each([...CORRUPTIONS, ...COUNTER_CORRUPTIONS])('$what', ({ corrupt, kind, signatures }) => {
    const world = forgeWorld();
    corrupt(world);
    const violations = checkQuiescent(world.heap);
    expect(violations.map(({ signature }) => signature)).toEqual(signatures);
    expect(violations[0].kind).toBe(kind);
  });

  test('every check counts that it ran', () => {
    const counts: Record<string, number> = {};
    checkQuiescent(forgeWorld().heap, counts);
    checkQuiescent(forgeWorld().heap, counts);
    expect(new Set(Object.values(counts))).toEqual(new Set([2]));
  });

  test('an arena of nonsense: a verdict, never a hang', () => {
    const { heap, mm } = forgeWorld();
    for (let at = Number(mm); at < heap.length; at += 3) heap[at] = (at * 2_654_435_761) | 0;
    expect(checkQuiescent(heap).length).toBeGreaterThan(0);
  });
});
