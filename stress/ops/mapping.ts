/** mmap, munmap, mprotect, mremap in own lanes, with the shadow model kept in step. */

import type { Sim } from '../../src/base/sim.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_LOCKED,
  MAP_POPULATE,
  MAP_PRIVATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, USER_BASE } from '../../src/mm/userSpace.ts';
import type { CpuContext } from '../context.ts';
import { atPages, withDetail } from '../trail.ts';
import { BIG_PAGES, LANE_PAGES, bigLane, drawOwnLane, drawOwnRange, type PageRange } from '../lanes.ts';
import { OP } from '../operations.ts';
import type { Slot } from '../processTable.ts';
import {
  NO_ACCESS,
  READ_ONLY,
  READ_WRITE,
  UNKNOWN,
  UNMAPPED,
  copyShadow,
  fillShadow,
  loseTrack,
  setShadow,
  setShadowStates,
  shadowState,
  type PageState,
} from '../shadow.ts';
import { forgetPins, movePins } from './pins.ts';
import { writeOwnWord, readOwn } from './memory.ts';

const MAP_ANYWHERE = MAP_PRIVATE | MAP_ANONYMOUS;
const MAP_OVER = MAP_ANYWHERE | MAP_FIXED;
/** Share of mappings that are locked, and of those that are faulted in at once. */
const LOCKED_SHARE = 0.05;
const POPULATED_SHARE = 0.1;

/** Byte address of a page. */
export function address(page: number): number {
  return USER_BASE + page * PAGE_SIZE;
}

/** A protection and the state it gives a page. */
export function drawProt(cpu: CpuContext): { readonly prot: number; readonly state: PageState } {
  const draw = cpu.task.prng.below(10);
  if (draw < 7) return { prot: PROT_READ | PROT_WRITE, state: READ_WRITE };
  if (draw < 9) return { prot: PROT_READ, state: READ_ONLY };
  return { prot: PROT_NONE, state: NO_ACCESS };
}

/** A range that does not begin with a hole, if a few tries find one: most calls on a hole only fail. */
export function drawMappedRange(cpu: CpuContext, slot: Slot): PageRange {
  for (let tries = 0; tries < 4; tries++) {
    const range = drawRange(cpu);
    if (shadowState(cpu.table, slot, range.start) !== UNMAPPED) return range;
  }
  return drawRange(cpu);
}

function drawRange(cpu: CpuContext): PageRange {
  const range = drawOwnRange(cpu.task.cpu, cpu.cpus, cpu.task.prng);
  atPages(cpu, range.start, range.pages);
  return range;
}

/** Maps fresh memory over a range, often a whole lane; now and then wherever the kernel likes. */
export function opMmap(cpu: CpuContext, slot: Slot): Sim<number> {
  if (cpu.task.prng.chance(0.1)) return mmapAnywhere(cpu);
  const { start, pages } = cpu.task.prng.chance(0.5) ? drawLane(cpu) : drawRange(cpu);
  const { prot, state } = drawProt(cpu);
  withDetail(cpu, prot);
  forgetPins(cpu, slot, start, pages);
  const result = sysMmap(cpu.task, address(start), pages * PAGE_SIZE, prot, drawMapFlags(cpu));
  // A failing mmap may leave the old mappings split, but never unmapped; after the point of no return it cannot fail.
  if (result >= 0) fillShadow(cpu.table, slot, start, pages, state, 0);
  else setShadowStates(cpu.table, slot, start, pages, UNKNOWN);
  return result >= 0 ? 0 : result;
}

/** Locked or populated mappings are part of mixes that lock memory. */
function drawMapFlags({ task: { prng }, mix }: CpuContext): number {
  if (mix[OP.mlock] === 0) return MAP_OVER;
  if (prng.chance(LOCKED_SHARE)) return MAP_OVER | MAP_LOCKED;
  return prng.chance(POPULATED_SHARE) ? MAP_OVER | MAP_POPULATE : MAP_OVER;
}

function drawLane(cpu: CpuContext): PageRange {
  const start = drawOwnLane(cpu.task.cpu, cpu.cpus, cpu.task.prng);
  atPages(cpu, start, LANE_PAGES);
  return { start, pages: LANE_PAGES };
}

/** mmap without an address, write, grow by moving, read back, unmap: the place belongs to this CPU alone. */
function mmapAnywhere(cpu: CpuContext): Sim<number> {
  const { task } = cpu;
  const pages = 1 + task.prng.below(4);
  const at = sysMmap(task, 0, pages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_ANYWHERE);
  if (at < 0) return at;
  const moved = sysMremap(task, at, pages * PAGE_SIZE, (pages + 2) * PAGE_SIZE, MREMAP_MAYMOVE, 0);
  const start = moved >= 0 ? moved : at;
  const result = sysMunmap(task, start, (moved >= 0 ? pages + 2 : pages) * PAGE_SIZE);
  return result;
}

export function opMunmap(cpu: CpuContext, slot: Slot): Sim<number> {
  const { start, pages } = drawMappedRange(cpu, slot);
  forgetPins(cpu, slot, start, pages);
  const result = sysMunmap(cpu.task, address(start), pages * PAGE_SIZE);
  if (result === 0) fillShadow(cpu.table, slot, start, pages, UNMAPPED, 0);
  return result;
}

/** Changes the protection; a hole or a failure in the middle leaves the pages before it changed, so those are unknown. */
export function opMprotect(cpu: CpuContext, slot: Slot): Sim<number> {
  const { start, pages } = drawMappedRange(cpu, slot);
  const { prot, state } = drawProt(cpu);
  withDetail(cpu, prot);
  const result = sysMprotect(cpu.task, address(start), pages * PAGE_SIZE, prot);
  for (let page = start; page < start + pages; page++) {
    if (shadowState(cpu.table, slot, page) === UNMAPPED) continue;
    if (shadowState(cpu.table, slot, page) === UNKNOWN) continue;
    setShadowStates(cpu.table, slot, page, 1, result === 0 ? state : UNKNOWN);
  }
  return result;
}

/** Shrinks, grows in place, moves to another own range, with or without unmapping; or moves a whole 2 MiB block. */
export function opMremap(cpu: CpuContext, slot: Slot): Sim<number> {
  const draw = cpu.task.prng.below(10);
  if (draw === 0) return moveBlock(cpu, slot);
  const from = drawMappedRange(cpu, slot);
  if (draw < 3) return resizeInPlace(cpu, slot, from);
  const to = drawOwnRange(cpu.task.cpu, cpu.cpus, cpu.task.prng);
  const pages = Math.min(from.pages, to.pages);
  if (overlaps(from.start, to.start, pages)) return resizeInPlace(cpu, slot, from);
  return moveRange(cpu, slot, from.start, to.start, pages, draw === 3);
}

function overlaps(a: number, b: number, pages: number): boolean {
  return Math.abs(a - b) < pages;
}

function resizeInPlace(cpu: CpuContext, slot: Slot, range: PageRange): Sim<number> {
  if (range.pages > 1 && cpu.task.prng.chance(0.5)) return growInPlace(cpu, slot, range);
  const pages = 1 + cpu.task.prng.below(range.pages);
  withDetail(cpu, -1 - pages);
  forgetPins(cpu, slot, range.start, range.pages);
  const result = sysMremap(cpu.task, address(range.start), range.pages * PAGE_SIZE, pages * PAGE_SIZE, 0, 0);
  if (result >= 0 && pages < range.pages) {
    fillShadow(cpu.table, slot, range.start + pages, range.pages - pages, UNMAPPED, 0);
  }
  return result >= 0 ? 0 : result;
}

/** Grows by one page without moving: works only at the end of a VMA with free space behind it. */
function growInPlace(cpu: CpuContext, slot: Slot, range: PageRange): Sim<number> {
  const oldPages = range.pages - 1;
  withDetail(cpu, -1 - range.pages);
  const last = range.start + oldPages;
  const result = sysMremap(cpu.task, address(range.start), oldPages * PAGE_SIZE, range.pages * PAGE_SIZE, 0, 0);
  // The new page is part of the VMA that ends there, so it may be used as the page before it.
  if (result < 0) return result;
  copyShadow(cpu.table, slot, last - 1, last);
  setShadow(cpu.table, slot, last, shadowState(cpu.table, slot, last), 0);
  return 0;
}

/** MREMAP_FIXED between two ranges of the same CPU. What a partial failure leaves is unknown. */
function moveRange(
  cpu: CpuContext,
  slot: Slot,
  from: number,
  to: number,
  pages: number,
  keepSource: boolean,
): Sim<number> {
  const { table, task } = cpu;
  withDetail(cpu, to);
  forgetPins(cpu, slot, to, pages);
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keepSource ? MREMAP_DONTUNMAP : 0);
  const bytes = pages * PAGE_SIZE;
  const result = sysMremap(task, address(from), bytes, bytes, flags, address(to));
  if (result < 0) {
    forgetPins(cpu, slot, from, pages);
    loseTrack(table, slot, from, pages);
    loseTrack(table, slot, to, pages);
    return result;
  }
  movePins(cpu, slot, from, pages, (page) => page - from + to);
  for (let i = 0; i < pages; i++) moveShadow(cpu, slot, from + i, to + i, keepSource);
  return 0;
}

/** What a successful move means for one page. */
function moveShadow({ table, task }: CpuContext, slot: Slot, from: number, to: number, keepSource: boolean): void {
  const state = shadowState(table, slot, from);
  // Opposite a hole in the source the destination keeps what it had.
  if (state === UNMAPPED) return;
  if (state === UNKNOWN) {
    loseTrack(table, slot, to, 1);
    loseTrack(table, slot, from, 1);
    return;
  }
  copyShadow(table, slot, from, to);
  if (keepSource) setShadow(table, slot, from, state, 0);
  // When the source cannot be unmapped for lack of memory it stays, empty, and mremap succeeds all the same.
  else if (task.failAlloc > 0) setShadow(table, slot, from, UNKNOWN, 0);
  else fillShadow(table, slot, from, 1, UNMAPPED, 0);
}

/** Moves an aligned 2 MiB block to the other half of the CPU's big lane: whole page tables change places. */
function moveBlock(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  const half = BIG_PAGES / 2;
  const lane = bigLane(task.cpu);
  const from = shadowState(cpu.table, slot, lane) === READ_WRITE ? lane : lane + half;
  const to = from === lane ? lane + half : lane;
  atPages(cpu, from, half);
  if (shadowState(cpu.table, slot, from) !== READ_WRITE) {
    forgetPins(cpu, slot, lane, BIG_PAGES);
    const mapped = sysMmap(task, address(lane), half * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_OVER);
    if (mapped < 0) return mapped;
    fillShadow(cpu.table, slot, lane, half, READ_WRITE, 0);
    return writeOwnWord(cpu, slot, lane + task.prng.below(16));
  }
  const gone = sysMunmap(task, address(to), half * PAGE_SIZE);
  if (gone < 0) return gone;
  fillShadow(cpu.table, slot, to, half, UNMAPPED, 0);
  const moved = moveRange(cpu, slot, from, to, half, false);
  return moved < 0 ? moved : readOwn(cpu, slot, to + task.prng.below(16));
}
