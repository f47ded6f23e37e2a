/** The unlocked vma_adjust of May 2010, from the hunt to the story: what a kernel developer is to read. */
import { beforeAll, describe, expect, it } from 'vitest';
import { findBug } from '../../stress/bugs/catalogue.ts';
import { findScenario } from '../../stress/scenarios/catalogue.ts';
import { isPrediction } from '../../src/base/finding.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explain } from '../../src/explore/explain.ts';
import { explore, type Program } from '../../src/explore/explore.ts';
import type { MachineWorld } from '../../src/explore/machineWorld.ts';
import { minimise, type Minimised } from '../../src/explore/minimise.ts';
import { encodeSchedule } from '../../src/explore/schedule.ts';
import type { ViolationSink } from '../../src/explore/world.ts';
import { storyLines } from '../../src/report/story.ts';
import { timelineLines } from '../../src/report/timeline.ts';
import type { Trace } from '../../src/report/trace.ts';
import { applyRuleSettings } from '../../src/rules/resolve.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { explored } from '../support/simTest.ts';

const ID = 'vma-adjust-unlocked';
const scenario = findScenario(ID);
const rules = applyRuleSettings(LINUX_7_0, findBug(ID).rules);

/** The scenario without the warnings that foretell the harm. */
function harmful(): Program<Task, MachineWorld> {
  const { setup, ...program } = scenario.program(rules);
  const passOver = (sink: ViolationSink): ViolationSink => {
    return (violation) => {
      if (!isPrediction(violation.kind)) sink(violation);
    };
  };
  return { ...program, setup: (sink: ViolationSink): Sim<MachineWorld> => setup(passOver(sink)) };
}

describe.runIf(explored)(ID, () => {
  let least: Minimised<Task, MachineWorld>;
  let trace: Trace;

  // A suite that is skipped is still collected: the work belongs into a hook.
  beforeAll(() => {
    const { firstFailure } = explore({ ...harmful(), executions: 500, seed: 1, strategy: 'random' });
    least = minimise(harmful(), firstFailure!.schedule);
    trace = explain(least.program, least.schedule);
  });

  it('needs two preemptions', () => {
    expect(least.before.preemptions).toBeGreaterThan(20);
    expect(least.after).toMatchObject({ threads: 2, preemptions: 2 });
    expect(least.violations[0].kind).toBe('dangling-migration-entry');
    expect(encodeSchedule(least.schedule).length).toBeLessThan(40);
  });

  it('fits a screen, with the stores, the reads, the locks and the entry', () => {
    const lines = timelineLines(trace, { form: 'short', roles: scenario.threads });
    const text = lines.join('\n');
    expect(lines.length).toBeLessThanOrEqual(40);
    expect(text).toMatch(/vma_set_range\(\) vma#1\.vm_start 16 → 17/);
    expect(text).toMatch(/vma_address\(\) reads vma#1\.vm_pgoff: 16/);
    expect(text).toMatch(/reads vma#1\.vm_start: 17/);
    expect(text).toMatch(/set_pte_at\(\) mm#1 pte of vpn 17 none → write\s/);
    expect(text).toMatch(/locks mm#1\.mmap_lock \(write\)/);
    expect(text).toMatch(/!!! CPU\d in finish_source: dangling-migration-entry/);
    // Holes in the naming would show as addresses.
    expect(text).not.toMatch(/\d{4,}/);
  });

  it('is told as what it is: a walk between the stores', () => {
    const told = storyLines(trace, 1000);
    expect(told.find((line) => line.startsWith('So '))).toBe(
      'So CPU1 has vma#1.vm_start (17) from vma_set_range() of CPU2, which is not over yet, beside vma#1.vm_pgoff (16) and vma#1.vm_end (18).',
    );
    expect(told.at(-1)).toMatch(/^Then, at step \d+: dangling migration PTE: page 17 of process 1/);
  });
});

describe.runIf(explored)('fork-shares-pinned-page', () => {
  it('goes on where it was preempted, though its next access is in a function that it returns to', () => {
    const { program: build, expected: seeks, threads } = findScenario('fork-shares-pinned-page');
    const bugRules = applyRuleSettings(LINUX_7_0, findBug('fork-shares-pinned-page').rules);
    const { firstFailure } = explore({ ...build(bugRules, { seeks }), executions: 500, seed: 1 });
    const found = explain(build(bugRules, { seeks }), firstFailure!.schedule);
    const told = storyLines(found, 1000);
    expect(told[0]).toMatch(/^CPU1 runs pin_user_pages_fast\(\), .* and is preempted in gup_fast\(\)\.$/);
    expect(told[2]).toBe('CPU1 goes on in gup_fast().');
    expect(timelineLines(found, { form: 'short', roles: threads }).join('\n')).toMatch(/CPU1 goes on in gup_fast /);
  });
});
