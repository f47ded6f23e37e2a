/**
 * Runs cases on one machine. The same source in both builds of the simulated kernel: in the explored one it is the entry
 * of a bundle of its own.
 */

import { AssertionError } from '../base/assert.ts';
import { MachineAborted } from '../cpu/machineAborted.ts';
import type { Rules } from '../rules/rules.ts';
import { brokenDivergence, divergenceOf, type Divergence } from './divergence.ts';
import { machineFor, resetMachine, type ConformMachines } from './machine.ts';
import { runAlone } from '../instrument/runAlone.ts';
import { createProgress, runCase, type StepOutcome } from './runCase.ts';
import type { TraceCase } from './traceFormat.ts';

/**
 * Runs a case on a machine as fresh as after boot. Returns its first divergence, or null.
 * `onStep` is told of each step that agreed.
 */
export type CaseRunner = (trace: TraceCase, onStep: ((outcome: StepOutcome) => void) | null) => Divergence | null;

const WAITS_FOR_EVER = 'the only task waits for a lock that nobody else will release';

export function createRunner(rules: Rules): CaseRunner {
  const machines: ConformMachines = { small: null, large: null };
  return (trace, onStep) => {
    const machine = machineFor(machines, trace);
    const task = resetMachine(machine, { rules });
    const progress = createProgress();
    try {
      runAlone(runCase, { task, trace, atBoot: machine.atBoot, progress, onStep });
    } catch (error) {
      if (error instanceof AssertionError) return brokenDivergence(trace, progress, error.message);
      if (error instanceof MachineAborted) return brokenDivergence(trace, progress, WAITS_FOR_EVER);
      throw error;
    }
    return divergenceOf(trace, progress);
  };
}
