/**
 * What a simulated CPU does for the whole run: pick a process, pick an operation, run it, judge it; now and then all CPUs
 * meet and one looks at the whole machine. The loop is simulated code, so the explorer can run it as well.
 */

import { stopRequested } from '../src/arena/header.ts';
import type { Sim } from '../src/base/sim.ts';
import { NO_MM } from '../src/layout/ids.ts';
import { rcuBarrier } from '../src/locks/rcu.ts';
import type { CpuContext } from './context.ts';
import { drawOperation } from './mix.ts';
import { runOperation } from './runOperation.ts';
import { inProcess } from './trail.ts';
import { stopKsm } from './ops/ksm.ts';
import { dropPins } from './ops/pins.ts';
import { leaveProcess, spawnProcess } from './ops/lifecycle.ts';
import { holdProcess, liveProcesses, processMm, processNumber, startExit, type Slot } from './processTable.ts';

/** What the loop needs of the world around it; plain functions. */
export interface CpuHarness {
  /** Between two operations: true when the CPU shall come to the barrier. */
  readonly wantsBarrier: () => boolean;
  /** All CPUs meet; one runs the quiescent checks. */
  readonly meet: () => void;
  /** The last operation was issued: the CPU comes to no further barrier of the run. */
  readonly leave: () => void;
  /** All CPUs meet for the last time; `inside` runs alone. */
  readonly meetFinally: (inside: 'nothing' | 'leak-check') => void;
  readonly started: (op: number) => number;
  readonly ended: (op: number, ticket: number, result: number) => void;
  /** False once a limit on operations is reached. */
  readonly mayGoOn: () => boolean;
}

/** Runs operations until the machine is stopped, then takes everything down. */
export function runCpu(cpu: CpuContext, harness: CpuHarness): Sim<void> {
  while (!stopRequested(cpu.task.heap) && harness.mayGoOn()) {
    if (harness.wantsBarrier()) comeToBarrier(cpu, harness);
    else oneOperation(cpu, harness);
  }
  harness.leave();
  takeDown(cpu, harness);
}

/** What the CPU has deferred is freed first: at the barrier every allocated object has somebody who refers to it. */
export function comeToBarrier(cpu: CpuContext, harness: CpuHarness): Sim<void> {
  rcuBarrier(cpu.task);
  harness.meet();
}

function oneOperation(cpu: CpuContext, harness: CpuHarness): Sim<void> {
  const slot = enterSomeProcess(cpu);
  if (slot < 0) return;
  const op = drawOperation(cpu.mix, cpu.mixTotal, cpu.task.prng);
  const ticket = harness.started(op);
  inProcess(cpu, processNumber(cpu.table, slot));
  const result = runOperation(cpu, slot, op);
  harness.ended(op, ticket, result);
  if (cpu.task.lockdep !== null) cpu.task.lockdep.returnToUser(cpu.task);
  leaveProcess(cpu, slot);
  cpu.task.mm = NO_MM;
}

/** Holds a process drawn at random; starts one when there is none. @returns its slot, or a negative number */
function enterSomeProcess(cpu: CpuContext): Sim<number> {
  const { table, task } = cpu;
  if (liveProcesses(table) === 0) {
    const spawned = spawnProcess(cpu);
    if (spawned < 0) return spawned;
  }
  const first = task.prng.below(table.slots);
  for (let i = 0; i < table.slots; i++) {
    const slot = (first + i) % table.slots;
    if (!holdProcess(table, slot)) continue;
    task.mm = processMm(table, slot);
    return slot;
  }
  return -1;
}

/** Everything goes: pins, processes, deferred frees. What is left after that is a leak. */
export function takeDown(cpu: CpuContext, harness: CpuHarness): Sim<void> {
  dropPins(cpu, cpu.pins.length);
  harness.meetFinally('nothing');
  for (let slot = cpu.task.cpu; slot < cpu.table.slots; slot += cpu.cpus) endProcess(cpu, slot);
  harness.meetFinally('nothing');
  if (cpu.task.cpu === 0) stopKsm(cpu);
  rcuBarrier(cpu.task);
  harness.meetFinally('leak-check');
}

function endProcess(cpu: CpuContext, slot: Slot): Sim<void> {
  if (!holdProcess(cpu.table, slot)) return;
  if (startExit(cpu.table, slot)) leaveProcess(cpu, slot);
  leaveProcess(cpu, slot);
}
