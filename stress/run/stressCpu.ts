/** One simulated CPU of a stress run, inside its worker thread. */

import { attachArena } from '../../src/arena/arena.ts';
import { requestAbort } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { AssertionError } from '../../src/base/assert.ts';
import type { Violation } from '../../src/base/finding.ts';
import { createChecker, type CheckCounts } from '../../src/check/watch.ts';
import { MachineAborted } from '../../src/cpu/machineAborted.ts';
import { createTask } from '../../src/cpu/task.ts';
import { P } from '../../src/instrument/runtime.ts';
import { TASK } from '../../src/layout/task.ts';
import { createLockdep } from '../../src/lockdep/lockdep.ts';
import type { Scene } from '../../src/report/sceneDocument.ts';
import { lockdepViolation } from '../../src/report/lockdepViolation.ts';
import type { CpuContext } from '../context.ts';
import { runCpu } from '../cpuLoop.ts';
import { runInput } from '../input/inputLoop.ts';
import { InputRun } from '../input/inputRun.ts';
import { createHarness, trailEvidence } from '../harness.ts';
import { createLockStats } from '../lockStats.ts';
import { mixTotal } from '../mix.ts';
import { OPERATIONS } from '../operations.ts';
import { takeScene } from '../scene.ts';
import { stressSection, type StressSection } from '../section.ts';
import type { CpuData, CpuResult, ViolationMessage } from './cpuData.ts';
import { isFatal } from './fatal.ts';
import { createSharedValues } from '../sharedValues.ts';

/** Runs the CPU until the run ends; never throws: what went wrong is in the messages and in the outcome. */
export function stressCpu(data: CpuData): CpuResult {
  const heap = attachArena(data.buffer);
  const section = stressSection(heap, data.shape);
  const { cpus } = data.shape;
  const checkCounts: CheckCounts = {};
  const report = (violation: Violation): void => {
    const who = trailEvidence(heap, section, cpus);
    const scene = sceneOf(violation, heap, section, data);
    const message: ViolationMessage = { violation, cpu: data.id - 1, who, scene };
    data.port.postMessage(message);
    // The machine is no longer what the model says: going on would only report consequences.
    if (isFatal(violation.kind)) requestAbort(heap);
  };
  P.configure(data.seed + data.id, data.perturb);
  const task = createTask({
    heap,
    id: data.id,
    rules: data.rules,
    seed: data.seed,
    lockdep: data.lockdep ? createLockdep(heap, (found) => report(lockdepViolation(found, operationOf))) : null,
    check: data.checks ? createChecker(report, checkCounts) : null,
    lockStats: createLockStats(heap, section, data.id - 1, () => performance.now() * 1e6),
    failAlloc: data.failAlloc,
  });
  const cpu: CpuContext = {
    task,
    table: { heap, section, slots: data.shape.processes },
    cpus,
    mix: data.mix,
    mixTotal: mixTotal(data.mix),
    pins: [],
    shared: createSharedValues(),
    hugeWords: new Map(),
    report,
    counter: 0,
  };
  const harness = createHarness({
    heap,
    section,
    task,
    cpus,
    checks: data.checks,
    checkCounts,
    checkIntervalMs: data.checkIntervalMs,
    opLimit: data.opLimit,
    report,
  });
  const input = data.program === null ? null : new InputRun(heap, section.end, data.program, task.cpu, cpus);
  let outcome: CpuResult['outcome'] = 'done';
  try {
    if (input === null) runCpu(cpu, harness);
    else runInput(cpu, harness, input);
  } catch (error) {
    outcome = error instanceof MachineAborted ? 'aborted' : 'failed';
    if (outcome === 'failed') report(violationOf(error, heap[task.ptr + TASK.op]));
  }
  return {
    cpu: task.cpu,
    outcome,
    checkCounts,
    injectedFailures: task.injectedFailures,
    input: input?.result() ?? null,
  };
}

/** The scene of a violation that has a place; a recorded program has no slots that could be rebuilt. */
function sceneOf({ place }: Violation, heap: Heap, section: StressSection, data: CpuData): Scene | undefined {
  if (place === undefined || data.program !== null) return undefined;
  return takeScene(heap, section, data.shape.processes, place);
}

/** A failed assertion of the simulated kernel is its BUG_ON; anything else that is thrown is a crash of the CPU. */
function violationOf(error: unknown, op: number): Violation {
  const thrown = error instanceof Error ? error : new Error(String(error));
  const operation = op === 0 ? 'between two operations' : operationOf(op);
  const frames = (thrown.stack ?? '').split('\n').slice(1, 7);
  return {
    kind: error instanceof AssertionError ? 'assertion' : 'crash',
    title: `${operation}: ${thrown.message}`,
    signature: `${thrown.name}: ${thrown.message.replace(/\d+/g, 'N')}`,
    evidence: frames.map((frame) => frame.trim()),
  };
}

/** Name of the operation whose code stands in a task's op word (its code + 1). */
function operationOf(op: number): string {
  return OPERATIONS[op - 1]?.name ?? 'task';
}
