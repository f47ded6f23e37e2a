/** From an operation's code to the function that runs it. */

import { EFAULT, ENOMEM } from '../src/base/errno.ts';
import type { Sim } from '../src/base/sim.ts';
import { FAULT_OOM, SEGV_MAPERR } from '../src/mm/userAccess.ts';
import type { CpuContext } from './context.ts';
import { OP } from './operations.ts';
import { opDontneed, opFree, opMadvise } from './ops/advice.ts';
import { opExec } from './ops/exec.ts';
import { opHugetlb } from './ops/hugetlb.ts';
import { opCompact, opMigrate, opReclaim, opTakeAllLocks } from './ops/kernel.ts';
import { opKsm, opMergeable } from './ops/ksm.ts';
import { opExit, opFork } from './ops/lifecycle.ts';
import { opMlock, opMseal } from './ops/locking.ts';
import { opMmap, opMprotect, opMremap, opMunmap } from './ops/mapping.ts';
import { opRead, opWrite } from './ops/memory.ts';
import { opPin, opUnpin } from './ops/pins.ts';
import { opSharedAccess, opSharedMap } from './ops/shared.ts';
import type { Slot } from './processTable.ts';

/** Runs one operation in the process of `slot`, which the caller holds. @returns 0 or a negative errno */
export function runOperation(cpu: CpuContext, slot: Slot, op: number): Sim<number> {
  switch (op) {
    case OP.read:
      return faultErrno(opRead(cpu, slot));
    case OP.write:
      return faultErrno(opWrite(cpu, slot));
    case OP.mmap:
      return opMmap(cpu, slot);
    case OP.munmap:
      return opMunmap(cpu, slot);
    case OP.mprotect:
      return opMprotect(cpu, slot);
    case OP.mremap:
      return opMremap(cpu, slot);
    case OP.fork:
      return opFork(cpu, slot);
    case OP.exit:
      return opExit(cpu, slot);
    case OP.migrate:
      return opMigrate(cpu, slot);
    case OP.pin:
      return opPin(cpu, slot);
    case OP.unpin:
      return opUnpin(cpu);
    case OP.exec:
      return opExec(cpu);
    case OP.compact:
      return opCompact(cpu);
    case OP.reclaim:
      return opReclaim(cpu);
    case OP['shared-access']:
      return faultErrno(opSharedAccess(cpu, slot));
    case OP['shared-map']:
      return opSharedMap(cpu, slot);
    case OP.madvise:
      return opMadvise(cpu, slot);
    case OP.dontneed:
      return opDontneed(cpu, slot);
    case OP.free:
      return opFree(cpu, slot);
    case OP.mlock:
      return opMlock(cpu, slot);
    case OP.mseal:
      return opMseal(cpu, slot);
    case OP.hugetlb:
      return faultErrno(opHugetlb(cpu, slot));
    case OP.ksm:
      return opKsm(cpu);
    case OP.mergeable:
      return opMergeable(cpu, slot);
    default:
      return opTakeAllLocks(cpu, slot);
  }
}

/** What a system call would return in place of the signal that a failed access raises; an errno stays what it is. */
function faultErrno(result: number): number {
  if (result > SEGV_MAPERR) return result;
  return result === FAULT_OOM ? -ENOMEM : -EFAULT;
}
