/** The scenarios: silent under the right rules, and each bug is found in its own. */
import { describe, expect, test } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { explore } from '../../src/explore/explore.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { Thread, ViolationSink } from '../../src/explore/world.ts';
import { callSim } from '../../src/instrument/runtime.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { applyRuleSettings } from '../../src/rules/resolve.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { BUGS, findBug } from '../../stress/bugs/catalogue.ts';
import { SCENARIOS, findScenario } from '../../stress/scenarios/catalogue.ts';
import type { Scenario } from '../../stress/scenarios/scenario.ts';
import { explored } from '../support/simTest.ts';

/** A sample of every strategy; mmstorm verify looks everywhere. */
const SAMPLE = 300;
/** Enough for the rarest of the bugs, with room to spare. */
const BUDGET = 5000;

const bugScenarios = SCENARIOS.filter(({ bug }) => bug !== null);

/** The newest kernel with what the bug needs, all but the wrong decision itself. */
function rightRules(scenario: Scenario): Rules {
  const settings = scenario.bug === null ? [] : findBug(scenario.bug).rules.slice(0, -1);
  return applyRuleSettings(LINUX_7_0, settings);
}

describe('the list', () => {
  test('has each bug of the catalogue once, in the kinds that the catalogue expects', () => {
    expect(bugScenarios.map(({ bug }) => bug)).toEqual(BUGS.map(({ id }) => id));
    for (const { bug, expected } of bugScenarios) expect(expected).toEqual(findBug(bug!).expected);
  });

  test('has ids of its own and two to four threads in each', () => {
    expect(new Set(SCENARIOS.map(({ id }) => id)).size).toBe(SCENARIOS.length);
    for (const { threads } of SCENARIOS) expect(threads.length >= 2 && threads.length <= 4).toBe(true);
  });

  test('names what is known when asked for something else', () => {
    expect(() => findScenario('no-such')).toThrow(/unknown scenario 'no-such' \(known: vma-adjust-unlocked, /);
  });
});

/** Runs the threads one after the other, on the source as it is or in the explored build. */
function inOrder(scenario: Scenario, order: readonly number[]): Sim<string[]> {
  const found: string[] = [];
  const sink: ViolationSink = ({ title }) => void found.push(title);
  const program = scenario.program(rightRules(scenario));
  const world = program.setup(sink);
  world.restore();
  for (const index of order) {
    const thread: Thread<Task> = program.threads[index];
    thread(world.task(index));
  }
  program.check!(world, sink);
  return found;
}

describe.skipIf(explored)('threads one after the other', () => {
  test.each(SCENARIOS)('$id: nothing is found in either direction', (scenario) => {
    const forward = scenario.threads.map((_, index) => index);
    for (const order of [forward, forward.toReversed()]) {
      const run = (): Sim<string[]> => inOrder(scenario, order);
      expect(callSim(run, undefined)).toEqual([]);
    }
  });
});

describe.skipIf(!explored)('explored', () => {
  test.each(SCENARIOS)('$id: nothing is found under the right rules', (scenario) => {
    const { firstFailure, executions } = explore({
      ...scenario.program(rightRules(scenario)),
      seed: 3,
      executions: SAMPLE,
    });
    expect(firstFailure?.violations ?? []).toEqual([]);
    expect(executions).toBe(SAMPLE);
  });

  test.each(bugScenarios)('$id: the bug is found, as one of its kinds', (scenario) => {
    const { rules } = findBug(scenario.bug!);
    const program = scenario.program(applyRuleSettings(LINUX_7_0, rules), { seeks: scenario.expected });
    const { firstFailure } = explore({ ...program, seed: 1, executions: BUDGET });
    expect(scenario.expected).toContain(firstFailure?.violations[0].kind);
  });

  test('an end that was judged before is not judged again, and a faulty one always is', () => {
    const scenario = findScenario('degree-double-reuse');
    const program = scenario.program(applyRuleSettings(LINUX_7_0, findBug('degree-double-reuse').rules));
    const { verdicts } = explore({ ...program, seed: 1, executions: 60, keepGoing: true });
    const again = explore({ ...program, seed: 1, executions: 60, keepGoing: true });
    expect(verdicts.violation).toBeGreaterThan(1);
    expect(again.verdicts).toEqual(verdicts);
  });
});
