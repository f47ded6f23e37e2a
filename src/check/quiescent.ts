/**
 * All checks that hold at quiescence: no operation runs, no lock is held. Each is a function of the arena alone; together
 * they are what the stress run does at its barriers and what tests do at their end.
 */

import type { Heap } from '../arena/heap.ts';
import type { Violation } from '../base/finding.ts';
import { checkAnonVmas } from './anonVmaState.ts';
import { checkCounts } from './counts.ts';
import { checkExclusive } from './exclusive.ts';
import { checkFileObjects } from './fileObjects.ts';
import { checkHugePages } from './hugePages.ts';
import { checkIntervalTrees } from './intervalTrees.ts';
import { checkKsm } from './ksmState.ts';
import { checkLocksFree } from './locksFree.ts';
import { checkMigrationEntries } from './migrationEntries.ts';
import { checkPageTables } from './pageTables.ts';
import { checkRmapReach } from './rmapReach.ts';
import { checkStaleTlb } from './staleTlb.ts';
import { checkVmaCounters } from './vmaCounters.ts';
import { checkVmaTrees } from './vmaTrees.ts';
import type { CheckCounts } from './watch.ts';

/** One checker: reads the arena, returns what is wrong with it. */
export interface QuiescentCheck {
  readonly name: string;
  /** Numbers of the invariants it watches (docs/invariants.md). */
  readonly invariants: readonly number[];
  readonly run: (heap: Heap) => Violation[];
}

/** In the order in which they explain best: the first violation is usually the cause of the later ones. */
export const QUIESCENT_CHECKS: readonly QuiescentCheck[] = [
  { name: 'locks-free', invariants: [44], run: checkLocksFree },
  { name: 'migration-entries', invariants: [10], run: checkMigrationEntries },
  { name: 'vma-trees', invariants: [29], run: checkVmaTrees },
  { name: 'vma-counters', invariants: [48], run: checkVmaCounters },
  { name: 'interval-trees', invariants: [25, 26], run: checkIntervalTrees },
  { name: 'objects', invariants: [49, 50, 51], run: checkFileObjects },
  { name: 'huge-pages', invariants: [52, 53], run: checkHugePages },
  { name: 'anon-vmas', invariants: [27, 28, 32, 34], run: checkAnonVmas },
  { name: 'page-tables', invariants: [41], run: checkPageTables },
  { name: 'counts', invariants: [1, 4, 5, 6, 7], run: checkCounts },
  { name: 'exclusive', invariants: [14, 15, 16], run: checkExclusive },
  { name: 'rmap-reach', invariants: [22, 23, 24], run: checkRmapReach },
  { name: 'ksm', invariants: [51, 52], run: checkKsm },
  { name: 'stale-tlb', invariants: [45], run: checkStaleTlb },
];

/** Runs every check; counts them in `counts` by name. */
export function checkQuiescent(heap: Heap, counts: CheckCounts = {}): Violation[] {
  const violations: Violation[] = [];
  for (const check of QUIESCENT_CHECKS) {
    violations.push(...check.run(heap));
    counts[check.name] = (counts[check.name] ?? 0) + 1;
  }
  return violations;
}
