/**
 * The mmap lock and the VMA lock, seen by who takes them: no read recursion (38), no waiting for the mmap lock with a VMA
 * read-locked (43), a read-locked VMA stays as it is (42), write_protect_seq is even when the mmap lock goes (21).
 *
 * Everything is a fact of the task that calls, so each reading is exact.
 */

import { slabIsAllocated } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import type { CheckHook } from '../cpu/hooks.ts';
import type { Task } from '../cpu/task.ts';
import type { MmPtr, VmaPtr } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { VMA } from '../layout/vma.ts';
import { describeMm, describeVma } from './describe.ts';
import { vmaSnapshot, type TaskRecord, type VmaSnapshot } from './taskRecord.ts';
import { simple, type Count, type ViolationSink } from './violation.ts';

/** Bit of the VMA lock's count with which a writer keeps readers out. */
const READERS_EXCLUDED = 1 << 30;
/** The count of an attached VMA with one reader. */
const ATTACHED_AND_READ = 2;

type MapLockHooks = Pick<CheckHook, 'mmapLockWait' | 'mmapLocked' | 'mmapUnlock' | 'vmaReadLocked' | 'vmaReadUnlock'>;

/** Hooks of the two locks. They also keep the record of who holds them. */
export function mapLockHooks(recordOf: (id: number) => TaskRecord, sink: ViolationSink, count: Count): MapLockHooks {
  return {
    mmapLockWait(task, mm) {
      count('mmap-lock-wait');
      checkWait(task, mm, recordOf(task.id), sink);
    },
    mmapLocked(task, mm, write) {
      recordOf(task.id).mmapLocks.set(mm, write);
    },
    mmapUnlock(task, mm, downgrade) {
      count('mmap-unlock');
      checkUnlock(task, mm, recordOf(task.id), sink);
      if (downgrade) recordOf(task.id).mmapLocks.set(mm, false);
      else recordOf(task.id).mmapLocks.delete(mm);
    },
    vmaReadLocked(task, vma) {
      recordOf(task.id).vmaLocks.set(vma, vmaSnapshot(task.heap, vma));
    },
    vmaReadUnlock(task, vma) {
      const { vmaLocks } = recordOf(task.id);
      const locked = vmaLocks.get(vma);
      if (locked === undefined) return;
      count('vma-read-locked');
      checkStable(task, vma, locked, sink);
      vmaLocks.delete(vma);
    },
  };
}

/** Invariants 38 and 43: whoever waits for an mmap lock holds neither that one nor any VMA's read lock. */
function checkWait(task: Task, mm: MmPtr, { mmapLocks, vmaLocks }: TaskRecord, sink: ViolationSink): void {
  const held = mmapLocks.get(mm);
  if (held !== undefined) {
    const how = held ? 'write' : 'read';
    const title = `the mmap lock of ${describeMm(task.heap, mm)} is waited for by a task that holds it for ${how}`;
    sink(simple('lock-recursion', title, `mmap lock recursion, held for ${how}`));
  }
  for (const vma of vmaLocks.keys()) {
    sink({
      ...simple(
        'lock-order',
        `the mmap lock of ${describeMm(task.heap, mm)} is waited for with a VMA read-locked: a writer may wait for this reader`,
        'mmap lock waited for under a VMA read lock',
      ),
      evidence: [describeVma(task.heap, vma)],
    });
  }
}

/** Invariant 21 at its end: the write lock covers the whole time in which the number is odd. */
function checkUnlock({ heap }: Task, mm: MmPtr, { mmapLocks }: TaskRecord, sink: ViolationSink): void {
  if (mmapLocks.get(mm) !== true || (Atomics.load(heap, mm + MM.writeProtectSeq) & 1) === 0) return;
  const title = `the mmap lock of ${describeMm(heap, mm)} is given up while write_protect_seq is odd`;
  sink(simple('lock-held', title, 'mmap write lock given up, write_protect_seq odd'));
}

/** Invariant 42, before the reader leaves: the VMA is what it was when the reader came. */
function checkStable({ heap }: Task, vma: VmaPtr, locked: VmaSnapshot, sink: ViolationSink): void {
  const wrong = (kind: Violation['kind'], what: string): void =>
    sink({
      ...simple(kind, `a VMA ${what} while it was read-locked`, `VMA ${what} under its read lock`),
      evidence: [`locked as [${locked.start}, ${locked.end}) pgoff ${locked.pgoff}`, `now ${describeVma(heap, vma)}`],
    });
  const now = vmaSnapshot(heap, vma);
  if (now.generation !== locked.generation || !slabIsAllocated(heap, vma)) {
    wrong('use-after-free', 'was freed');
    return;
  }
  const readers = Atomics.load(heap, vma + VMA.refcnt) & ~READERS_EXCLUDED;
  if (readers < ATTACHED_AND_READ) wrong('lock-held', 'was detached');
  if (now.start !== locked.start || now.end !== locked.end || now.pgoff !== locked.pgoff)
    wrong('lock-held', 'changed its range');
  if (now.flags !== locked.flags) wrong('lock-held', 'changed its flags');
  if (now.mm !== locked.mm) wrong('lock-held', 'changed its mm');
}
