/** The counters of all CPUs added up. */

import type { Heap } from '../../src/arena/heap.ts';
import { errnoName } from '../../src/base/errno.ts';
import {
  HISTOGRAM_WORDS,
  histogramCount,
  histogramMax,
  histogramMerge,
  histogramQuantile,
} from '../../src/base/histogram.ts';
import { LOCK_CLASSES } from '../../src/layout/lockClass.ts';
import type { LockResult, OpResult } from '../../src/report/stressDocument.ts';
import { OPERATIONS } from '../operations.ts';
import {
  MAX_ERRNO,
  lockCountsAt,
  lockHoldAt,
  lockWaitAt,
  opCountAt,
  opFailedAt,
  opLatencyAt,
  type StressSection,
} from '../section.ts';

/** Counts, failures and latencies of every operation that was issued or could have been. */
export function operationResults(heap: Heap, section: StressSection, cpus: number): Record<string, OpResult> {
  const results: Record<string, OpResult> = {};
  for (const [op, { name }] of OPERATIONS.entries()) {
    const latency = merged(heap, cpus, (cpu) => opLatencyAt(section, cpu, op));
    results[name] = {
      count: sum(cpus, (cpu) => heap[opCountAt(section, cpu, op)]),
      failed: failures(heap, section, cpus, op),
      p50Ns: histogramQuantile(latency, 0, 0.5),
      p99Ns: histogramQuantile(latency, 0, 0.99),
      maxNs: histogramMax(latency, 0),
    };
  }
  return results;
}

/** Operations completed so far on all CPUs. */
export function totalOperations(heap: Heap, section: StressSection, cpus: number): number {
  return sum(cpus, (cpu) => sum(OPERATIONS.length, (op) => heap[opCountAt(section, cpu, op)]));
}

/** Statistics of every lock class that was taken, most contended first. */
export function lockResults(heap: Heap, section: StressSection, cpus: number): LockResult[] {
  const results: LockResult[] = [];
  for (const [cls, { name }] of LOCK_CLASSES.entries()) {
    const acquisitions = sum(cpus, (cpu) => heap[lockCountsAt(section, cpu, cls)]);
    if (acquisitions === 0) continue;
    const waits = merged(heap, cpus, (cpu) => lockWaitAt(section, cpu, cls));
    const holds = merged(heap, cpus, (cpu) => lockHoldAt(section, cpu, cls));
    results.push({
      class: name,
      acquisitions,
      contended: sum(cpus, (cpu) => heap[lockCountsAt(section, cpu, cls) + 1]),
      waitP99Ns: histogramCount(waits, 0) === 0 ? 0 : histogramQuantile(waits, 0, 0.99),
      holdP99Ns: histogramQuantile(holds, 0, 0.99),
    });
  }
  return results.sort((a, b) => b.contended - a.contended || b.acquisitions - a.acquisitions);
}

function failures(heap: Heap, section: StressSection, cpus: number, op: number): Record<string, number> {
  const failed: Record<string, number> = {};
  for (let errno = 1; errno < MAX_ERRNO; errno++) {
    const count = sum(cpus, (cpu) => heap[opFailedAt(section, cpu, op, errno)]);
    if (count > 0) failed[errnoName(errno)] = count;
  }
  return failed;
}

function merged(heap: Heap, cpus: number, at: (cpu: number) => number): Int32Array {
  const words = new Int32Array(HISTOGRAM_WORDS);
  for (let cpu = 0; cpu < cpus; cpu++) histogramMerge(heap, at(cpu), words, 0);
  return words;
}

function sum(count: number, value: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += value(i);
  return total;
}
