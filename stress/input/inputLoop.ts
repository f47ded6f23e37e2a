/**
 * What a simulated CPU does when a recorded program is run: its steps in order, each after the steps of other CPUs that it
 * must wait for, with the kernel's own work (migration, compaction, reclaim) in between; then the same again until the run
 * ends. One CPU does nothing but the kernel's work.
 */

import { stopRequested } from '../../src/arena/header.ts';
import type { Sim } from '../../src/base/sim.ts';
import { NO_MM, type Vpn } from '../../src/layout/ids.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import type { CpuContext } from '../context.ts';
import { comeToBarrier, takeDown, type CpuHarness } from '../cpuLoop.ts';
import { OP, type OperationName } from '../operations.ts';
import { opCompact, opReclaim } from '../ops/kernel.ts';
import { atPages, inProcess } from '../trail.ts';
import { runAction } from './inputActions.ts';
import type { InputAction } from './inputProgram.ts';
import type { InputRun } from './inputRun.ts';
import type { ScheduledStep } from './schedule.ts';

/** Share of steps that are followed by some work of the kernel. */
const KERNEL_SHARE = 0.2;
const MIGRATED_PAGES = 8;

/** Runs rounds of the program until the machine is stopped. */
export function runInput(cpu: CpuContext, harness: CpuHarness, run: InputRun): Sim<void> {
  for (let round = 1; run.goesOn(round); round++) {
    for (const step of run.steps) takeStep(cpu, harness, run, step, round);
    run.endRound(round);
    while (!run.isOver(round)) {
      if (run.isKernelCpu) kernelWork(cpu, harness);
      beDisturbed(cpu, harness, run);
    }
    if (cpu.task.cpu === 0) run.decide(round, !stopRequested(cpu.task.heap) && harness.mayGoOn());
    while (!run.isDecided(round)) beDisturbed(cpu, harness, run);
  }
  harness.leave();
  takeDown(cpu, harness);
}

function takeStep(cpu: CpuContext, harness: CpuHarness, run: InputRun, step: ScheduledStep, round: number): Sim<void> {
  while (!run.mayRun(step, round)) beDisturbed(cpu, harness, run);
  if (harness.wantsBarrier()) comeToBarrier(cpu, harness);
  if (isLifecycle(step.action) || !stopRequested(cpu.task.heap)) {
    runStep(cpu, harness, run, step);
    if (cpu.task.prng.chance(KERNEL_SHARE)) kernelWork(cpu, harness);
    if ('range' in step.action && cpu.task.prng.chance(KERNEL_SHARE)) migrateSome(cpu, harness, run, step);
  }
  run.markDone(step, round);
}

/** Address spaces come and go also when the rest is skipped because the run ends. */
function isLifecycle({ op }: InputAction): boolean {
  return op === 'fork' || op === 'share' || op === 'exec' || op === 'end';
}

function runStep(cpu: CpuContext, harness: CpuHarness, run: InputRun, step: ScheduledStep): Sim<void> {
  const op = operationOf(step.action);
  const ticket = harness.started(op);
  inProcess(cpu, step.space + 1);
  if ('range' in step.action) atPages(cpu, step.action.range.start, step.action.range.end - step.action.range.start);
  const result = runAction(cpu, run.spaces, step);
  harness.ended(op, ticket, Math.min(result, 0));
  if (cpu.task.lockdep !== null) cpu.task.lockdep.returnToUser(cpu.task);
  const wrong = run.judge(step, result, cpu.task.loaded);
  if (wrong !== null) cpu.report(wrong);
  cpu.task.mm = NO_MM;
}

const OPERATION_OF: Readonly<Record<InputAction['op'], OperationName>> = {
  mmap: 'mmap',
  munmap: 'munmap',
  mprotect: 'mprotect',
  mremap: 'mremap',
  madvise: 'madvise',
  mlock: 'mlock',
  munlock: 'mlock',
  fork: 'fork',
  share: 'fork',
  exec: 'exec',
  end: 'exit',
  write: 'write',
  read: 'read',
};

function operationOf({ op }: InputAction): number {
  return OP[OPERATION_OF[op]];
}

/** While a CPU waits: it comes to the barrier if it is wanted there. */
function beDisturbed(cpu: CpuContext, harness: CpuHarness, run: InputRun): Sim<void> {
  if (harness.wantsBarrier()) comeToBarrier(cpu, harness);
  else run.pause();
}

/** A turn of kcompactd or kswapd. */
function kernelWork(cpu: CpuContext, harness: CpuHarness): Sim<void> {
  const op = cpu.task.prng.chance(0.5) ? OP.reclaim : OP.compact;
  const ticket = harness.started(op);
  const result = op === OP.reclaim ? opReclaim(cpu) : opCompact(cpu);
  harness.ended(op, ticket, result);
}

/** Migrates some of the pages of the step just made; its thread holds the address space. */
function migrateSome(cpu: CpuContext, harness: CpuHarness, run: InputRun, { space, action }: ScheduledStep): Sim<void> {
  const mm = run.spaces.mmOf(space);
  if (mm === NO_MM || !('range' in action)) return;
  const ticket = harness.started(OP.migrate);
  inProcess(cpu, space + 1);
  atPages(cpu, action.range.start, MIGRATED_PAGES);
  const left = migrateRange(cpu.task, mm, action.range.start as Vpn, MIGRATED_PAGES, 'sync');
  harness.ended(OP.migrate, ticket, Math.min(left, 0));
}
