/** Conformance: a recorded step carried out, observed, labelled and compared; and a random step beside the plain model. */

import { Prng } from '../../src/base/prng.ts';
import { executeStep, type SimulatedProcess } from '../../src/conform/execute.ts';
import { createFrameLabels, labelState } from '../../src/conform/frameLabels.ts';
import { machineFor, resetMachine } from '../../src/conform/machine.ts';
import { observeProcess } from '../../src/conform/observe.ts';
import { FAMILIES } from '../../src/conform/random/families.ts';
import { generateSteps } from '../../src/conform/random/generate.ts';
import { createSequenceRunner } from '../../src/conform/random/sequenceRunner.ts';
import { createRunner } from '../../src/conform/runner.ts';
import type { Action, TraceCase, TraceStep } from '../../src/conform/traceFormat.ts';
import { missingReason } from '../../src/conform/unbuilt.ts';
import { NO_MM } from '../../src/layout/ids.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';
import type { BenchCase, Measured } from '../case.ts';

const CASES = 32;
/** Of each case: as many as the shortest has. */
const STEPS = 10;
const SEED = 1;
const { rules } = kernelPreset('linux-6.18');

/** A random case, with the states that the simulated kernel itself leads to: a trace that it must agree with. */
function simulatedTrace(n: number): TraceCase {
  const family = FAMILIES[n % FAMILIES.length];
  const trace = { id: String(n), family: family.name, memlock: null, kernel: '', file: '', line: 0 };
  // Whether a pin is taken depends on the kernel; without pins, every step can be made.
  const canRun = (action: Action): boolean => missingReason(action) === null && !action.op.endsWith('pin');
  const actions = generateSteps(Prng.fromSeed(SEED, n), family, canRun).slice(0, STEPS);
  const task = resetMachine(machineFor({ small: null, large: null }, { ...trace, steps: [] }), { rules });
  const processes: SimulatedProcess[] = [{ mm: mmAlloc(task), pins: new Map() }];
  const frames = createFrameLabels();
  const steps: TraceStep[] = [];
  for (const action of actions) {
    const result = executeStep(task, processes, action);
    const live = [...processes.entries()].filter(([, { mm }]) => mm !== NO_MM);
    const observed = new Map(live.map(([p, { mm }]) => [p, observeProcess(task.heap, mm)]));
    steps.push({ action, result, after: labelState(frames, observed, action.op === 'ksm') });
  }
  return { ...trace, steps };
}

function conformanceSteps(): Measured {
  const traces = Array.from({ length: CASES }, (_, n) => simulatedTrace(n));
  const run = createRunner(rules);
  return {
    run: () => {
      for (const trace of traces) if (run(trace, null) !== null) throw new Error('a trace diverges');
    },
  };
}

/** Sequences of no fixed length: the unit is a sequence. */
function randomSequences(): Measured {
  const runner = createSequenceRunner(rules);
  return {
    run: () => {
      for (let n = 0; n < CASES; n++) {
        if (runner.run(SEED, n).problem !== null) throw new Error('a sequence parts from the model');
      }
    },
  };
}

export const CONFORM_CASES: readonly BenchCase[] = [
  { name: 'conformance step', group: 'conform', unit: 'step', batch: CASES * STEPS, setup: conformanceSteps },
  { name: 'conform random sequence', group: 'conform', unit: 'sequence', batch: CASES, setup: randomSequences },
];
