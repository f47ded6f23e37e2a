/**
 * Allocation as the simulated kernel sees it: any of them may fail, and the caller unwinds. Failures are injected here,
 * at every site alike: from the task's own generator, or, explored, as a choice of the schedule.
 */

import { slabAlloc, slabFree } from '../arena/slab.ts';
import { cacheObjectWords, type CacheId } from '../arena/header.ts';
import type { Sim } from '../base/sim.ts';
import { allocationFails } from './platform.ts';
import { mayFail, mightSleep, type Task } from './task.ts';

/**
 * kmem_cache_alloc(GFP_KERNEL): may sleep, so never under a spinlock or (7.0) under an anon_vma lock.
 * @returns the object, its contents undefined, or 0 (callers return -ENOMEM)
 */
export function kmemCacheAlloc(task: Task, cache: CacheId): Sim<number> {
  mightSleep(task, 'kmem_cache_alloc');
  if (mayFail(task) && injectFailure(task)) return 0;
  return slabAlloc(task.heap, task.cpu, cache);
}

/** Whether an allocation is made to fail although there is memory. Asked only where allocations may fail. */
export function injectFailure(task: Task): Sim<boolean> {
  if (!allocationFails(task)) return false;
  task.injectedFailures++;
  return true;
}

/** kmem_cache_free(). */
export function kmemCacheFree(task: Task, cache: CacheId, ptr: number): Sim<void> {
  if (task.lockdep !== null) task.lockdep.freeRange(task, ptr, cacheObjectWords(task.heap, cache));
  slabFree(task.heap, task.cpu, cache, ptr);
}
