/**
 * Whatever the kernel does with VMAs, page tables and shared frames: each process must see its own memory as if it had
 * never been shared, split, merged, moved or migrated, and an operation that fails must leave nothing behind.
 */
import { describe, expect, it } from 'vitest';
import { describeStep } from '../../src/conform/describe.ts';
import { createSequenceRunner } from '../../src/conform/random/sequenceRunner.ts';
import { applyRuleSettings, kernelPreset } from '../../src/rules/resolve.ts';

const RUNS = 150;
const TIMEOUT_MS = 60_000;
const SEED = 20_260_801;

function expectToHold(kernel: string, failAlloc: number): void {
  const runner = createSequenceRunner(kernelPreset(kernel).rules, failAlloc);
  let steps = 0;
  for (let n = 0; n < RUNS; n++) {
    const { actions, problem } = runner.run(SEED, n);
    expect(problem, actions.map((action) => describeStep(action)).join('\n')).toBe(null);
    steps += actions.length;
  }
  expect(steps).toBeGreaterThan(RUNS * 10);
}

describe('address spaces', () => {
  it.each(['linux-6.18', 'linux-7.0'])(
    `each process sees only its own memory (${RUNS} random runs, %s)`,
    (kernel) => expectToHold(kernel, 0),
    TIMEOUT_MS,
  );

  it(
    `processes stay whole when allocations fail (${RUNS} random runs)`,
    () => expectToHold('linux-7.0', 0.05),
    TIMEOUT_MS,
  );

  it('a kernel that shares pinned pages with children is told apart, in steps that can be made again', () => {
    const setting = { rule: 'fork.pinnedPage', value: 'share' };
    const runner = createSequenceRunner(applyRuleSettings(kernelPreset('linux-6.18').rules, [setting]));
    for (let n = 0; n < 5 * RUNS; n++) {
      const { actions, problem } = runner.run(SEED, n);
      if (problem === null) continue;
      expect(problem).toMatch(/^pin \d+ sees \d+, should be \d+/);
      expect(runner.runSteps(actions)).toEqual({ actions, problem });
      return;
    }
    expect.fail('not found');
  });
});
