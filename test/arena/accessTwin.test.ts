/** The twin of the intrinsics does to memory what the intrinsics do, and gives the same values. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as explored from '../../src/arena/access.explored.ts';
import * as plain from '../../src/arena/access.ts';
import { createHeap } from '../../src/arena/heap.ts';

const WORDS = 4;
type Operation = (access: typeof plain, heap: ReturnType<typeof createHeap>) => number | void;

const at = fc.nat(WORDS - 1);
const value = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 32));
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(fc.constantFrom('load', 'readOnce', 'loadAcquire'), at).map(([name, word]): Operation => {
    return (access, heap) => access[name as 'load'](heap, word);
  }),
  fc
    .tuple(
      fc.constantFrom('store', 'writeOnce', 'storeRelease', 'xchg', 'fetchAdd', 'fetchSub', 'fetchOr', 'fetchAnd'),
      at,
      value,
    )
    .map(([name, word, operand]): Operation => {
      return (access, heap) => access[name as 'xchg'](heap, word, operand);
    }),
  fc.tuple(at, value, value).map(([word, expected, desired]): Operation => {
    return (access, heap) => access.cas(heap, word, expected, desired);
  }),
);

it('every sequence of operations has the same results and leaves the same words', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const [one, other] = [createHeap(WORDS), createHeap(WORDS)];
      for (const run of operations) expect(run(explored, other)).toBe(run(plain, one));
      expect([...other]).toEqual([...one]);
    }),
    { seed: 3, numRuns: 500 },
  );
});

it('has every intrinsic, and no other', () => {
  expect(Object.keys(explored).sort()).toEqual(Object.keys(plain).sort());
});
