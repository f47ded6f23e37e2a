/** Runs random sequences on one machine; the same source in both builds of the simulated kernel. */

import { AssertionError } from '../../base/assert.ts';
import { Prng } from '../../base/prng.ts';
import type { Sim } from '../../base/sim.ts';
import { MachineAborted } from '../../cpu/machineAborted.ts';
import { SMALL_MACHINE, type MachineSize } from '../../cpu/machine.ts';
import { runAlone } from '../../instrument/runAlone.ts';
import type { Rules } from '../../rules/rules.ts';
import { countObjects, createConformMachine, resetMachine } from '../machine.ts';
import type { Action } from '../traceFormat.ts';
import type { LiveProcesses } from './draw.ts';
import { MODELLED } from './families.ts';
import { StepSource } from './generate.ts';
import { SEQUENCE_WINDOW, runSequence, runShortOfMemory, type Sequence } from './sequence.ts';

/** Room for four processes with a VMA for each page: what runs out of memory here is a leak. */
const MACHINE: MachineSize = {
  ...SMALL_MACHINE,
  cpus: 1,
  frames: 320,
  pageTables: 80,
  vmas: 256,
  anonVmas: 256,
  anonVmaChains: 1024,
  vmaNodes: [32, 32, 0, 0],
};

/** What became of a sequence: its steps, and what went wrong in the last of them. */
export interface SequenceOutcome {
  readonly actions: readonly Action[];
  readonly problem: string | null;
}

export interface SequenceRunner {
  /** Sequence number `n` of a seed. */
  readonly run: (seed: number, n: number) => SequenceOutcome;
  /** Given steps. */
  readonly runSteps: (actions: readonly Action[]) => SequenceOutcome;
}

/** With `failAlloc`, allocations fail at random, and only that processes stay whole is looked at. */
export function createSequenceRunner(rules: Rules, failAlloc = 0): SequenceRunner {
  const machine = createConformMachine(MACHINE);
  const script: (sequence: Sequence) => Sim<void> = failAlloc > 0 ? runShortOfMemory : runSequence;
  const start = (seed: number, next: Sequence['next']): SequenceOutcome => {
    const task = resetMachine(machine, { rules, seed, failAlloc });
    const log: Action[] = [];
    try {
      runAlone(script, { task, next, log });
    } catch (error) {
      if (error instanceof MachineAborted) return { actions: log, problem: 'waits for ever' };
      if (!(error instanceof Error)) throw error;
      return { actions: log, problem: error instanceof AssertionError ? `assertion: ${error.message}` : error.message };
    }
    const left = JSON.stringify(countObjects(machine.heap));
    const atBoot = JSON.stringify(machine.atBoot);
    return { actions: log, problem: left === atBoot ? null : `objects left: ${left}, after boot ${atBoot}` };
  };
  return {
    run: (seed, n) => start(n, drawnSteps(Prng.fromSeed(seed, n))),
    runSteps: (actions) => start(0, givenSteps(actions)),
  };
}

function drawnSteps(prng: Prng): Sequence['next'] {
  const source = new StepSource(prng, MODELLED, SEQUENCE_WINDOW);
  let left = source.drawLength();
  return (alive: LiveProcesses) => (left-- > 0 ? source.draw(alive) : undefined);
}

function givenSteps(actions: readonly Action[]): Sequence['next'] {
  let at = 0;
  return () => actions[at++];
}
