/** pin and unpin: long-term pins of own pages, a device that writes to them, the owner that must see it. */

import type { Sim } from '../../src/base/sim.ts';
import { setPageContent } from '../../src/layout/page.ts';
import type { Pfn, Vpn } from '../../src/layout/ids.ts';
import { pinUserPages, pinUserPagesFast, unpinUserPages } from '../../src/mm/gup.ts';
import type { CpuContext } from '../context.ts';
import { drawOwnRange } from '../lanes.ts';
import { processMm, processNumber, type Slot } from '../processTable.ts';
import { makeValue, setShadow, shadowState } from '../shadow.ts';

/** Pins a CPU holds at most: enough to stay across forks, few enough to leave most pages movable. */
const MAX_PINS = 8;

/** Pins an own page for writing, fast or slow; a device then writes to some pinned page. */
export function opPin(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  deviceWrite(cpu);
  if (cpu.pins.length >= MAX_PINS) return 0;
  const { start } = drawOwnRange(task.cpu, cpu.cpus, task.prng);
  cpu.lastPage = start;
  const pages: Pfn[] = [];
  const fast = task.prng.chance(0.5);
  const pinned = fast
    ? pinUserPagesFast(task, start as Vpn, 1, true, pages)
    : pinUserPages(task, processMm(cpu.table, slot), start as Vpn, 1, true, pages);
  if (pinned < 1) return pinned;
  cpu.pins.push({ slot, number: processNumber(cpu.table, slot), page: start, pfn: pages[0]! });
  return 0;
}

/** Drops one or all pins. */
export function opUnpin(cpu: CpuContext): Sim<number> {
  const count = cpu.task.prng.chance(0.25) ? cpu.pins.length : Math.min(1, cpu.pins.length);
  return dropPins(cpu, count);
}

/** Drops the oldest `count` pins. */
export function dropPins(cpu: CpuContext, count: number): Sim<number> {
  for (let i = 0; i < count; i++) {
    const pin = cpu.pins.shift()!;
    unpinUserPages(cpu.task, [pin.pfn]);
  }
  return 0;
}

/**
 * DMA: stores into the pinned frame, past every page table. While the mapping is unchanged the owner must read it, whatever
 * forks and migrations happened since: a pinned page is never shared and never moved.
 */
function deviceWrite(cpu: CpuContext): Sim<void> {
  const { task, table } = cpu;
  if (cpu.pins.length === 0) return;
  const pin = cpu.pins[task.prng.below(cpu.pins.length)]!;
  const value = makeValue(table, pin.slot, ++cpu.counter);
  const current = pin.page >= 0 && processNumber(table, pin.slot) === pin.number;
  setPageContent(task.heap, pin.pfn, task.cpu, value);
  if (!current) return;
  setShadow(table, pin.slot, pin.page, shadowState(table, pin.slot, pin.page), value);
}

/** The owner is about to change a range: pins in it no longer tell what the owner reads. */
export function forgetPins(cpu: CpuContext, slot: Slot, start: number, pages: number): void {
  for (const pin of cpu.pins) {
    if (pin.slot === slot && pin.page >= start && pin.page < start + pages) pin.page = -1;
  }
}
