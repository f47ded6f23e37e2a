/**
 * Size counters of an address space, in pages.
 *
 * Kernel: vm_stat_account() in mm/mmap.c. Not modelled: executable and stack pages apart, high-water marks, commit charge
 * (overcommit mode 0 refuses nothing that fits the simulated machine).
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr } from '../layout/ids.ts';
import { mmDataVm, mmLockedVm, mmMemlockLimit, mmTotalVm, setMmDataVm, setMmTotalVm } from '../layout/mm.ts';
import { VM_GROWSDOWN, VM_SHARED, VM_WRITE } from '../layout/vma.ts';

/** RLIMIT_MEMLOCK, in pages, that never limits. */
export const MEMLOCK_UNLIMITED = 0x7fff_ffff;

/** Adds `pages` (negative to subtract) of a mapping with these flags. @locked mmapLock(write), or the last of a munmap */
export function vmStatAccount(task: Task, mm: MmPtr, flags: number, pages: number): Sim<void> {
  const { heap } = task;
  setMmTotalVm(heap, mm, mmTotalVm(heap, mm) + pages);
  if (isDataMapping(flags)) setMmDataVm(heap, mm, mmDataVm(heap, mm) + pages);
}

/** True if the process may lock memory at all (can_do_mlock): nobody here has CAP_IPC_LOCK. */
export function canDoMlock(task: Task, mm: MmPtr): Sim<boolean> {
  return mmMemlockLimit(task.heap, mm) !== 0;
}

/** True if `pages` more locked pages stay within RLIMIT_MEMLOCK (mlock_future_ok). @locked mmapLock(write) */
export function mlockFutureOk(task: Task, mm: MmPtr, pages: number): Sim<boolean> {
  const limit = mmMemlockLimit(task.heap, mm);
  return limit === MEMLOCK_UNLIMITED || mmLockedVm(task.heap, mm) + pages <= limit;
}

/** Private and writable, but no stack (is_data_mapping). */
function isDataMapping(flags: number): boolean {
  return (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE;
}
