/**
 * Compaction's view of migration: a kernel thread that scans frames, knows no address space, and moves what it finds.
 *
 * Kernel: isolate_migratepages_block(), compact_zone() in mm/compaction.c. Not modelled: choosing targets by address, zones,
 * page blocks.
 */

import {
  PG_lru,
  mappingIsAnon,
  nrFrames,
  readOncePageFlags,
  readOncePageMapcount,
  readOncePageMapping,
  readOncePageRefcount,
} from '../layout/page.ts';
import type { Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import type { Pfn } from '../layout/ids.ts';
import { isolateFolio, migratePages, putbackFolio } from './migrate.ts';

/** Pages isolated at a time (COMPACT_CLUSTER_MAX). */
const COMPACT_CLUSTER_MAX = 32;

/**
 * Isolates the folios of [startPfn, startPfn + nr) that can be moved, and moves them.
 *
 * @locked nothing
 * @returns number of folios moved (or freed by their owners meanwhile), or -ENOMEM
 */
export function compactScan(task: Task, startPfn: Pfn, nr: number): Sim<number> {
  const end = Math.min(startPfn + nr, nrFrames(task.heap) + 1);
  let moved = 0;
  let pfn = startPfn as number;
  while (pfn < end) {
    const folios: Pfn[] = [];
    for (; pfn < end && folios.length < COMPACT_CLUSTER_MAX; pfn++) {
      if (isolateMovable(task, pfn as Pfn)) folios.push(pfn as Pfn);
    }
    const failed = migratePages(task, folios, 'sync');
    if (failed < 0) return failed;
    moved += folios.length - failed;
  }
  return moved;
}

/** isolate_migratepages_block(): one frame, whatever it is at the moment. */
function isolateMovable(task: Task, pfn: Pfn): Sim<boolean> {
  const { heap } = task;
  if ((readOncePageFlags(heap, pfn) & PG_lru) === 0) return false;
  if (!isolateFolio(task, pfn)) return false;
  // Of an anonymous page, references beyond ours and the mappings: pinned, or in use by somebody who would make the migration fail.
  if (!mappingIsAnon(readOncePageMapping(heap, pfn))) return true;
  if (readOncePageRefcount(heap, pfn) - 1 <= readOncePageMapcount(heap, pfn)) return true;
  putbackFolio(task, pfn);
  return false;
}
