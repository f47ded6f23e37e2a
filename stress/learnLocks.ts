/**
 * The stress mix on one CPU, for what lockdep learns of it: no threads, no clock, so that a seed gives the same order again.
 * Locks are taken in the same places as under load; what only happens when two CPUs meet is not seen.
 */

import type { Heap } from '../src/arena/heap.ts';
import type { Violation } from '../src/base/finding.ts';
import { createTask, type Task } from '../src/cpu/task.ts';
import { TASK } from '../src/layout/task.ts';
import { createLockdep } from '../src/lockdep/lockdep.ts';
import { lockdepViolation } from '../src/report/lockdepViolation.ts';
import type { Rules } from '../src/rules/rules.ts';
import type { CpuContext } from './context.ts';
import { runCpu, type CpuHarness } from './cpuLoop.ts';
import { defaultMix, mixTotal } from './mix.ts';
import { OPERATIONS } from './operations.ts';
import { createStressMachine } from './run/machine.ts';
import { stressSection } from './section.ts';
import { createSharedValues } from './sharedValues.ts';

const PROCESSES = 6;

export interface LearnOptions {
  readonly rules: Rules;
  readonly seed: number;
  readonly operations: number;
}

export interface LearnResult {
  /** The arena, with what lockdep has learned. */
  readonly heap: Heap;
  readonly violations: readonly Violation[];
}

/** Runs the default mix. */
export function learnLocks({ rules, seed, operations }: LearnOptions): LearnResult {
  const { heap, shape } = createStressMachine(1, PROCESSES, true);
  const violations: Violation[] = [];
  const report = (violation: Violation): void => void violations.push(violation);
  const lockdep = createLockdep(heap, (found) => report(lockdepViolation(found, operationName)));
  const task = createTask({ heap, id: 1, rules, seed, lockdep });
  const mix = defaultMix();
  const cpu: CpuContext = {
    task,
    table: { heap, section: stressSection(heap, shape), slots: PROCESSES },
    cpus: 1,
    mix,
    mixTotal: mixTotal(mix),
    pins: [],
    shared: createSharedValues(),
    hugeWords: new Map(),
    report,
    counter: 0,
  };
  runCpu(cpu, countingHarness(task, operations));
  return { heap, violations };
}

/** Counts operations and tells lockdep which one runs. There is nobody to meet. */
function countingHarness({ heap, ptr }: Task, operations: number): CpuHarness {
  let issued = 0;
  const nothing = (): void => undefined;
  return {
    mayGoOn: () => issued < operations,
    wantsBarrier: () => false,
    meet: nothing,
    leave: nothing,
    meetFinally: nothing,
    started(op) {
      heap[ptr + TASK.op] = op + 1;
      return issued++;
    },
    ended() {
      heap[ptr + TASK.op] = 0;
    },
  };
}

function operationName(op: number): string {
  return OPERATIONS[op - 1]?.name ?? 'task';
}
