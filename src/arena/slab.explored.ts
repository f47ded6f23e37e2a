/**
 * The twin of slab.ts in the explored build: the same allocator, whose allocations and frees are logged. An entry's
 * value is the generation that the object has from then on. The cache's free list is logged too: who allocates first gets
 * another object. An extent follows: whoever touches the object depends on both. The allocator is a full barrier, so no delayed
 * store reaches an object that is somebody else's by then.
 */

import type { Access } from '../base/sim.ts';
import { ACCESS, L, LOG_MODE, logAccess } from '../instrument/runtime.ts';
import { CACHE, cacheAt, type CacheId } from './header.ts';
import type { Heap } from './heap.ts';
import * as slab from './slab.ts';
import { drainOwnStores } from './storeBuffer.ts';

export * from './slab.ts';

export function slabAlloc(heap: Heap, cpu: number, cache: CacheId): Access<number> {
  drainOwnStores();
  const ptr = slab.slabAlloc(heap, cpu, cache);
  logSlab(heap, cache, ptr, ACCESS.alloc);
  return ptr;
}

export function slabFree(heap: Heap, cpu: number, cache: CacheId, ptr: number): Access<void> {
  drainOwnStores();
  // The allocator throws; the detectors see why.
  if (!slab.slabIsAllocated(heap, ptr)) logSlab(heap, cache, ptr, ACCESS.free);
  slab.slabFree(heap, cpu, cache, ptr);
  logSlab(heap, cache, ptr, ACCESS.free);
}

function logSlab(heap: Heap, cache: CacheId, ptr: number, kind: number): void {
  if (L.mode === LOG_MODE.off) return;
  logAccess(cacheAt(cache) + CACHE.freeHead, ACCESS.rmw, ptr);
  if (ptr === 0) return;
  logAccess(ptr, kind, slab.slabGeneration(heap, ptr));
  logAccess(ptr, ACCESS.extent, heap[cacheAt(cache) + CACHE.objectWords]);
}
