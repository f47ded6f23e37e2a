/**
 * The locks that stop rmap walks over a VMA while its entries are in flight.
 *
 * Lock order here: i_mmap_rwsem > anon_vma root.
 *
 * Kernel: take_rmap_locks() in mm/mremap.c.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ADDRESS_SPACE, NO_ANON_VMA, type VmaPtr } from '../layout/ids.ts';
import { vmaAnonVma, vmaFile } from '../layout/vma.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite } from './anonVmaLock.ts';
import { iMmapLockWrite, iMmapUnlockWrite } from './vmaFile.ts';

/** take_rmap_locks(). A VMA without object and anon_vma has no walkers. @locked mmapLock(write) */
export function takeRmapLocks(task: Task, vma: VmaPtr): Sim<void> {
  const mapping = vmaFile(task.heap, vma);
  if (mapping !== NO_ADDRESS_SPACE) iMmapLockWrite(task, mapping);
  const anonVma = vmaAnonVma(task.heap, vma);
  if (anonVma !== NO_ANON_VMA) anonVmaLockWrite(task, anonVma);
}

/** drop_rmap_locks(). */
export function dropRmapLocks(task: Task, vma: VmaPtr): Sim<void> {
  const anonVma = vmaAnonVma(task.heap, vma);
  if (anonVma !== NO_ANON_VMA) anonVmaUnlockWrite(task, anonVma);
  const mapping = vmaFile(task.heap, vma);
  if (mapping !== NO_ADDRESS_SPACE) iMmapUnlockWrite(task, mapping);
}
