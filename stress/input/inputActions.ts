/** One step of a recorded program on the simulated kernel. */

import { ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { NO_MM, type MmPtr, type Vpn } from '../../src/layout/ids.ts';
import { dupMm } from '../../src/mm/fork.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { sysMlock2, sysMunlock } from '../../src/mm/mlock.ts';
import { mmAlloc, mmget, mmput } from '../../src/mm/mmStruct.ts';
import * as F from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, setMmapWindow, vpnToAddr } from '../../src/mm/userSpace.ts';
import type { CpuContext } from '../context.ts';
import type { Protection, RealRange } from './decodeCall.ts';
import type { InputAction } from './inputProgram.ts';
import type { ScheduledStep } from './schedule.ts';

/** Where the address spaces of a round are. */
export interface Spaces {
  readonly mmOf: (space: number) => MmPtr;
  readonly setMm: (space: number, mm: MmPtr) => void;
  /** Pages of a space's window. */
  readonly pagesOf: (space: number) => number;
}

/** Runs it. @returns 0 or more, or a negative errno or fault code */
export function runAction(cpu: CpuContext, spaces: Spaces, { action, space }: ScheduledStep): Sim<number> {
  const { task } = cpu;
  const mm = space < 0 ? NO_MM : spaces.mmOf(space);
  // Nobody could make the address space: all that would happen in it does not.
  if (mm === NO_MM && action.op !== 'exec') return 0;
  task.mm = mm;
  switch (action.op) {
    case 'fork':
      return forkSpace(cpu, spaces, mm, action.next);
    case 'share':
      mmget(task, mm);
      return 0;
    case 'exec':
      return execSpace(cpu, spaces, mm, action.next);
    case 'end':
      task.mm = NO_MM;
      mmput(task, mm);
      return 0;
    default:
      return runCall(cpu, action);
  }
}

type Call = Exclude<InputAction, { op: 'fork' | 'share' | 'exec' | 'end' }>;

function runCall({ task }: CpuContext, action: Call): Sim<number> {
  const { start } = action.range;
  const addr = vpnToAddr(start);
  const bytes = lengthOf(action.range);
  switch (action.op) {
    case 'mmap':
      return Math.min(0, sysMmap(task, addr, bytes, protBits(action.prot), mapBits(action)));
    case 'munmap':
      return sysMunmap(task, addr, bytes);
    case 'mprotect':
      return sysMprotect(task, addr, bytes, protBits(action.prot));
    case 'mremap': {
      const moves = action.to.start !== start;
      const flags = moves ? F.MREMAP_MAYMOVE | F.MREMAP_FIXED | (action.dontunmap ? F.MREMAP_DONTUNMAP : 0) : 0;
      return Math.min(
        0,
        sysMremap(task, addr, bytes, lengthOf(action.to), flags, moves ? vpnToAddr(action.to.start) : 0),
      );
    }
    case 'madvise': {
      const advice = ADVICE[action.advice];
      return advice === undefined ? 0 : sysMadvise(task, addr, bytes, advice);
    }
    case 'mlock':
      return sysMlock2(task, addr, bytes, action.onfault ? F.MLOCK_ONFAULT : 0);
    case 'munlock':
      return sysMunlock(task, addr, bytes);
    case 'write':
      return userWrite(task, start as Vpn, 0, action.value);
    default:
      return userRead(task, start as Vpn, 0);
  }
}

function forkSpace({ task }: CpuContext, spaces: Spaces, mm: MmPtr, next: number): Sim<number> {
  const child = dupMm(task, mm);
  spaces.setMm(next, child < 0 ? NO_MM : (child as MmPtr));
  return Math.min(child, 0);
}

function execSpace({ task }: CpuContext, spaces: Spaces, old: MmPtr, next: number): Sim<number> {
  const mm = mmAlloc(task);
  if (mm !== NO_MM) setMmapWindow(task, mm, 0 as Vpn, spaces.pagesOf(next) as Vpn);
  spaces.setMm(next, mm);
  task.mm = NO_MM;
  if (old !== NO_MM) mmput(task, old);
  return mm === NO_MM ? -ENOMEM : 0;
}

function lengthOf({ start, end }: RealRange): number {
  return (end - start) * PAGE_SIZE;
}

function protBits({ read, write }: Protection): number {
  return (read ? F.PROT_READ : 0) | (write ? F.PROT_WRITE : 0);
}

function mapBits({ shared, populate, noreserve }: Extract<InputAction, { op: 'mmap' }>): number {
  const kind = F.MAP_ANONYMOUS | F.MAP_FIXED | (shared ? F.MAP_SHARED : F.MAP_PRIVATE);
  return kind | (populate ? F.MAP_POPULATE : 0) | (noreserve ? F.MAP_NORESERVE : 0);
}

/** Advice about huge pages, dumps and the like changes nothing here. */
const ADVICE: Readonly<Record<string, number>> = {
  MADV_NORMAL: F.MADV_NORMAL,
  MADV_RANDOM: F.MADV_RANDOM,
  MADV_SEQUENTIAL: F.MADV_SEQUENTIAL,
  MADV_WILLNEED: F.MADV_WILLNEED,
  MADV_DONTNEED: F.MADV_DONTNEED,
  MADV_FREE: F.MADV_FREE,
  MADV_DONTFORK: F.MADV_DONTFORK,
  MADV_DOFORK: F.MADV_DOFORK,
  MADV_MERGEABLE: F.MADV_MERGEABLE,
  MADV_UNMERGEABLE: F.MADV_UNMERGEABLE,
  MADV_WIPEONFORK: F.MADV_WIPEONFORK,
  MADV_KEEPONFORK: F.MADV_KEEPONFORK,
  MADV_POPULATE_READ: F.MADV_POPULATE_READ,
  MADV_POPULATE_WRITE: F.MADV_POPULATE_WRITE,
};
