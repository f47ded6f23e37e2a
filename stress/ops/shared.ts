/** Shared memory: accesses in the shared lanes and changes of the mappings there, with the shadow model kept in step. */

import { POISON } from '../../src/arena/slab.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Pfn, Vpn } from '../../src/layout/ids.ts';
import { pinUserPagesFast } from '../../src/mm/gup.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { FAULT_OOM, userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import type { CpuContext } from '../context.ts';
import { SHARED_LANE_PAGES, drawSharedPage, drawSharedRange, laneOwner, sharedLane } from '../lanes.ts';
import { processNumber, type Slot } from '../processTable.ts';
import {
  READABLE,
  READ_ONLY,
  READ_WRITE,
  UNKNOWN,
  UNMAPPED,
  fillShadow,
  setShadow,
  shadowState,
  shadowValue,
} from '../shadow.ts';
import { judgeShared, nextSharedValue, noteSharedWrite } from '../sharedValues.ts';
import { atPages } from '../trail.ts';
import { accessViolation } from './judge.ts';
import { address, drawProt } from './mapping.ts';
import { MAX_PINS } from './pins.ts';

const MAP_OVER = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;

/** Reads or writes a word of shared memory; now and then pins a page of it. */
export function opSharedAccess(cpu: CpuContext, slot: Slot): Sim<number> {
  const { prng } = cpu.task;
  const page = drawSharedPage(cpu.task.cpu, cpu.cpus, prng);
  atPages(cpu, page);
  if (laneOwner(page, cpu.cpus) !== cpu.task.cpu) return readForeign(cpu, slot, page);
  if (prng.chance(0.05)) return pinShared(cpu, slot, page);
  return prng.chance(0.5) ? readShared(cpu, slot, page) : writeShared(cpu, slot, page);
}

/** Another CPU's page, by a word of anybody's: only that it is memory in use can be judged. */
function readForeign(cpu: CpuContext, slot: Slot, page: number): Sim<number> {
  const result = userRead(cpu.task, page as Vpn, cpu.task.prng.below(cpu.cpus));
  if (result === 0 && cpu.task.loaded === POISON) {
    cpu.report({
      kind: 'use-after-free',
      title: `page ${page} of process ${processNumber(cpu.table, slot)} reads the poison of a freed frame`,
      signature: 'shared memory is a freed frame',
      evidence: [],
    });
  }
  return result;
}

/** Reads the own word and compares outcome and value with what the CPU knows. */
function readShared(cpu: CpuContext, slot: Slot, page: number): Sim<number> {
  const { table } = cpu;
  const result = userRead(cpu.task, page as Vpn, cpu.task.cpu);
  if (result === FAULT_OOM) return result;
  const state = shadowState(table, slot, page);
  const isReadable = state === READ_ONLY || state === READ_WRITE || state === READABLE;
  if (state !== UNKNOWN && (result === 0) !== isReadable) {
    cpu.report(accessViolation(table, slot, page, state, result));
  } else if (result === 0) {
    const { id, isWrong } = judgeShared(cpu.shared, shadowValue(table, slot, page), cpu.task.loaded);
    setShadow(table, slot, page, state === UNKNOWN ? READABLE : state, id);
    if (isWrong) reportLost(cpu, slot, page);
  }
  return result;
}

function reportLost(cpu: CpuContext, slot: Slot, page: number): void {
  cpu.report({
    kind: 'lost-write',
    title: `shared page ${page} of process ${processNumber(cpu.table, slot)} reads ${cpu.task.loaded}, which is not what it holds`,
    signature: 'a value written to shared memory is lost',
    evidence: [],
  });
}

/** Writes the own word. Which page it is must be known first, or the page's other places would be judged wrongly. */
function writeShared(cpu: CpuContext, slot: Slot, page: number): Sim<number> {
  const { table, task } = cpu;
  if (shadowValue(table, slot, page) === 0) {
    const read = readShared(cpu, slot, page);
    if (read === FAULT_OOM) return read;
  }
  const value = nextSharedValue(cpu.shared);
  const result = userWrite(task, page as Vpn, task.cpu, value);
  if (result === FAULT_OOM) return result;
  const state = shadowState(table, slot, page);
  const isKnown = state !== UNKNOWN && state !== READABLE;
  if (isKnown && (result === 0) !== (state === READ_WRITE)) {
    cpu.report(accessViolation(table, slot, page, state, result));
  } else if (result === 0) {
    setShadow(table, slot, page, READ_WRITE, noteSharedWrite(cpu.shared, shadowValue(table, slot, page), value));
  }
  return result;
}

/** A pin that stays for a while; its page cannot be migrated meanwhile, and outlives the object if need be. */
function pinShared(cpu: CpuContext, slot: Slot, page: number): Sim<number> {
  if (cpu.pins.length >= MAX_PINS) return 0;
  const pages: Pfn[] = [];
  const pinned = pinUserPagesFast(cpu.task, page as Vpn, 1, true, pages);
  if (pinned < 1) return pinned;
  cpu.pins.push({ slot, number: processNumber(cpu.table, slot), page: -1, pfn: pages[0] });
  return 0;
}

/** Changes mappings in the own shared lane: new object, unmap, protect, move, duplicate. */
export function opSharedMap(cpu: CpuContext, slot: Slot): Sim<number> {
  const { prng, cpu: own } = cpu.task;
  const { start, pages } = drawSharedRange(own, prng);
  atPages(cpu, start, pages);
  const draw = prng.below(10);
  if (draw < 2) return mapShared(cpu, slot, start, pages);
  if (draw < 3) return mapShared(cpu, slot, sharedLane(own), SHARED_LANE_PAGES);
  if (draw < 4) return unmapShared(cpu, slot, start, pages);
  if (draw < 7) return protectShared(cpu, slot, start, pages);
  const to = drawSharedRange(own, prng);
  if (draw < 8) return duplicateShared(cpu, slot, start, to.start);
  const moved = Math.min(pages, to.pages);
  if (Math.abs(start - to.start) < moved) return protectShared(cpu, slot, start, pages);
  return moveShared(cpu, slot, start, to.start, moved, draw === 9);
}

/** A new object over a range. Which pages these are shows with their first value. */
function mapShared(cpu: CpuContext, slot: Slot, start: number, pages: number): Sim<number> {
  const { prot, state } = drawProt(cpu);
  const result = sysMmap(cpu.task, address(start), pages * PAGE_SIZE, prot, MAP_OVER);
  fillShadow(cpu.table, slot, start, pages, result >= 0 ? state : UNKNOWN, 0);
  return Math.min(result, 0);
}

function unmapShared(cpu: CpuContext, slot: Slot, start: number, pages: number): Sim<number> {
  const result = sysMunmap(cpu.task, address(start), pages * PAGE_SIZE);
  if (result === 0) fillShadow(cpu.table, slot, start, pages, UNMAPPED, 0);
  return result;
}

function protectShared(cpu: CpuContext, slot: Slot, start: number, pages: number): Sim<number> {
  const { table } = cpu;
  const { prot, state } = drawProt(cpu);
  const result = sysMprotect(cpu.task, address(start), pages * PAGE_SIZE, prot);
  for (let page = start; page < start + pages; page++) {
    const before = shadowState(table, slot, page);
    if (before === UNMAPPED || before === UNKNOWN) continue;
    setShadow(table, slot, page, result === 0 ? state : UNKNOWN, shadowValue(table, slot, page));
  }
  return result;
}

/** mremap with an old length of 0: the page is mapped at a second place. */
function duplicateShared(cpu: CpuContext, slot: Slot, from: number, to: number): Sim<number> {
  const { table } = cpu;
  if (from === to) return protectShared(cpu, slot, from, 1);
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const result = sysMremap(cpu.task, address(from), 0, PAGE_SIZE, flags, address(to));
  const state = shadowState(table, slot, from);
  if (result < 0 || state === UNKNOWN) setShadow(table, slot, to, UNKNOWN, 0);
  else setShadow(table, slot, to, state, shadowValue(table, slot, from));
  return Math.min(result, 0);
}

/** MREMAP_FIXED within the lane. With MREMAP_DONTUNMAP the source goes on to map the same pages. */
function moveShared(
  cpu: CpuContext,
  slot: Slot,
  from: number,
  to: number,
  pages: number,
  keepSource: boolean,
): Sim<number> {
  const { table, task } = cpu;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keepSource ? MREMAP_DONTUNMAP : 0);
  const result = sysMremap(task, address(from), pages * PAGE_SIZE, pages * PAGE_SIZE, flags, address(to));
  if (result < 0) {
    fillShadow(table, slot, from, pages, UNKNOWN, 0);
    fillShadow(table, slot, to, pages, UNKNOWN, 0);
    return result;
  }
  // When the source cannot be unmapped for lack of memory it stays, and mremap succeeds all the same.
  const left = task.failAlloc > 0 ? UNKNOWN : UNMAPPED;
  for (let i = 0; i < pages; i++) {
    const state = shadowState(table, slot, from + i);
    if (state === UNMAPPED) continue;
    const id = state === UNKNOWN ? 0 : shadowValue(table, slot, from + i);
    setShadow(table, slot, to + i, state, id);
    if (state === UNKNOWN || !keepSource) setShadow(table, slot, from + i, state === UNKNOWN ? UNKNOWN : left, 0);
  }
  return 0;
}
