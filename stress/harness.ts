/**
 * The world around one CPU of a stress run on threads: counts, clock, trail, barrier, and the way a violation takes to the
 * main thread. A message leaves at once, so that nothing that happens afterwards can lose it.
 */

import { abortRequested } from '../src/arena/header.ts';
import type { Heap } from '../src/arena/heap.ts';
import type { Violation } from '../src/base/finding.ts';
import { histogramAdd } from '../src/base/histogram.ts';
import { checkLeaks } from '../src/check/leaks.ts';
import { checkQuiescent } from '../src/check/quiescent.ts';
import type { CheckCounts } from '../src/check/watch.ts';
import type { Task } from '../src/cpu/task.ts';
import { TASK } from '../src/layout/task.ts';
import { barrierWanted, leaveBarrier, meet, meetAtEnd, wantBarrier } from './barrier.ts';
import type { CpuHarness } from './cpuLoop.ts';
import { MAX_ERRNO, opCountAt, opFailedAt, opLatencyAt, type StressSection } from './section.ts';
import { formatTrailRecord, readTrail, trailEnd, trailStart } from './trail.ts';

/** Records per CPU that a violation carries. */
const TRAIL_SHOWN = 3;

export interface HarnessOptions {
  readonly heap: Heap;
  readonly section: StressSection;
  readonly task: Task;
  readonly cpus: number;
  readonly checks: boolean;
  readonly checkCounts: CheckCounts;
  /** CPU 0 asks for a barrier this often. */
  readonly checkIntervalMs: number;
  /** Operations this CPU may issue. */
  readonly opLimit: number;
  readonly report: (violation: Violation) => void;
}

/** The harness of one CPU. */
export function createHarness(options: HarnessOptions): CpuHarness {
  const { heap, section, task, cpus, report } = options;
  const epoch = performance.now();
  let nextCheck = epoch + options.checkIntervalMs;
  let issued = 0;
  let startedAt = epoch;
  const quiescent = (): void => {
    if (!options.checks) return;
    for (const violation of checkQuiescent(heap, options.checkCounts)) report(violation);
  };
  return {
    mayGoOn: () => issued < options.opLimit,
    wantsBarrier() {
      if (task.cpu === 0 && startedAt > nextCheck) {
        nextCheck = startedAt + options.checkIntervalMs;
        wantBarrier(heap, section);
      }
      return barrierWanted(heap, section);
    },
    meet: () => meet(heap, section, cpus, quiescent),
    leave: () => leaveBarrier(heap, section),
    meetFinally: (inside) =>
      meetAtEnd(heap, section, cpus, () => {
        if (inside !== 'leak-check' || !options.checks || abortRequested(heap)) return;
        for (const violation of [...checkQuiescent(heap, options.checkCounts), ...checkLeaks(heap)]) report(violation);
        options.checkCounts['leaks'] = (options.checkCounts['leaks'] ?? 0) + 1;
      }),
    started(op) {
      issued++;
      startedAt = performance.now();
      heap[task.ptr + TASK.op] = op + 1;
      const ticket = trailStart(heap, section, task.cpu, op, Math.round((startedAt - epoch) * 1000));
      heap[task.ptr + TASK.ticket] = ticket;
      return ticket;
    },
    ended(op, ticket, result) {
      const now = performance.now();
      trailEnd(heap, section, task.cpu, ticket, result);
      histogramAdd(heap, opLatencyAt(section, task.cpu, op), (now - startedAt) * 1e6);
      heap[opCountAt(section, task.cpu, op)]++;
      if (result < 0 && -result < MAX_ERRNO) heap[opFailedAt(section, task.cpu, op, -result)]++;
      heap[task.ptr + TASK.op] = 0;
      Atomics.add(heap, task.ptr + TASK.progress, 1);
    },
  };
}

/** The last operations of every CPU, oldest first: who did what when the violation was seen. */
export function trailEvidence(heap: Heap, section: StressSection, cpus: number): string[] {
  const records = Array.from({ length: cpus }, (_, cpu) => readTrail(heap, section, cpu, TRAIL_SHOWN)).flat();
  records.sort((a, b) => a.startUs - b.startUs || a.cpu - b.cpu);
  return records.map(formatTrailRecord);
}
