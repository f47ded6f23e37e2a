/** The pairs of operations: all of them, by name. */
import { expect, it } from 'vitest';
import { UsageError } from '../../src/base/usageError.ts';
import { findScenario } from '../../stress/scenarios/catalogue.ts';
import { OPERATION_ACTS } from '../../stress/scenarios/operationActs.ts';
import { PAIRS } from '../../stress/scenarios/pairs.ts';

it('every operation meets every other and itself, once', () => {
  const operations = Object.keys(OPERATION_ACTS).length;
  expect(new Set(PAIRS).size).toBe((operations * (operations + 1)) / 2);
  for (const id of PAIRS) expect(findScenario(id).threads).toHaveLength(2);
});

it('a pair is found by its name only', () => {
  expect(findScenario('pair-fork+migrate')).toMatchObject({
    id: 'pair-fork+migrate',
    threads: ['fork', 'migrate'],
    bug: null,
  });
  expect(() => findScenario('pair-migrate+fork')).toThrow(UsageError);
  expect(() => findScenario('pair-fork')).toThrow(UsageError);
});
