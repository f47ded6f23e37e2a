/**
 * Where a stress run keeps its own words in the arena, behind the pin ledger: control, the process table, the shadow model,
 * per-CPU counters, histograms and the trail of recent operations. None of it belongs to the simulated kernel, so none of
 * it is a scheduling point.
 */

import { userBase } from '../src/arena/header.ts';
import type { Heap } from '../src/arena/heap.ts';
import { HISTOGRAM_WORDS } from '../src/base/histogram.ts';
import { ledgerWords } from '../src/check/ledger.ts';
import { LOCK_CLASSES } from '../src/layout/lockClass.ts';
import { OPERATIONS } from './operations.ts';
import { WINDOW_PAGES } from './lanes.ts';

export const MAX_ERRNO = 128;
export const TRAIL_ENTRIES = 64;
/** ticket, microseconds, operation, process, page, pages, result, phase, detail. */
const TRAIL_WORDS = 9;

export const CONTROL = {
  barrierWanted: 0,
  barrierArrived: 1,
  barrierRound: 2,
  liveProcesses: 5,
  left: 6,
  endArrived: 7,
  endRound: 8,
} as const;
const CONTROL_WORDS = 16;

/** A process: count (0 free, -1 being set up or torn down, n holders), mm, number, exiting, depth, ancestors. */
export const PROCESS = { holders: 0, mm: 1, number: 2, exiting: 3, depth: 4, parent: 5, ancestors: 6 } as const;
/** Ancestors a process knows by number. */
export const KNOWN_ANCESTORS = 10;
export const PROCESS_WORDS = PROCESS.ancestors + KNOWN_ANCESTORS;

/** State, value, traits. */
export const SHADOW_WORDS = 3;

/** Words per CPU: op counts, failures per op and errno, latency histograms, lock statistics, the trail. */
const OP_COUNT = OPERATIONS.length;
const FAILED_AT = OP_COUNT;
const LATENCY_AT = FAILED_AT + OP_COUNT * MAX_ERRNO;
const LOCK_COUNTS_AT = LATENCY_AT + OP_COUNT * HISTOGRAM_WORDS;
const LOCK_WAIT_AT = LOCK_COUNTS_AT + LOCK_CLASSES.length * 2;
const LOCK_HOLD_AT = LOCK_WAIT_AT + LOCK_CLASSES.length * HISTOGRAM_WORDS;
const TRAIL_AT = LOCK_HOLD_AT + LOCK_CLASSES.length * HISTOGRAM_WORDS;
const TRAIL_NEXT_AT = TRAIL_AT + TRAIL_ENTRIES * TRAIL_WORDS;
const CPU_WORDS = TRAIL_NEXT_AT + 1;

/** What the section's size depends on. */
export interface SectionShape {
  readonly frames: number;
  readonly cpus: number;
  readonly processes: number;
}

/** Word addresses of the parts; the same for every thread. */
export interface StressSection {
  readonly control: number;
  readonly processes: number;
  readonly shadow: number;
  readonly perCpu: number;
  /** First word behind the section. */
  readonly end: number;
}

/** Words the section takes of the arena's user part, ledger included. */
export function sectionWords(shape: SectionShape): number {
  return sectionAt(0, shape).end;
}

/** Addresses of the parts in `heap`. */
export function stressSection(heap: Heap, shape: SectionShape): StressSection {
  return sectionAt(userBase(heap), shape);
}

function sectionAt(base: number, shape: SectionShape): StressSection {
  const control = base + ledgerWords(shape.frames);
  const processes = control + CONTROL_WORDS;
  const shadow = processes + shape.processes * PROCESS_WORDS;
  const perCpu = shadow + shape.processes * WINDOW_PAGES * SHADOW_WORDS;
  return { control, processes, shadow, perCpu, end: perCpu + shape.cpus * CPU_WORDS };
}

/** Address of an operation's counter. */
export function opCountAt(section: StressSection, cpu: number, op: number): number {
  return section.perCpu + cpu * CPU_WORDS + op;
}

/** Address of the counter of failures of `op` with `errno` (positive). */
export function opFailedAt(section: StressSection, cpu: number, op: number, errno: number): number {
  return section.perCpu + cpu * CPU_WORDS + FAILED_AT + op * MAX_ERRNO + errno;
}

/** Address of an operation's latency histogram. */
export function opLatencyAt(section: StressSection, cpu: number, op: number): number {
  return section.perCpu + cpu * CPU_WORDS + LATENCY_AT + op * HISTOGRAM_WORDS;
}

/** Address of a lock class's two counters: acquisitions, contended. */
export function lockCountsAt(section: StressSection, cpu: number, cls: number): number {
  return section.perCpu + cpu * CPU_WORDS + LOCK_COUNTS_AT + cls * 2;
}

/** Address of a lock class's histogram of waits. */
export function lockWaitAt(section: StressSection, cpu: number, cls: number): number {
  return section.perCpu + cpu * CPU_WORDS + LOCK_WAIT_AT + cls * HISTOGRAM_WORDS;
}

/** Address of a lock class's histogram of holds. */
export function lockHoldAt(section: StressSection, cpu: number, cls: number): number {
  return section.perCpu + cpu * CPU_WORDS + LOCK_HOLD_AT + cls * HISTOGRAM_WORDS;
}

/** Address of the n-th trail record of a CPU (n counts up for ever). */
export function trailAt(section: StressSection, cpu: number, n: number): number {
  return section.perCpu + cpu * CPU_WORDS + TRAIL_AT + (n % TRAIL_ENTRIES) * TRAIL_WORDS;
}

/** Address of the number of trail records a CPU has written. */
export function trailNextAt(section: StressSection, cpu: number): number {
  return section.perCpu + cpu * CPU_WORDS + TRAIL_NEXT_AT;
}
