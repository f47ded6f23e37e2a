/** Invariant 35: after every process has exited and every grace period has passed, every slab is empty (the zero page aside). */

import { CACHES, CACHE_NAMES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabAllocatedCount } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import { zeroPfn } from '../layout/page.ts';

/** One violation per cache that is not empty. */
export function checkLeaks(heap: Heap): Violation[] {
  const violations: Violation[] = [];
  for (const name of CACHE_NAMES) {
    const boot = name === 'frame' && zeroPfn(heap) !== 0 ? 1 : 0;
    const left = slabAllocatedCount(heap, CACHES[name]) - boot;
    if (left === 0) continue;
    violations.push({
      kind: 'leak',
      title: `${left} objects of cache ${name} are left after every process has exited`,
      signature: `leak in cache ${name}`,
      evidence: [],
    });
  }
  return violations;
}
