/**
 * The detectors that hold at all times: the hooks of the mm, each with the locks that make its reading exact. They keep
 * nothing of the mm's opinion: what they need (pins) they count themselves, the rest they read from the layouts.
 */

import type { CheckHook } from '../cpu/hooks.ts';
import { NO_ADDRESS_SPACE } from '../layout/ids.ts';
import { PAGE, PG_anonExclusive, pageAt, zeroPfn } from '../layout/page.ts';
import { checkEqualChains } from './anonVmaState.ts';
import { describePage, describePlace } from './describe.ts';
import { checkAllShown, checkFill, checkPtl, followEntry, followMapcount } from './entryChanges.ts';
import { checkForkCopies, checkGuards } from './fieldGuards.ts';
import { countPin } from './ledger.ts';
import { mapLockHooks } from './mapLocks.ts';
import { createTaskRecords, type TaskRecord } from './taskRecord.ts';
import { onceEach, simple, type Count, type ViolationSink } from './violation.ts';
import { checkForkOrder, checkMoveOrder } from './visitOrder.ts';
import { objectOfPage } from './view.ts';
import {
  checkAnonVmaFreed,
  checkAnonVmaPinned,
  checkCopied,
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
} from './watchChecks.ts';

/** Counts of what was checked, by name, for the report. */
export type CheckCounts = Record<string, number>;

/** The hooks of one CPU. `counts` grows while it runs. */
export function createChecker(sink: ViolationSink, counts: CheckCounts): CheckHook {
  const count = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const recordOf = createTaskRecords();
  const mapLocks = mapLockHooks(recordOf, sink, count);
  return {
    ...migrationHooks(sink, count),
    ...entryHooks(recordOf, sink, count),
    ...freeHooks(sink, count),
    ...userHooks(sink, count),
    ...guardHooks(recordOf, sink, count),
    ...mapLocks,
    mmapLockWait(task, mm) {
      mapLocks.mmapLockWait(task, mm);
      checkAllShown(task.heap, recordOf(task.id), sink);
    },
  };
}

type RecordOf = (id: number) => TaskRecord;

function migrationHooks(
  sink: ViolationSink,
  count: Count,
): Pick<CheckHook, 'migrationEntrySeen' | 'migrationSourceUnlock' | 'migrationCopy' | 'migrationCopied'> {
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
    migrationCopied(task, src, dst) {
      count('migration-copied');
      checkCopied(task.heap, src, dst, sink);
    },
  };
}

function entryHooks(recordOf: RecordOf, sink: ViolationSink, count: Count): Pick<CheckHook, 'pteSet' | 'rmapChanged'> {
  const once = onceEach(sink);
  return {
    pteSet(task, mm, vpn, pte, before, after) {
      const { heap } = task;
      const record = recordOf(task.id);
      count('pte-set');
      checkPteSet(heap, mm, vpn, after, sink);
      checkPtl(task, mm, vpn, pte, once);
      checkFill(task, mm, vpn, pte, before, after, record, once);
      followEntry(heap, before, after, record, sink);
    },
    rmapChanged(task, pfn, _vma, delta) {
      count('rmap-counts');
      checkRmapCounts(task.heap, pfn, sink);
      followMapcount(task.heap, pfn, delta, recordOf(task.id), sink);
    },
  };
}

function guardHooks(
  recordOf: RecordOf,
  sink: ViolationSink,
  count: Count,
): Pick<CheckHook, 'guardedWrite' | 'forkCopies' | 'entriesMove'> {
  const once = onceEach(sink);
  return {
    guardedWrite(task, field, at) {
      count('guarded-writes');
      checkGuards(task, field, at, recordOf(task.id), once);
    },
    forkCopies(task, parent, child) {
      count('fork-order');
      checkForkCopies(task, parent, once);
      checkForkOrder(task, parent, child, sink);
    },
    entriesMove(task, from, to, whole) {
      count('move-order');
      checkMoveOrder(task, from, to, whole, once);
    },
  };
}

function freeHooks(sink: ViolationSink, count: Count): Pick<CheckHook, 'pageFreed' | 'tableFreed' | 'anonVmaFreed'> {
  return {
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
      const isAnon = pfn !== zeroPfn(task.heap) && objectOfPage(task.heap, pfn) === NO_ADDRESS_SPACE;
      if (isAnon && (task.heap[pageAt(task.heap, pfn) + PAGE.flags] & PG_anonExclusive) === 0) {
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
