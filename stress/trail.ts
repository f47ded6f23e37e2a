/**
 * The trail: a ring of each CPU's recent operations, written when one starts and completed when it ends. It is what a
 * finding shows as "who did what", and what a schedule is searched from.
 */

import type { Heap } from '../src/arena/heap.ts';
import { errnoName } from '../src/base/errno.ts';
import type { CpuContext } from './context.ts';
import { OPERATIONS } from './operations.ts';
import { trailAt, trailNextAt, TRAIL_ENTRIES, type StressSection } from './section.ts';

const RECORD = {
  ticket: 0,
  startUs: 1,
  op: 2,
  process: 3,
  page: 4,
  pages: 5,
  result: 6,
  running: 7,
  detail: 8,
} as const;

/** Of an operation that has not said, or has nothing to say. */
export const NO_DETAIL = 0x7fff_ffff;

export interface TrailRecord {
  readonly cpu: number;
  readonly ticket: number;
  /** Microseconds since the run started. */
  readonly startUs: number;
  readonly op: string;
  readonly process: number;
  readonly page: number;
  readonly pages: number;
  /** mmap, mprotect: the protection; mremap: the page it moves to, or -1 - pages for a new size; exec: pages it moves down. */
  readonly detail: number;
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
  heap[at + RECORD.detail] = NO_DETAIL;
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

/** Says what else decides what the running operation does. */
export function withDetail({ task, table: { heap, section } }: CpuContext, detail: number): void {
  heap[currentRecord(heap, section, task.cpu) + RECORD.detail] = detail;
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
      detail: heap[at + RECORD.detail],
      result: heap[at + RECORD.result],
      running: heap[at + RECORD.running] !== 0,
    });
  }
  return records;
}

/** One line of a report: `CPU 2 #1841 at 1.234 s: mremap process 7 page 96 (4 pages) to page 200: RUNNING`. */
export function formatTrailRecord(record: TrailRecord): string {
  const where = record.process === 0 ? '' : ` process ${record.process}`;
  const page = record.page < 0 ? '' : ` page ${record.page}`;
  const pages = record.pages > 1 ? ` (${record.pages} pages)` : '';
  const result = record.result === 0 ? 'done' : `done, ${formatResult(record.result)}`;
  const outcome = record.running ? 'RUNNING' : result;
  const seconds = (record.startUs / 1e6).toFixed(4);
  const detail = formatDetail(record);
  return `CPU ${record.cpu} #${record.ticket} at ${seconds} s: ${record.op}${where}${page}${pages}${detail}: ${outcome}`;
}

function formatResult(result: number): string {
  return result < 0 ? `-${errnoName(result)}` : String(result);
}

function formatDetail({ op, detail }: TrailRecord): string {
  if (detail === NO_DETAIL) return '';
  if (op === 'mremap') return detail >= 0 ? ` to page ${detail}` : ` to ${-1 - detail} pages`;
  if (op === 'exec') return ` down by ${detail}`;
  return ` prot ${detail}`;
}
