/**
 * What the simulated kernel tells its observers. A hook that is off is null, and the only cost is the test for null.
 * Hooks are plain functions: for the explorer they are part of the step that calls them.
 *
 * Order at locks (as lockdep's): blocking acquire: hook, then the lock; trylock: hook on success only; release: hook,
 * then the lock; a killable acquire that fails: release hook after the failed wait.
 */

import type { LockClassId, MmPtr, Pfn, PteVal, PtePtr, VmaPtr, Vpn, PageTablePtr, AnonVmaPtr } from '../layout/ids.ts';
import type { Task } from './task.ts';

/** Read modes of lockdep: exclusive, reader that queues behind writers, recursive reader. */
export type ReadMode = 0 | 1 | 2;

/** How a lock is taken. */
export interface AcquireMode {
  readonly read: ReadMode;
  readonly trylock: boolean;
  /** Nesting level, 0..7 (SINGLE_DEPTH_NESTING is 1). */
  readonly subclass: number;
  /** Lock that serialises whoever takes several of this class, or 0 (nest_lock). */
  readonly nestLock: number;
}

export interface LockdepHook {
  /** About to wait for `lock` (or just got it by trylock). */
  acquire(task: Task, lock: number, cls: LockClassId, mode: AcquireMode): void;
  release(task: Task, lock: number): void;
  /** A write hold becomes a read hold. */
  downgrade(task: Task, lock: number): void;
  /** The task may sleep here: illegal under a spinlock or inside RCU. `what` names the sleeping operation. */
  mightSleep(task: Task, what: string): void;
  /** Memory [start, start + words) is freed: no lock inside may be held by the task. */
  freeRange(task: Task, start: number, words: number): void;
  /** The operation is over: nothing may be held. */
  returnToUser(task: Task): void;
}

/** Contention statistics of locks; called on slow paths and, when on, at every acquire and release. */
export interface LockStatsHook {
  acquired(task: Task, lock: number, cls: LockClassId, contended: boolean, waitNs: number): void;
  released(task: Task, lock: number, cls: LockClassId): void;
}

/**
 * What a write is about to change, named by who guards it; `at` is the object: a VMA, an anon_vma (its tree or its counters),
 * a page's frame number, a page table (one of its upper entries), an mm (its VMA tree).
 */
export type GuardedField =
  'vmaRange' | 'vmaFlags' | 'vmaAnonVma' | 'anonVma' | 'folioMapping' | 'tableEntry' | 'vmaTree';

/** Events of the mm for the detectors. `vpn` is the address concerned, `pte` the entry's place. */
export interface CheckHook {
  /** A page-table entry was read as a migration entry under its PTL. */
  migrationEntrySeen(task: Task, mm: MmPtr, vpn: Vpn, value: PteVal): void;
  /** `src` is about to be unlocked after its migration entries were removed (or put back). */
  migrationSourceUnlock(task: Task, src: Pfn): void;
  /** Contents of `src` are about to be copied to `dst` by migration. */
  migrationCopy(task: Task, src: Pfn, dst: Pfn): void;
  /** `dst` has contents, mapping and index of `src`; both are locked. */
  migrationCopied(task: Task, src: Pfn, dst: Pfn): void;
  /** An entry is about to change under its PTL (set_pte_at and kin). */
  pteSet(task: Task, mm: MmPtr, vpn: Vpn, pte: PtePtr, before: PteVal, after: PteVal): void;
  /** rmap of one mapping added (`delta` 1) or removed (-1); counts already changed. */
  rmapChanged(task: Task, pfn: Pfn, vma: VmaPtr, delta: number): void;
  /** The last reference is gone: the frame goes back to the allocator now. */
  pageFreed(task: Task, pfn: Pfn): void;
  /** A page table goes back to the allocator now. */
  tableFreed(task: Task, table: PageTablePtr): void;
  /** An anon_vma goes back to its cache now. */
  anonVmaFreed(task: Task, anonVma: AnonVmaPtr): void;
  /** A CPU loaded or stored a word of user memory through a translation; TLB lock held. */
  userAccess(task: Task, mm: MmPtr, vpn: Vpn, pte: PteVal, write: boolean, word: number, value: number): void;
  /** Pages were pinned (FOLL_PIN) or unpinned. */
  pinned(task: Task, mm: MmPtr, vpn: Vpn, pfn: Pfn): void;
  unpinned(task: Task, pfn: Pfn): void;
  /** End of fork's final flush of the parent, mmap_lock still held. */
  forkFlushed(task: Task, parent: MmPtr, child: MmPtr): void;
  /** Entries moved from [from, from + nr) and flushed; both PTLs still held. */
  ptesMoved(task: Task, mm: MmPtr, from: Vpn, nr: number): void;
  /** write_protect_seq of the parent is odd, entries are about to be copied. */
  forkCopies(task: Task, parent: VmaPtr, child: VmaPtr): void;
  /** Entries (`whole`: tables) are about to move from one VMA to the other; the rmap lock is taken if it ever will be. */
  entriesMove(task: Task, from: VmaPtr, to: VmaPtr, whole: boolean): void;
  /** A field that others may look at is about to be written. */
  guardedWrite(task: Task, field: GuardedField, at: number): void;
  /** About to wait for the mmap lock; it was got (also by trylock); about to be dropped or, if `downgrade`, become a read hold. */
  mmapLockWait(task: Task, mm: MmPtr): void;
  mmapLocked(task: Task, mm: MmPtr, write: boolean): void;
  mmapUnlock(task: Task, mm: MmPtr, downgrade: boolean): void;
  /** A VMA's read lock was got; it is about to be dropped (also after a try that failed late: then it was never got). */
  vmaReadLocked(task: Task, vma: VmaPtr): void;
  vmaReadUnlock(task: Task, vma: VmaPtr): void;
}
