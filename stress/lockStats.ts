/** Lock statistics of a run: acquisitions and contention per class, waits of contended ones, holds sampled. */

import type { LockStatsHook } from '../src/cpu/hooks.ts';
import type { Heap } from '../src/arena/heap.ts';
import { histogramAdd } from '../src/base/histogram.ts';
import { lockCountsAt, lockHoldAt, lockWaitAt, type StressSection } from './section.ts';

/** Every n-th hold is timed: two clock readings cost as much as a lock. */
const HOLD_SAMPLE = 16;

/** The hook of one CPU; its counters lie in the section. */
export function createLockStats(heap: Heap, section: StressSection, cpu: number, nowNs: () => number): LockStatsHook {
  const held = new Map<number, number>();
  let tick = 0;
  return {
    acquired(_task, lock, cls, contended, waitNs) {
      const at = lockCountsAt(section, cpu, cls);
      heap[at]++;
      if (contended) {
        heap[at + 1]++;
        histogramAdd(heap, lockWaitAt(section, cpu, cls), waitNs);
      }
      if (++tick % HOLD_SAMPLE === 0) held.set(lock, nowNs());
    },
    released(_task, lock, cls) {
      const since = held.size === 0 ? undefined : held.get(lock);
      if (since === undefined) return;
      held.delete(lock);
      histogramAdd(heap, lockHoldAt(section, cpu, cls), nowNs() - since);
    },
  };
}
