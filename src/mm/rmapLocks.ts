/**
 * The locks that stop rmap walks over a VMA while its entries are in flight. Kernel: take_rmap_locks() in mm/mremap.c.
 * Not modelled: i_mmap_rwsem of a mapped file.
 */

import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_ANON_VMA, type VmaPtr } from '../layout/ids.ts';
import { vmaAnonVma } from '../layout/vma.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite } from './anonVmaLock.ts';

/** take_rmap_locks(). A VMA without an anon_vma has no walkers. @locked mmapLock(write) */
export function takeRmapLocks(task: Task, vma: VmaPtr): Sim<void> {
  const anonVma = vmaAnonVma(task.heap, vma);
  if (anonVma !== NO_ANON_VMA) anonVmaLockWrite(task, anonVma);
}

/** drop_rmap_locks(). */
export function dropRmapLocks(task: Task, vma: VmaPtr): Sim<void> {
  const anonVma = vmaAnonVma(task.heap, vma);
  if (anonVma !== NO_ANON_VMA) anonVmaUnlockWrite(task, anonVma);
}
