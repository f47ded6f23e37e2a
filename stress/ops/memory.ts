/** read and write: user memory accesses, judged by the shadow model. */

import type { Sim } from '../../src/base/sim.ts';
import { userRead, userWrite, FAULT_OOM } from '../../src/mm/userAccess.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import type { CpuContext } from '../context.ts';
import { atPages } from '../trail.ts';
import { drawOwnLane, drawPage, bigLane, laneOwner, LANE_PAGES } from '../lanes.ts';
import type { Slot } from '../processTable.ts';
import {
  READABLE,
  READ_ONLY,
  READ_WRITE,
  UNKNOWN,
  giveUp,
  judgeForeignValue,
  judgeOwnValue,
  makeValue,
  mayBeZero,
  setShadow,
  shadowState,
  shadowValue,
} from '../shadow.ts';
import { accessViolation } from './judge.ts';

/** Share of accesses that go to the CPU's own lanes, where the outcome is known. */
const OWN_SHARE = 0.6;

/** A page to access; own lanes more often than not. */
function drawAccess(cpu: CpuContext): number {
  const { prng, cpu: number } = cpu.task;
  if (!prng.chance(OWN_SHARE)) return drawPage(cpu.cpus, prng);
  if (prng.chance(0.1)) return bigLane(number) + prng.below(16);
  return drawOwnLane(number, cpu.cpus, prng) + prng.below(LANE_PAGES);
}

/** Reads one word: the own one where the CPU owns the lane, any other elsewhere. */
export function opRead(cpu: CpuContext, slot: Slot): Sim<number> {
  const page = drawAccess(cpu);
  atPages(cpu, page);
  if (laneOwner(page, cpu.cpus) === cpu.task.cpu) return readOwn(cpu, slot, page);
  const result = userRead(cpu.task, page as Vpn, cpu.task.prng.below(cpu.cpus));
  if (result === 0) {
    const wrong = judgeForeignValue(cpu.table, slot, page, cpu.task.loaded);
    if (wrong !== null) cpu.report(wrong);
  }
  return result;
}

/** Reads the own word of a page in an own lane and compares outcome and value with what the CPU knows. */
export function readOwn(cpu: CpuContext, slot: Slot, page: number): Sim<number> {
  const { table, task } = cpu;
  const result = userRead(task, page as Vpn, task.cpu);
  if (result === FAULT_OOM) return result;
  const state = shadowState(table, slot, page);
  if (state === UNKNOWN) {
    adopt(cpu, slot, page, result);
    return result;
  }
  // What was given up reads as it was or, from some moment on, zero.
  if (result === 0 && task.loaded === 0 && mayBeZero(table, slot, page)) setShadow(table, slot, page, state, 0);
  const readable = state === READ_ONLY || state === READ_WRITE || state === READABLE;
  const wrong =
    (result === 0) !== readable
      ? accessViolation(table, slot, page, state, result)
      : result === 0
        ? judgeOwnValue(table, slot, page, task.loaded, shadowValue(table, slot, page))
        : null;
  if (wrong !== null) cpu.report(wrong);
  return result;
}

/** First look after a fork by another CPU: what is there is what the CPU knows from now on. */
function adopt(cpu: CpuContext, slot: Slot, page: number, result: number): void {
  if (result !== 0) return;
  const { table, task } = cpu;
  const wrong = judgeForeignValue(table, slot, page, task.loaded);
  if (wrong !== null) {
    cpu.report(wrong);
    return;
  }
  const mayVanish = task.loaded !== 0 && mayBeZero(table, slot, page);
  setShadow(table, slot, page, READABLE, task.loaded);
  if (mayVanish) giveUp(table, slot, page, 1);
}

/** Writes a word that nobody wrote before. */
export function opWrite(cpu: CpuContext, slot: Slot): Sim<number> {
  const page = drawAccess(cpu);
  atPages(cpu, page);
  return writeOwnWord(cpu, slot, page);
}

/** Writes the CPU's own word of any page; in own lanes the outcome is judged and remembered. */
export function writeOwnWord(cpu: CpuContext, slot: Slot, page: number): Sim<number> {
  return writeValue(cpu, slot, page, makeValue(cpu.table, slot, ++cpu.counter));
}

/** As writeOwnWord, a given value. */
export function writeValue(cpu: CpuContext, slot: Slot, page: number, value: number): Sim<number> {
  const { table, task } = cpu;
  const result = userWrite(task, page as Vpn, task.cpu, value);
  if (result === FAULT_OOM || laneOwner(page, cpu.cpus) !== task.cpu) return result;
  const state = shadowState(table, slot, page);
  if (state === UNKNOWN || state === READABLE) {
    if (result === 0) setShadow(table, slot, page, READ_WRITE, value);
    return result;
  }
  if ((result === 0) !== (state === READ_WRITE)) cpu.report(accessViolation(table, slot, page, state, result));
  else if (result === 0) setShadow(table, slot, page, READ_WRITE, value);
  return result;
}
