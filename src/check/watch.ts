/**
 * The detectors that hold at all times: the hooks of the mm, each with the locks that make its reading exact. They keep
 * nothing of the mm's opinion: what they need (pins) they count themselves, the rest they read from the layouts.
 */

import type { Violation } from '../base/finding.ts';
import type { CheckHook } from '../cpu/hooks.ts';
import { PAGE, PG_anonExclusive, pageAt, zeroPfn } from '../layout/page.ts';
import { checkEqualChains } from './anonVmaState.ts';
import { describePage, describePlace } from './describe.ts';
import { countPin } from './ledger.ts';
import {
  checkAnonVmaFreed,
  checkAnonVmaPinned,
  checkEntriesOf,
  checkEntryLocked,
  checkForkFlushed,
  checkMoved,
  checkNoEntryFor,
  checkNotCached,
  checkPageFreed,
  checkPteSet,
  checkRmapCounts,
  checkTableFreed,
  checkUserAccess,
  simple,
} from './watchChecks.ts';

/** Counts of what was checked, by name, for the report. */
export type CheckCounts = Record<string, number>;

/** Receives what a hook found, at the moment it is true. */
export type ViolationSink = (violation: Violation) => void;

/** The hooks of one CPU. `counts` grows while it runs. */
export function createChecker(sink: ViolationSink, counts: CheckCounts): CheckHook {
  const count = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  return { ...migrationHooks(sink, count), ...entryHooks(sink, count), ...userHooks(sink, count) };
}

type Count = (name: string) => void;

function migrationHooks(
  sink: ViolationSink,
  count: Count,
): Pick<CheckHook, 'migrationEntrySeen' | 'migrationSourceUnlock' | 'migrationCopy'> {
  return {
    migrationEntrySeen(task, mm, vpn, value) {
      count('entry-without-locked-folio');
      checkEntryLocked(task.heap, mm, vpn, value, sink);
    },
    migrationSourceUnlock(task, src) {
      count('entries-at-unlock');
      checkNoEntryFor(task.heap, src, sink);
    },
    migrationCopy(task, src) {
      count('tlb-at-migration-copy');
      checkNotCached(task.heap, src, 'its contents are copied by migration', sink);
      // A page that was unmapped before migration came has no entries, and its anon_vma may be gone.
      if (checkEntriesOf(task.heap, src, sink) > 0) checkAnonVmaPinned(task.heap, src, sink);
    },
  };
}

function entryHooks(
  sink: ViolationSink,
  count: Count,
): Pick<CheckHook, 'pteSet' | 'rmapChanged' | 'pageFreed' | 'tableFreed' | 'anonVmaFreed'> {
  return {
    pteSet(task, mm, vpn, _pte, _before, after) {
      count('pte-set');
      checkPteSet(task.heap, mm, vpn, after, sink);
    },
    rmapChanged(task, pfn) {
      count('rmap-counts');
      checkRmapCounts(task.heap, pfn, sink);
    },
    pageFreed(task, pfn) {
      count('page-freed');
      checkNotCached(task.heap, pfn, 'the page is freed', sink);
      checkPageFreed(task.heap, pfn, sink);
    },
    tableFreed(task, table) {
      count('table-freed');
      checkTableFreed(task.heap, table, sink);
    },
    anonVmaFreed(task, anonVma) {
      count('anon-vma-freed');
      checkAnonVmaFreed(task.heap, anonVma, sink);
    },
  };
}

function userHooks(
  sink: ViolationSink,
  count: Count,
): Pick<CheckHook, 'userAccess' | 'pinned' | 'unpinned' | 'forkFlushed' | 'ptesMoved'> {
  return {
    userAccess(task, _mm, _vpn, pte, write) {
      count('user-access');
      checkUserAccess(task.heap, pte, write, sink);
    },
    pinned(task, mm, vpn, pfn) {
      count('pins');
      countPin(task.heap, pfn, 1);
      if ((task.heap[pageAt(task.heap, pfn) + PAGE.flags] & PG_anonExclusive) === 0 && pfn !== zeroPfn(task.heap)) {
        sink({
          ...simple(
            'exclusive',
            `${describePlace(task.heap, mm, vpn)} is pinned, but not anon-exclusive`,
            'pin of a shared page',
          ),
          evidence: [describePage(task.heap, pfn)],
        });
      }
    },
    unpinned(task, pfn) {
      if (countPin(task.heap, pfn, -1) < 0)
        sink(simple('count-mismatch', `pfn ${pfn} is unpinned once too often`, 'unpin underflow'));
    },
    forkFlushed(task, parent, child) {
      count('fork-flush');
      checkForkFlushed(task.heap, parent, sink);
      for (const violation of checkEqualChains(task.heap, child)) sink(violation);
    },
    ptesMoved(task, mm, from, nr) {
      count('move-flush');
      checkMoved(task.heap, mm, from, nr, sink);
    },
  };
}
