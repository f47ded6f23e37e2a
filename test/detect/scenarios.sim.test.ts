/** Every scenario on the newest kernel with every detector, and with store buffers: nothing is found. */
import { describe, expect, it } from 'vitest';
import { DataRaces } from '../../src/detect/dataRaces.ts';
import { HeldLocks } from '../../src/detect/heldLocks.ts';
import { LockGuards } from '../../src/detect/lockGuards.ts';
import { withSites } from '../../src/detect/nameSites.ts';
import { ObjectLifetimes } from '../../src/detect/objectLifetimes.ts';
import { explore, type Exploration, type Memory } from '../../src/explore/explore.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { SCENARIOS, findScenario } from '../../stress/scenarios/catalogue.ts';
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

describe.runIf(explored)('an unlocked vma_adjust', () => {
  const rules: Rules = { ...LINUX_7_0, vmaAdjust: { rmapLock: 'none' } };
  const scenario = findScenario('vma-adjust-unlocked');
  // The hooks of the mm foretell it too; here only what looks at accesses shall speak.
  const seeks = ['data-race'] as const;

  it('is an access without its lock in the very first execution', () => {
    const locks = new HeldLocks();
    const program = { ...scenario.program(rules, { locks, seeks }), executions: 1, seed: 3 };
    const { firstFailure } = explore({ ...program, observers: [new LockGuards(locks)] });
    const [violation] = firstFailure!.violations;
    expect(violation.kind).toBe('lock-held');
    expect(violation.signature).toMatch(/^lock-held vm_area_struct\.(start|end|pgoff) plain write$/);
    expect(violation.evidence).toContain('guarded by mmap write + VMA write + rmap write');
  });

  it('is a data race with the walk, and the functions of both are named', () => {
    const program = { ...scenario.program(rules, { seeks }), observers: [new DataRaces()] };
    const { firstFailure } = explore({ ...program, executions: 300, seed: 3 });
    const [violation] = firstFailure!.violations;
    expect(violation.kind).toBe('data-race');
    const named = withSites(program, firstFailure!.schedule, violation);
    expect(named.signature).toMatch(/^data-race [a-z_]+\.\w+ \w+ \/ \w+$/);
    expect(named.evidence[0]).toMatch(/ in \w+ \(src\/mm\/\w+\.ts:\d+\)$/);
  });
});
