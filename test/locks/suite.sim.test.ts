/** The suite under the explorer; on threads (see suiteOnThreads.test.ts for real ones) each program in sequence. */
import type { Sim } from '../../src/base/sim.ts';
import { DataRaces } from '../../src/detect/dataRaces.ts';
import { ObjectLifetimes } from '../../src/detect/objectLifetimes.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, type Concurrent } from '../support/simConcurrent.ts';
import { LOCK_PROGRAMS } from './suite/all.ts';
import { GROUND_WORDS, type Ground, type LockProgram } from './suite/program.ts';

const ROUNDS = 2;
const EXECUTIONS = 500;

function concurrent(program: LockProgram): Concurrent<Ground> {
  return {
    size: program.size ?? {},
    setup: (kernel: Kernel): Sim<Ground> => {
      const ground = { at: kernel.words(GROUND_WORDS), rounds: ROUNDS };
      program.setUp(kernel.task, ground);
      return ground;
    },
    threads: program.threads,
    check: (kernel: Kernel, ground: Ground): Sim<void> => program.check(kernel.task, ground),
    meets: program.directed ?? false,
    executions: EXECUTIONS,
    // The objects are stand-ins: their words are not the fields that the guard tables speak of.
    observers: [new DataRaces(), new ObjectLifetimes()],
  };
}

for (const program of LOCK_PROGRAMS) simConcurrent(program.name, concurrent(program));
