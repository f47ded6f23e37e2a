/** Which object of which slab cache each word of a heap lies in. Sections never move, so one table serves all detectors. */

import { CACHE, CACHE_NAMES, CACHES, cacheAt, isArena, type CacheId } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { SLAB_TYPESAFE_BY_RCU, slabObjects } from '../arena/slab.ts';

export class ObjectMap {
  /** First word of the object that a word lies in; 0 outside of objects. */
  readonly objectOf: Int32Array;
  /** Cache of the object that a word lies in; meaningless outside. */
  private readonly caches: Uint8Array;
  private readonly heap: Heap;

  constructor(heap: Heap) {
    this.heap = heap;
    this.objectOf = new Int32Array(heap.length);
    this.caches = new Uint8Array(heap.length);
    if (!isArena(heap)) return;
    for (const name of CACHE_NAMES) {
      const cache = CACHES[name];
      // Places for the contents of huge pages: given out by the pool, never by the allocator.
      if (cache === CACHES.hugeContents) continue;
      const words = heap[cacheAt(cache) + CACHE.objectWords];
      for (const object of slabObjects(heap, cache)) {
        this.objectOf.fill(object, object, object + words);
        this.caches.fill(cache, object, object + words);
      }
    }
  }

  /** Cache of the object at `object`. */
  cacheOf(object: number): CacheId {
    return this.caches[object] as CacheId;
  }

  /** Word behind the object at `object`. */
  endOf(object: number): number {
    return object + this.heap[cacheAt(this.cacheOf(object)) + CACHE.objectWords];
  }

  /** True for objects that lockless lookups may reach after they were freed. */
  isTypesafe(object: number): boolean {
    return (this.heap[cacheAt(this.cacheOf(object)) + CACHE.flags] & SLAB_TYPESAFE_BY_RCU) !== 0;
  }
}

const maps = new WeakMap<Heap, ObjectMap>();

/** The map of a heap: made once. */
export function objectMapOf(heap: Heap): ObjectMap {
  let map = maps.get(heap);
  if (map === undefined) {
    map = new ObjectMap(heap);
    maps.set(heap, map);
  }
  return map;
}
