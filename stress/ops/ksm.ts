/** KSM's thread, and processes that ask for their pages to be merged, or not to be any more. It changes no contents. */

import type { Sim } from '../../src/base/sim.ts';
import { NO_MM } from '../../src/layout/ids.ts';
import { KSM_RUN_MERGE, KSM_RUN_STOP, KSM_RUN_UNMERGE } from '../../src/layout/ksm.ts';
import { ksmSetRun, ksmdTurn } from '../../src/mm/ksmd.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import {
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import type { CpuContext } from '../context.ts';
import { drawOwnRange, type PageRange } from '../lanes.ts';
import type { Slot } from '../processTable.ts';
import { READ_WRITE, UNKNOWN, fillShadow, makeValue, setShadowStates, shadowState } from '../shadow.ts';
import { atPages } from '../trail.ts';
import { address } from './mapping.ts';
import { writeValue } from './memory.ts';
import { forgetPins } from './pins.ts';

/** Pages of a turn: enough for a pass in a few turns, few enough to be in the middle of one most of the time. */
const TURN_PAGES = 64;

/** ksmd's turn; now and then all that it has merged is taken apart first. */
export function opKsm(cpu: CpuContext): Sim<number> {
  const { task } = cpu;
  task.mm = NO_MM;
  const error = task.prng.chance(0.02) ? ksmSetRun(task, KSM_RUN_UNMERGE) : 0;
  ksmSetRun(task, KSM_RUN_MERGE);
  ksmdTurn(task, 1 + task.prng.below(TURN_PAGES));
  return error;
}

/** At the end of a run: KSM forgets the processes, which have ended. */
export function stopKsm(cpu: CpuContext): Sim<void> {
  ksmSetRun(cpu.task, KSM_RUN_STOP);
  ksmSetRun(cpu.task, KSM_RUN_UNMERGE);
}

/** Gives pages of an own range the same contents and lets them be merged; or ends that for a range. */
export function opMergeable(cpu: CpuContext, slot: Slot): Sim<number> {
  const range = drawOwnRange(cpu.task.cpu, cpu.cpus, cpu.task.prng);
  atPages(cpu, range.start, range.pages);
  if (cpu.task.prng.chance(0.3)) return advise(cpu, range, MADV_UNMERGEABLE);
  if (cpu.task.prng.chance(0.5)) mapFresh(cpu, slot, range);
  makeAlike(cpu, slot, range);
  return advise(cpu, range, MADV_MERGEABLE);
}

function advise(cpu: CpuContext, { start, pages }: PageRange, advice: number): Sim<number> {
  return sysMadvise(cpu.task, address(start), pages * PAGE_SIZE, advice);
}

/** Fresh memory, in which nobody has written yet. */
function mapFresh(cpu: CpuContext, slot: Slot, { start, pages }: PageRange): Sim<void> {
  forgetPins(cpu, slot, start, pages);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const result = sysMmap(cpu.task, address(start), pages * PAGE_SIZE, PROT_READ | PROT_WRITE, flags);
  if (result >= 0) fillShadow(cpu.table, slot, start, pages, READ_WRITE, 0);
  else setShadowStates(cpu.table, slot, start, pages, UNKNOWN);
}

/** The own words of the range hold one value: zero is the same in all processes, another one in this and its children. */
function makeAlike(cpu: CpuContext, slot: Slot, { start, pages }: PageRange): Sim<void> {
  const value = cpu.task.prng.chance(0.5) ? 0 : makeValue(cpu.table, slot, ++cpu.counter);
  for (let page = start; page < start + pages; page++) {
    if (shadowState(cpu.table, slot, page) === READ_WRITE) writeValue(cpu, slot, page, value);
  }
}
