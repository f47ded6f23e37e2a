/**
 * References on a struct mm_struct, beside its users: who holds one may look at the struct and lock it, but finds the mappings
 * gone once the last user went.
 *
 * Kernel: mmgrab(), mmdrop() in include/linux/sched/mm.h and kernel/fork.c. Not modelled: lazy TLB references.
 */

import { CACHES } from '../arena/header.ts';
import { assert } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import { kmemCacheFree } from '../cpu/alloc.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr } from '../layout/ids.ts';
import { atomicAddMmCount } from '../layout/mm.ts';
import { pgdFree } from './pageTable.ts';

/** One more reference on the struct (mmgrab). */
export function mmgrab(task: Task, mm: MmPtr): Sim<void> {
  atomicAddMmCount(task.heap, mm, 1);
}

/** Drops a reference on the struct; the last one frees the page-table root and the struct (mmdrop). */
export function mmdrop(task: Task, mm: MmPtr): Sim<void> {
  const count = atomicAddMmCount(task.heap, mm, -1);
  assert(count >= 0, 'mmdrop of a freed mm');
  if (count > 0) return;
  pgdFree(task, mm);
  kmemCacheFree(task, CACHES.mm, mm);
}
