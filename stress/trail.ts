/**
 * The trail: a ring of each CPU's recent operations, written when one starts and completed when it ends. It is what a
 * finding shows as "who did what", and what a schedule is searched from.
 */

import type { Heap } from '../src/arena/heap.ts';
import { errnoName } from '../src/base/errno.ts';
import type { CpuContext } from './context.ts';
import { OPERATIONS } from './operations.ts';
import { trailAt, trailNextAt, TRAIL_ENTRIES, type StressSection } from './section.ts';

const RECORD = { ticket: 0, startUs: 1, op: 2, process: 3, page: 4, pages: 5, result: 6, running: 7 } as const;

export interface TrailRecord {
  readonly cpu: number;
  readonly ticket: number;
  /** Microseconds since the run started. */
  readonly startUs: number;
  readonly op: string;
  readonly process: number;
  readonly page: number;
  readonly pages: number;
  readonly result: number;
  readonly running: boolean;
}

/** Opens a record; returns its ticket. */
export function trailStart(heap: Heap, section: StressSection, cpu: number, op: number, startUs: number): number {
  const ticket = heap[trailNextAt(section, cpu)]++;
  const at = trailAt(section, cpu, ticket);
  heap[at + RECORD.ticket] = ticket;
  heap[at + RECORD.startUs] = startUs;
  heap[at + RECORD.op] = op;
  heap[at + RECORD.process] = 0;
  heap[at + RECORD.page] = -1;
  heap[at + RECORD.pages] = 0;
  heap[at + RECORD.result] = 0;
  heap[at + RECORD.running] = 1;
  return ticket;
}

/** Says, before it does anything, which process the running operation works in. */
export function inProcess({ task, table: { heap, section } }: CpuContext, process: number): void {
  heap[currentRecord(heap, section, task.cpu) + RECORD.process] = process;
}

/** Says, before it does anything, which pages the running operation works on. */
export function atPages({ task, table: { heap, section } }: CpuContext, page: number, pages = 1): void {
  const at = currentRecord(heap, section, task.cpu);
  heap[at + RECORD.page] = page;
  heap[at + RECORD.pages] = pages;
}

function currentRecord(heap: Heap, section: StressSection, cpu: number): number {
  return trailAt(section, cpu, Math.max(0, heap[trailNextAt(section, cpu)] - 1));
}

/** Completes a record. */
export function trailEnd(heap: Heap, section: StressSection, cpu: number, ticket: number, result: number): void {
  const at = trailAt(section, cpu, ticket);
  heap[at + RECORD.result] = result;
  heap[at + RECORD.running] = 0;
}

/** The last `count` records of a CPU, oldest first. */
export function readTrail(heap: Heap, section: StressSection, cpu: number, count: number): TrailRecord[] {
  const next = heap[trailNextAt(section, cpu)];
  const first = Math.max(0, next - Math.min(count, TRAIL_ENTRIES));
  const records: TrailRecord[] = [];
  for (let ticket = first; ticket < next; ticket++) {
    const at = trailAt(section, cpu, ticket);
    records.push({
      cpu,
      ticket: heap[at + RECORD.ticket],
      startUs: heap[at + RECORD.startUs],
      op: OPERATIONS[heap[at + RECORD.op]]?.name ?? '?',
      process: heap[at + RECORD.process],
      page: heap[at + RECORD.page],
      pages: heap[at + RECORD.pages],
      result: heap[at + RECORD.result],
      running: heap[at + RECORD.running] !== 0,
    });
  }
  return records;
}

/** One line of a report: `CPU 2 #1841 at 1.234 s: mremap process 7 page 96 (4 pages): running`. */
export function formatTrailRecord(record: TrailRecord): string {
  const where = record.process === 0 ? '' : ` process ${record.process}`;
  const page = record.page < 0 ? '' : ` page ${record.page}`;
  const pages = record.pages > 1 ? ` (${record.pages} pages)` : '';
  const result = record.result === 0 ? 'done' : `done, ${formatResult(record.result)}`;
  const outcome = record.running ? 'RUNNING' : result;
  const seconds = (record.startUs / 1e6).toFixed(4);
  return `CPU ${record.cpu} #${record.ticket} at ${seconds} s: ${record.op}${where}${page}${pages}: ${outcome}`;
}

function formatResult(result: number): string {
  return result < 0 ? `-${errnoName(result)}` : String(result);
}
