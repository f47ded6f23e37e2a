/**
 * Whatever the kernel does with VMAs, page tables and shared frames: each process must see its own memory as if it had
 * never been shared, split, merged, moved or migrated, and an operation that fails must leave nothing behind.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { countObjects, createConformMachine, resetMachine } from '../../src/conform/machine.ts';
import { runAlone } from '../../src/instrument/runAlone.ts';
import { SMALL_MACHINE, type MachineSize } from '../../src/cpu/machine.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';
import { arbitraryCommand, type Command } from './addressSpaceCommand.ts';
import { runScript, runShortOfMemory, type Script } from './addressSpaceScript.ts';

const RUNS = 60;
const TIMEOUT_MS = 60_000;
const MIN_COMMANDS = 20;
const MAX_COMMANDS = 80;
const SEED = 20_260_801;
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

/** Runs random scripts on machines fresh from boot; afterwards nothing may be left allocated. */
function expectToHold(script: (script: Script) => Sim<void>, kernel: string, failAlloc: number): void {
  const { rules } = kernelPreset(kernel);
  const machine = createConformMachine(MACHINE);
  const run = (seed: number, commands: readonly Command[]): void => {
    const task = resetMachine(machine, { rules, seed, failAlloc });
    const log: string[] = [];
    try {
      runAlone(script, { task, commands, log });
      expect(countObjects(machine.heap)).toEqual(machine.atBoot);
    } catch (error) {
      throw new Error(`${(error as Error).message} after\n${log.join('\n')}`, { cause: error });
    }
  };
  const commands = fc.array(arbitraryCommand, { minLength: MIN_COMMANDS, maxLength: MAX_COMMANDS, size: 'max' });
  fc.assert(fc.property(fc.nat(), commands, run), { seed: SEED, numRuns: RUNS });
}

describe('address spaces', () => {
  it.each(['linux-6.18', 'linux-7.0'])(
    `each process sees only its own memory (${RUNS} random runs, %s)`,
    (kernel) => expectToHold(runScript, kernel, 0),
    TIMEOUT_MS,
  );

  it(
    `processes stay whole when allocations fail (${RUNS} random runs)`,
    () => expectToHold(runShortOfMemory, 'linux-7.0', 0.05),
    TIMEOUT_MS,
  );
});
