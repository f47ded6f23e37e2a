/** mlock in own lanes, mseal on mappings of its own. */

import { EAGAIN, EINTR, ENOMEM, EPERM, errnoName } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { sysMlock, sysMlock2, sysMunlock } from '../../src/mm/mlock.ts';
import { sysMseal } from '../../src/mm/mseal.ts';
import {
  MADV_DONTFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MLOCK_ONFAULT,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, addrToVpn } from '../../src/mm/userSpace.ts';
import type { CpuContext } from '../context.ts';
import type { Slot } from '../processTable.ts';
import { makeValue } from '../shadow.ts';
import { atPages } from '../trail.ts';
import { address, drawMappedRange } from './mapping.ts';

/** A mapping to be sealed but for its first and last page. */
const SEAL_PAGES = 4;
const MAP_ANYWHERE = MAP_PRIVATE | MAP_ANONYMOUS;

/** Locks, locks on fault, or unlocks, so that about half of what was locked is at any time. */
export function opMlock(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  const { start, pages } = drawMappedRange(cpu, slot);
  const draw = task.prng.below(4);
  if (draw === 0) return sysMlock(task, address(start), pages * PAGE_SIZE);
  if (draw === 1) return sysMlock2(task, address(start), pages * PAGE_SIZE, MLOCK_ONFAULT);
  return sysMunlock(task, address(start), pages * PAGE_SIZE);
}

/**
 * Seals the middle of a mapping and tries everything that a seal forbids. The mapping is not copied to children, so that
 * sealed memory goes with its process.
 */
export function opMseal(cpu: CpuContext, slot: Slot): Sim<number> {
  const { task } = cpu;
  const bytes = SEAL_PAGES * PAGE_SIZE;
  const at = sysMmap(task, 0, bytes, PROT_READ | PROT_WRITE, MAP_ANYWHERE);
  if (at < 0) return at;
  atPages(cpu, addrToVpn(at), SEAL_PAGES);
  const value = makeValue(cpu.table, slot, ++cpu.counter);
  const first = (addrToVpn(at) + 1) as Vpn;
  if (sysMadvise(task, at, bytes, MADV_DONTFORK) !== 0 || userWrite(task, first, task.cpu, value) !== 0) {
    return giveBack(cpu, at, bytes);
  }
  const sealed = sysMseal(task, at + PAGE_SIZE, bytes - 2 * PAGE_SIZE, 0);
  if (sealed !== 0) return sealed;
  tryToBreak(cpu, at);
  if (userRead(task, first, task.cpu) === 0 && task.loaded !== value) {
    report(cpu, 'a sealed page lost its contents', `reads ${task.loaded}, written was ${value}`);
  }
  const below = sysMunmap(task, at, PAGE_SIZE);
  const above = sysMunmap(task, at + bytes - PAGE_SIZE, PAGE_SIZE);
  return below !== 0 ? below : above;
}

function giveBack(cpu: CpuContext, at: number, bytes: number): Sim<number> {
  const result = sysMunmap(cpu.task, at, bytes);
  return result === 0 ? -EAGAIN : result;
}

/** Each of these meets a sealed VMA before it changes anything or needs memory. */
function tryToBreak(cpu: CpuContext, at: number): Sim<void> {
  const { task } = cpu;
  const inside = at + PAGE_SIZE;
  expectRefusal(cpu, 'munmap', sysMunmap(task, at, SEAL_PAGES * PAGE_SIZE));
  expectRefusal(cpu, 'mprotect', sysMprotect(task, inside, PAGE_SIZE, PROT_NONE));
  expectRefusal(cpu, 'mremap', sysMremap(task, inside, 2 * PAGE_SIZE, PAGE_SIZE, 0, 0));
  expectRefusal(cpu, 'mmap', sysMmap(task, inside, PAGE_SIZE, PROT_NONE, MAP_ANYWHERE | MAP_FIXED));
}

function expectRefusal(cpu: CpuContext, call: string, result: number): void {
  // With too many mappings mmap does not get as far as the seal.
  if (result === -EPERM || result === -EINTR || result === -ENOMEM) return;
  report(cpu, `${call} changes a sealed mapping`, result < 0 ? errnoName(result) : 'success');
}

function report(cpu: CpuContext, signature: string, detail: string): void {
  cpu.report({ kind: 'vma-tree', title: `${signature}: ${detail}`, signature, evidence: [] });
}
