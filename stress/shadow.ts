/**
 * The shadow contents model: for each page of each process what the owner of its lane must read in its own word, and
 * whether an access must fault. Only the lane's owner touches its entries, so they are exact; after a fork that ran while
 * other CPUs wrote, their lanes in the child are unknown until the owner has looked once.
 *
 * Beside state and value a page has traits: what fork will do with it, and whether its contents were given up
 * (MADV_FREE), so that it may read zero from any moment on until the owner writes again.
 *
 * A value in memory carries the process that wrote it in its upper half: reading the value of a process that is neither
 * this one nor an ancestor proves that two processes share memory they must not share.
 */

import { SHADOW_WORDS } from './section.ts';
import type { Violation } from '../src/base/finding.ts';
import { POISON } from '../src/arena/slab.ts';
import { laneOwner, WINDOW_PAGES } from './lanes.ts';
import { isFamilyTag, processNumber, type ProcessTable, type Slot } from './processTable.ts';

export const UNKNOWN = 0;
export const UNMAPPED = 1;
export const NO_ACCESS = 2;
export const READ_ONLY = 3;
export const READ_WRITE = 4;
/** Mapped and readable; whether it is writable shows at the first write. */
export const READABLE = 5;

/** What may be done with a page, as the owner knows it. */
export type PageState =
  typeof UNKNOWN | typeof UNMAPPED | typeof NO_ACCESS | typeof READ_ONLY | typeof READ_WRITE | typeof READABLE;

/** Traits, bits. The owner may have lost track of the first two: then the bit beside them is set. */
export const TRAIT_WIPED = 1 << 0;
export const TRAIT_NOT_COPIED = 1 << 1;
const WIPED_UNSURE = 1 << 2;
const NOT_COPIED_UNSURE = 1 << 3;
const GIVEN_UP = 1 << 4;
const FORK_UNSURE = WIPED_UNSURE | NOT_COPIED_UNSURE;
/** How far the bit that says "unsure" stands above the trait. */
const UNSURE_SHIFT = 2;

function entry(table: ProcessTable, slot: Slot, page: number): number {
  return table.section.shadow + (slot * WINDOW_PAGES + page) * SHADOW_WORDS;
}

export function shadowState(table: ProcessTable, slot: Slot, page: number): PageState {
  return table.heap[entry(table, slot, page)] as PageState;
}

export function shadowValue(table: ProcessTable, slot: Slot, page: number): number {
  return table.heap[entry(table, slot, page) + 1];
}

function traitsAt(table: ProcessTable, slot: Slot, page: number): number {
  return entry(table, slot, page) + 2;
}

/** Sets state and value; the page's contents are certain from now on. */
export function setShadow(table: ProcessTable, slot: Slot, page: number, state: PageState, value: number): void {
  table.heap[entry(table, slot, page)] = state;
  table.heap[entry(table, slot, page) + 1] = value;
  table.heap[traitsAt(table, slot, page)] &= ~GIVEN_UP;
}

/** Sets the state of a range and leaves values and traits. */
export function setShadowStates(table: ProcessTable, slot: Slot, start: number, pages: number, state: PageState): void {
  for (let page = start; page < start + pages; page++) table.heap[entry(table, slot, page)] = state;
}

/** Makes one page what another is: it moved there, or is part of the same mapping (then its contents are others). */
export function copyShadow(table: ProcessTable, slot: Slot, from: number, to: number): void {
  const { heap } = table;
  for (let word = 0; word < SHADOW_WORDS; word++)
    heap[entry(table, slot, to) + word] = heap[entry(table, slot, from) + word];
}

/** The owner does not know any more what a range is: neither contents nor what fork does with it. */
export function loseTrack(table: ProcessTable, slot: Slot, start: number, pages: number): void {
  for (let page = start; page < start + pages; page++) {
    // No value either: in a child the word is that of another process, which had the slot before.
    setShadow(table, slot, page, UNKNOWN, 0);
    table.heap[traitsAt(table, slot, page)] |= FORK_UNSURE | GIVEN_UP;
  }
}

/** What an madvise() that changed a trait of the range means: set, cleared, or perhaps one, perhaps the other (null). */
export function setTrait(
  table: ProcessTable,
  slot: Slot,
  start: number,
  pages: number,
  trait: number,
  on: boolean | null,
): void {
  const unsure = trait << UNSURE_SHIFT;
  for (let page = start; page < start + pages; page++) {
    const at = traitsAt(table, slot, page);
    if (on === null) table.heap[at] |= unsure;
    else table.heap[at] = (table.heap[at] & ~(trait | unsure)) | (on ? trait : 0);
  }
}

/** True if the owner does not know what fork does with some page of the range. */
export function isForkUnsure(table: ProcessTable, slot: Slot, start: number, pages: number): boolean {
  for (let page = start; page < start + pages; page++) {
    if ((table.heap[traitsAt(table, slot, page)] & FORK_UNSURE) !== 0) return true;
  }
  return false;
}

/** The contents of a range were given up. */
export function giveUp(table: ProcessTable, slot: Slot, start: number, pages: number): void {
  for (let page = start; page < start + pages; page++) table.heap[traitsAt(table, slot, page)] |= GIVEN_UP;
}

/** True if the page may read zero instead of its value. */
export function mayBeZero(table: ProcessTable, slot: Slot, page: number): boolean {
  return (table.heap[traitsAt(table, slot, page)] & GIVEN_UP) !== 0;
}

/** Sets state and value of a range that was mapped or unmapped just now: no traits. */
export function fillShadow(
  table: ProcessTable,
  slot: Slot,
  start: number,
  pages: number,
  state: PageState,
  value: number,
): void {
  for (let page = start; page < start + pages; page++) {
    setShadow(table, slot, page, state, value);
    table.heap[traitsAt(table, slot, page)] = 0;
  }
}

/** A new, empty process: every page is unmapped. */
export function clearShadow(table: ProcessTable, slot: Slot): void {
  fillShadow(table, slot, 0, WINDOW_PAGES, UNMAPPED, 0);
}

/** After a fork: the forking CPU knows its own lanes in the child, nobody knows the others yet. */
export function forkShadow(table: ProcessTable, parent: Slot, child: Slot, cpu: number, cpus: number): void {
  for (let page = 0; page < WINDOW_PAGES; page++) {
    if (laneOwner(page, cpus) === cpu) forkPage(table, parent, child, page);
    else loseTrack(table, child, page, 1);
  }
}

function forkPage(table: ProcessTable, parent: Slot, child: Slot, page: number): void {
  const { heap } = table;
  const traits = heap[traitsAt(table, parent, page)];
  setShadow(table, child, page, shadowState(table, parent, page), shadowValue(table, parent, page));
  heap[traitsAt(table, child, page)] = traits;
  if (shadowState(table, child, page) === UNMAPPED) return;
  if ((traits & FORK_UNSURE) !== 0) loseTrack(table, child, page, 1);
  else if ((traits & TRAIT_NOT_COPIED) !== 0) fillShadow(table, child, page, 1, UNMAPPED, 0);
  else if ((traits & TRAIT_WIPED) !== 0) setShadow(table, child, page, shadowState(table, parent, page), 0);
}

/** A value nobody wrote before: the process in the upper half, a running number in the lower. */
export function makeValue(table: ProcessTable, slot: Slot, counter: number): number {
  return ((processNumber(table, slot) & 0xffff) << 16) | (counter & 0xffff);
}

/** Judges a value that the owner read in a page whose value it knows. */
export function judgeOwnValue(
  table: ProcessTable,
  slot: Slot,
  page: number,
  seen: number,
  expected: number,
): Violation | null {
  if (seen === expected) return null;
  const foreign = judgeForeignValue(table, slot, page, seen);
  if (foreign !== null) return foreign;
  return {
    kind: 'lost-write',
    title: `page ${page} of process ${processNumber(table, slot)} reads ${describeValue(seen)}, last written was ${describeValue(expected)}`,
    signature: 'a value that was written is lost',
    evidence: [],
  };
}

/** Judges a value of another CPU's word: it must come from this process or from an ancestor. */
export function judgeForeignValue(table: ProcessTable, slot: Slot, page: number, seen: number): Violation | null {
  const place = `page ${page} of process ${processNumber(table, slot)}`;
  if (seen === 0) return null;
  if (seen === POISON) {
    return {
      kind: 'use-after-free',
      title: `${place} reads the poison of a freed frame`,
      signature: 'user memory is a freed frame',
      evidence: [],
    };
  }
  const writer = seen >>> 16;
  if (isFamilyTag(table, slot, writer)) return null;
  return {
    kind: 'cow-isolation',
    title: `${place} reads ${describeValue(seen)}, and that process is no ancestor of it`,
    signature: 'a process reads what a stranger wrote',
    evidence: [],
  };
}

function describeValue(value: number): string {
  return value === 0 ? 'zero' : `value ${value & 0xffff} of process ${value >>> 16}`;
}
