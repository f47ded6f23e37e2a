/** pin and unpin: long-term pins of own pages, a device that writes to them, the owner that must see it. */

import type { Sim } from '../../src/base/sim.ts';
import { setPageContent } from '../../src/layout/page.ts';
import type { Pfn, Vpn } from '../../src/layout/ids.ts';
import { pinUserPages, pinUserPagesFast, unpinUserPagesDirtyLock } from '../../src/mm/gup.ts';
import type { CpuContext } from '../context.ts';
import { atPages } from '../trail.ts';
import { drawOwnRange } from '../lanes.ts';
import { processMm, processNumber, type Slot } from '../processTable.ts';
import { makeValue, setShadow, shadowState } from '../shadow.ts';
import { readOwn, writeOwnWord } from './memory.ts';

/** Pins a CPU holds at most: enough to stay across forks, few enough to leave most pages movable. */
export const MAX_PINS = 8;

/** Pins an own page for writing, fast or slow; a device then writes to some pinned page. */
export function opPin(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  useDevice(cpu, slot);
  if (cpu.pins.length >= MAX_PINS) return 0;
  const { start } = drawOwnRange(task.cpu, cpu.cpus, task.prng);
  atPages(cpu, start);
  const pages: Pfn[] = [];
  const fast = task.prng.chance(0.5);
  const pinned = fast
    ? pinUserPagesFast(task, start as Vpn, 1, true, pages)
    : pinUserPages(task, processMm(cpu.table, slot), start as Vpn, 1, true, pages);
  if (pinned < 1) return pinned;
  cpu.pins.push({ slot, number: processNumber(cpu.table, slot), page: start, pfn: pages[0] });
  return 0;
}

/** Drops one or all pins. */
export function opUnpin(cpu: CpuContext): Sim<number> {
  const count = cpu.task.prng.chance(0.25) ? cpu.pins.length : Math.min(1, cpu.pins.length);
  return dropPins(cpu, count);
}

/** Drops the oldest `count` pins; the device may have written to the pages, so they are dirty. */
export function dropPins(cpu: CpuContext, count: number): Sim<number> {
  for (let i = 0; i < count; i++) {
    const pin = cpu.pins.shift()!;
    unpinUserPagesDirtyLock(cpu.task, [pin.pfn]);
  }
  return 0;
}

/**
 * DMA: stores into a pinned frame of the process, past every page table; the CPU may have written there just before. While
 * the mapping is unchanged the owner must read it, whatever forks and migrations happened since: a pinned page is never
 * shared and never moved. Only pages whose place is known are written: the others may still be mapped somewhere, and what is
 * read there would be no news.
 *
 * The caller holds the process of `slot`, so its shadow model is not about to become another's.
 */
function useDevice(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task, table } = cpu;
  const number = processNumber(table, slot);
  const known = cpu.pins.filter((pin) => pin.slot === slot && pin.number === number && pin.page >= 0);
  if (known.length === 0) return 0;
  const { page, pfn } = known[task.prng.below(known.length)];
  atPages(cpu, page);
  if (task.prng.chance(0.5)) writeOwnWord(cpu, slot, page);
  const value = makeValue(table, slot, ++cpu.counter);
  setPageContent(task.heap, pfn, task.cpu, value);
  setShadow(table, slot, page, shadowState(table, slot, page), value);
  return readOwn(cpu, slot, page);
}

/** The owner is about to change a range: where the pages pinned in it will be is not known any more. */
export function forgetPins(cpu: CpuContext, slot: Slot, start: number, pages: number): void {
  movePins(cpu, slot, start, pages, () => -1);
}

/** The owner moved a range: the pages pinned in it are at their new places. */
export function movePins(
  cpu: CpuContext,
  slot: Slot,
  start: number,
  pages: number,
  newPage: (page: number) => number,
): void {
  for (const pin of cpu.pins) {
    if (pin.slot === slot && pin.page >= start && pin.page < start + pages) pin.page = newPage(pin.page);
  }
}
