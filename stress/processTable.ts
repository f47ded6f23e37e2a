/**
 * The process table: which address spaces the CPUs share. A process is held by everybody who works in it and once by the
 * table itself; `exit` drops the table's hold, and whoever drops the last one tears the address space down, as the
 * last mmput() does. A slot is reused only after that, so that its shadow model never belongs to two processes at once.
 */

import type { Heap } from '../src/arena/heap.ts';
import type { MmPtr } from '../src/layout/ids.ts';
import { CONTROL, KNOWN_ANCESTORS, PROCESS, PROCESS_WORDS, type StressSection } from './section.ts';

const FREE = 0;
const CLOSED = -1;

/** Number of a slot of the table. */
export type Slot = number;

/** What a harness part needs to find its words. */
export interface ProcessTable {
  readonly heap: Heap;
  readonly section: StressSection;
  readonly slots: number;
}

function at(table: ProcessTable, slot: Slot, field: number): number {
  return table.section.processes + slot * PROCESS_WORDS + field;
}

/** Takes a free slot for a new process, or returns -1. The slot stays closed until openProcess or freeSlot. */
export function claimSlot(table: ProcessTable): Slot {
  for (let slot = 0; slot < table.slots; slot++) {
    if (Atomics.compareExchange(table.heap, at(table, slot, PROCESS.holders), FREE, CLOSED) === FREE) return slot;
  }
  return -1;
}

/** Gives a closed slot back. */
export function freeSlot(table: ProcessTable, slot: Slot): void {
  Atomics.store(table.heap, at(table, slot, PROCESS.mm), 0);
  Atomics.store(table.heap, at(table, slot, PROCESS.holders), FREE);
}

/** Publishes a process in a closed slot. `parent` is the slot it was forked from, held by the caller, or -1. */
export function openProcess(table: ProcessTable, slot: Slot, mm: MmPtr, number: number, parent: Slot): void {
  const { heap } = table;
  const depth = parent < 0 ? 0 : processDepth(table, parent) + 1;
  heap[at(table, slot, PROCESS.mm)] = mm;
  heap[at(table, slot, PROCESS.number)] = number;
  heap[at(table, slot, PROCESS.exiting)] = 0;
  heap[at(table, slot, PROCESS.depth)] = depth;
  heap[at(table, slot, PROCESS.parent)] = parent < 0 ? 0 : processNumber(table, parent);
  for (let i = 0; i < KNOWN_ANCESTORS; i++) {
    // The nearest ancestor is the parent, the next ones are the parent's own.
    const older = i === 0 ? PROCESS.number : PROCESS.ancestors + i - 1;
    heap[at(table, slot, PROCESS.ancestors + i)] = i < depth ? heap[at(table, parent, older)] : 0;
  }
  Atomics.add(heap, table.section.control + CONTROL.liveProcesses, 1);
  Atomics.store(heap, at(table, slot, PROCESS.holders), 1);
}

/** Holds the process of a slot; false when there is none. */
export function holdProcess(table: ProcessTable, slot: Slot): boolean {
  for (;;) {
    const holders = Atomics.load(table.heap, at(table, slot, PROCESS.holders));
    if (holders <= 0) return false;
    if (Atomics.compareExchange(table.heap, at(table, slot, PROCESS.holders), holders, holders + 1) === holders)
      return true;
  }
}

/** Drops a hold. True: it was the last one; the slot is closed and the caller tears the address space down. */
export function dropProcess(table: ProcessTable, slot: Slot): boolean {
  for (;;) {
    const holders = Atomics.load(table.heap, at(table, slot, PROCESS.holders));
    const next = holders === 1 ? CLOSED : holders - 1;
    if (Atomics.compareExchange(table.heap, at(table, slot, PROCESS.holders), holders, next) !== holders) continue;
    return next === CLOSED;
  }
}

/** Marks a held process as exiting; true for the one caller who shall drop the table's hold. */
export function startExit(table: ProcessTable, slot: Slot): boolean {
  if (Atomics.compareExchange(table.heap, at(table, slot, PROCESS.exiting), 0, 1) !== 0) return false;
  Atomics.sub(table.heap, table.section.control + CONTROL.liveProcesses, 1);
  return true;
}

/** Processes that are open and not exiting. */
export function liveProcesses(table: ProcessTable): number {
  return Atomics.load(table.heap, table.section.control + CONTROL.liveProcesses);
}

export function processMm(table: ProcessTable, slot: Slot): MmPtr {
  return table.heap[at(table, slot, PROCESS.mm)] as MmPtr;
}

export function processNumber(table: ProcessTable, slot: Slot): number {
  return table.heap[at(table, slot, PROCESS.number)];
}

/** Number of forks between the first process of its family and this one. */
export function processDepth(table: ProcessTable, slot: Slot): number {
  return table.heap[at(table, slot, PROCESS.depth)];
}

/**
 * True when `tag` is the low half of the number of the process or of one of its ancestors. Numbers only grow, so of a long
 * family only the nearest ancestors are kept, and every number that is older than those passes.
 */
export function isFamilyTag(table: ProcessTable, slot: Slot, tag: number): boolean {
  if ((processNumber(table, slot) & 0xffff) === tag) return true;
  const depth = processDepth(table, slot);
  const known = Math.min(depth, KNOWN_ANCESTORS);
  for (let i = 0; i < known; i++) {
    if ((table.heap[at(table, slot, PROCESS.ancestors + i)] & 0xffff) === tag) return true;
  }
  if (depth <= KNOWN_ANCESTORS) return false;
  const oldest = table.heap[at(table, slot, PROCESS.ancestors + KNOWN_ANCESTORS - 1)];
  return ((oldest - tag) & 0xffff) < 0x8000;
}
