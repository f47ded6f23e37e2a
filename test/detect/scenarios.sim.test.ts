/** Every scenario on the newest kernel with every detector, and with store buffers: nothing is found. */
import { describe, expect, it } from 'vitest';
import { ObjectLifetimes } from '../../src/detect/objectLifetimes.ts';
import { explore, type Exploration, type Memory } from '../../src/explore/explore.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { SCENARIOS } from '../../stress/scenarios/catalogue.ts';
import type { Scenario } from '../../stress/scenarios/scenario.ts';
import { allDetectors } from '../support/detectors.ts';
import { failureOf } from '../support/failure.ts';
import { explored } from '../support/simTest.ts';

const EXECUTIONS = 60;

function search(scenario: Scenario, memory: Memory): Exploration {
  const { observers, locks } = allDetectors(LINUX_7_0);
  const program = { ...scenario.program(LINUX_7_0, { locks }), executions: EXECUTIONS, seed: 3, memory };
  return explore({ ...program, observers: memory === 'sc' ? observers : [new ObjectLifetimes()] });
}

describe.runIf(explored).each(SCENARIOS)('$id', (scenario) => {
  it.each(['sc', 'tso'] as const)('is silent under %s', (memory) => {
    const { firstFailure } = search(scenario, memory);
    if (firstFailure !== null) throw failureOf(firstFailure);
    expect(firstFailure).toBeNull();
  });
});
