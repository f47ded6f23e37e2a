/** fork, exit, exec: processes come and go. */

import { EAGAIN, ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { GLOBAL, atomicNextNumber } from '../../src/layout/globals.ts';
import { setMmProcess } from '../../src/layout/mm.ts';
import { NO_MM, type MmPtr, type Vpn } from '../../src/layout/ids.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../../src/mm/syscallFlags.ts';
import { sysMmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE, USER_BASE, setMmapWindow, vpnToAddr } from '../../src/mm/userSpace.ts';
import type { CpuContext } from '../context.ts';
import { SHARED_LANE_PAGES, SMALL_PAGES, WINDOW_END, sharedLane } from '../lanes.ts';
import { OP } from '../operations.ts';
import {
  claimSlot,
  dropProcess,
  freeSlot,
  holdProcess,
  liveProcesses,
  openProcess,
  processMm,
  startExit,
  type Slot,
} from '../processTable.ts';
import { READ_WRITE, clearShadow, fillShadow, forkShadow } from '../shadow.ts';
import { preparePageForFork } from './advice.ts';
import { readOwn } from './memory.ts';

/** Forks the process of `slot` into a free one. */
export function opFork(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task, table } = cpu;
  const child = claimSlot(table);
  if (child < 0) return -EAGAIN;
  // A mix without madvise means it.
  const page = cpu.mix[OP.madvise] > 0 && task.prng.chance(0.5) ? preparePageForFork(cpu, slot) : -1;
  const mm = dupMm(task, processMm(table, slot));
  if (mm < 0) {
    freeSlot(table, child);
    return mm;
  }
  const number = atomicNextNumber(task.heap, GLOBAL.nextProcess);
  setMmProcess(task.heap, mm as MmPtr, number);
  forkShadow(table, slot, child, task.cpu, cpu.cpus);
  openProcess(table, child, mm as MmPtr, number, slot);
  if (page >= 0) lookInto(cpu, child, page);
  return 0;
}

/** Reads an own page of another process; by then that may have ended. */
function lookInto(cpu: CpuContext, slot: Slot, page: number): Sim<void> {
  const { task, table } = cpu;
  if (!holdProcess(table, slot)) return;
  const own = task.mm;
  task.mm = processMm(table, slot);
  readOwn(cpu, slot, page);
  task.mm = own;
  leaveProcess(cpu, slot);
}

/** Ends the process; it disappears when the last CPU that works in it leaves. One process always stays. */
export function opExit(cpu: CpuContext, slot: Slot): Sim<number> {
  if (liveProcesses(cpu.table) <= 1) return -EAGAIN;
  if (!startExit(cpu.table, slot)) return -EAGAIN;
  leaveProcess(cpu, slot);
  return 0;
}

/** Drops a hold on a process; the last one out tears the address space down. */
export function leaveProcess(cpu: CpuContext, slot: Slot): Sim<void> {
  const { table, task } = cpu;
  if (!dropProcess(table, slot)) return;
  const mm = processMm(table, slot);
  if (task.mm === mm) task.mm = NO_MM;
  mmput(task, mm);
  freeSlot(table, slot);
}

/** A new, empty process in a free slot, held by the table alone. @returns its slot or a negative errno */
export function spawnProcess(cpu: CpuContext): Sim<number> {
  const { table } = cpu;
  const slot = claimSlot(table);
  if (slot < 0) return -EAGAIN;
  const { mm, number } = newAddressSpace(cpu);
  if (mm === NO_MM) {
    freeSlot(table, slot);
    return -ENOMEM;
  }
  clearShadow(table, slot);
  mapLanes(cpu, slot, mm);
  openProcess(table, slot, mm, number, -1);
  return slot;
}

/**
 * Gives a process that nobody sees yet its first mappings: all small lanes private, the shared lanes one object, writable. Without
 * memory they are missing.
 */
export function mapLanes(cpu: CpuContext, slot: Slot, mm: MmPtr): Sim<void> {
  const { task, table } = cpu;
  task.mm = mm;
  const bytes = SMALL_PAGES * PAGE_SIZE;
  const mapped = sysMmap(task, USER_BASE, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
  const sharedBytes = cpu.cpus * SHARED_LANE_PAGES * PAGE_SIZE;
  const sharedAt = vpnToAddr(sharedLane(0));
  const shared = sysMmap(task, sharedAt, sharedBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED);
  task.mm = NO_MM;
  if (mapped >= 0) fillShadow(table, slot, 0, SMALL_PAGES, READ_WRITE, 0);
  if (shared >= 0) fillShadow(table, slot, sharedLane(0), cpu.cpus * SHARED_LANE_PAGES, READ_WRITE, 0);
}

/** An mm with the window of a stress run and a process number; mm 0 without memory. */
export function newAddressSpace(cpu: CpuContext): Sim<{ readonly mm: MmPtr; readonly number: number }> {
  const { task } = cpu;
  const mm = mmAlloc(task);
  if (mm === NO_MM) return { mm, number: 0 };
  setMmapWindow(task, mm, 0 as Vpn, WINDOW_END as Vpn);
  const number = atomicNextNumber(task.heap, GLOBAL.nextProcess);
  setMmProcess(task.heap, mm, number);
  return { mm, number };
}
