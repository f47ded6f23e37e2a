/** Machines for tests of the simulated kernel: booted, with every detector on. */
import type { Heap } from '../../src/arena/heap.ts';
import { ledgerWords } from '../../src/check/ledger.ts';
import { createChecker } from '../../src/check/watch.ts';
import { SMALL_MACHINE, type MachineSize } from '../../src/cpu/machine.ts';
import type { ViolationSink } from '../../src/explore/world.ts';
import { bootMachine } from '../../src/mm/boot.ts';
import type { Rules } from '../../src/rules/rules.ts';
import type { KernelOptions } from '../support/kernel.ts';

/** As mmKernel, with no word about missing locks: for races that must get as far as the harm done. */
export function mmKernelUntilHarm(rules: Rules, size: Partial<MachineSize>): KernelOptions {
  return {
    ...mmKernel(rules, size),
    hooks: (_heap: Heap, sink: ViolationSink) => ({
      check: createChecker((violation) => {
        if (violation.kind !== 'lock-held') sink(violation);
      }, {}),
    }),
  };
}

/** Options of a booted machine. Detectors report to `to`, or to the test's own sink. */
export function mmKernel(rules: Rules, size: Partial<MachineSize>, to?: ViolationSink): KernelOptions {
  return {
    rules,
    size: { ...size, userWords: ledgerWords(size.frames ?? SMALL_MACHINE.frames) },
    boot: bootMachine,
    hooks: (_heap: Heap, sink: ViolationSink) => ({ check: createChecker(to ?? sink, {}) }),
  };
}
