/** docs/invariants.md lists what the checkers watch. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { QUIESCENT_CHECKS } from '../../src/check/quiescent.ts';

const documented = readFileSync(join(import.meta.dirname, '../../docs/invariants.md'), 'utf8')
  .split('\n')
  .flatMap((line) => /^\| ([\d, ]+?) +\|/.exec(line)?.[1]?.split(', ') ?? [])
  .map(Number);

test.each(QUIESCENT_CHECKS.map(({ name, invariants }) => [name, invariants] as const))(
  '%s is documented',
  (_name, numbers) => {
    for (const number of numbers) expect(documented).toContain(number);
  },
);

test('every invariant is watched, or said not to apply', () => {
  // Those behind the 47th are of structures that came later.
  const numbers = [...new Set(documented)].sort((a, b) => a - b);
  expect(numbers.slice(0, 47)).toEqual(Array.from({ length: 47 }, (_, i) => i + 1));
});
