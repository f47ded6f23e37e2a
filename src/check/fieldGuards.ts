/**
 * Invariant 39: each write of a field that others look at is made under the locks that guard it (the headers of src/layout say
 * which), and invariant 21: fork write-protects entries only with the mmap lock and the VMA held for write.
 *
 * A write is reported by the hook that stands before it, with the field's name; which locks it needs and whether the task
 * holds them is found here, from the lock words. They are exact for who asks about himself: an owner word that names a
 * task is written by that task alone. Only who holds the mmap lock for read comes from the record of its hooks.
 */

import type { Heap } from '../arena/heap.ts';
import type { GuardedField } from '../cpu/hooks.ts';
import type { Task } from '../cpu/task.ts';
import { ANON_VMA } from '../layout/anonVma.ts';
import type { MmPtr, PageTablePtr, Pfn, RwSemPtr, SpinLockPtr, VmaPtr } from '../layout/ids.ts';
import { spinLockOwner, rwSemWriter } from '../layout/lockWords.ts';
import { MM } from '../layout/mm.ts';
import { PAGE, PG_locked, folioLocker, pageAt } from '../layout/page.ts';
import { LEVEL_PMD, TABLE, tableLock } from '../layout/pageTable.ts';
import { VMA, peekVmaWriteLocked } from '../layout/vma.ts';
import { describeMm, describePage, describeVma } from './describe.ts';
import type { TaskRecord } from './taskRecord.ts';
import { simple, type ViolationSink } from './violation.ts';

const NO_ANON_VMA = 0;

/** Says which lock is missing for a write of `field` of the object at `at`. */
export function checkGuards(
  task: Task,
  field: GuardedField,
  at: number,
  record: TaskRecord,
  sink: ViolationSink,
): void {
  const missing = missingLock(task, field, at, record);
  if (missing === null) return;
  sink({
    ...simple(
      'lock-held',
      `${NAMES[field]} is written without ${missing}`,
      `${NAMES[field]} written without ${missing}`,
    ),
    evidence: describeObject(task.heap, field, at),
  });
}

/** Invariant 21 at its begin: the number is odd, the locks that make it so are held. */
export function checkForkCopies(task: Task, parent: VmaPtr, sink: ViolationSink): void {
  const { heap } = task;
  const mm = heap[parent + VMA.mm] as MmPtr;
  const wrong = (what: string): void => {
    const title = `fork copies entries of ${describeMm(heap, mm)} ${what}`;
    sink({ ...simple('lock-held', title, `fork copies entries ${what}`), evidence: [describeVma(heap, parent)] });
  };
  if ((Atomics.load(heap, mm + MM.writeProtectSeq) & 1) === 0) wrong('while write_protect_seq is even');
  if (!holdsMmapForWrite(task, mm)) wrong('without the mmap lock for write');
  if (!peekVmaWriteLocked(heap, parent)) wrong('without the VMA write-locked');
}

/** True if the task holds the lock of the anon_vma's tree for write: the root's rwsem, or a spinlock under the rules of 2010. */
export function holdsAnonVmaForWrite({ heap, id }: Task, anonVma: number): boolean {
  const root = heap[anonVma + ANON_VMA.root];
  return (
    rwSemWriter(heap, (root + ANON_VMA.rwsem) as RwSemPtr) === id ||
    spinLockOwner(heap, (root + ANON_VMA.lock) as SpinLockPtr) === id ||
    spinLockOwner(heap, (anonVma + ANON_VMA.lock) as SpinLockPtr) === id
  );
}

const NAMES: Readonly<Record<GuardedField, string>> = {
  vmaRange: 'the range of a VMA',
  vmaFlags: 'vm_flags',
  vmaAnonVma: 'vma->anon_vma',
  anonVma: 'an anon_vma',
  folioMapping: 'folio->mapping',
  tableEntry: 'an upper page-table entry',
  vmaTree: 'the VMA tree',
};

const MMAP_WRITE = 'the mmap lock for write';
const VMA_WRITE = 'the VMA lock for write';
const ANON_VMA_WRITE = 'the anon_vma lock for write';

function missingLock(task: Task, field: GuardedField, at: number, record: TaskRecord): string | null {
  switch (field) {
    case 'vmaRange':
      return missingForVma(task, at as VmaPtr) ?? (holdsRmapForWrite(task, at as VmaPtr) ? null : ANON_VMA_WRITE);
    case 'vmaFlags':
      return missingForVma(task, at as VmaPtr);
    case 'vmaAnonVma':
      return missingForAnonVmaPointer(task, at as VmaPtr, record);
    case 'anonVma':
      return holdsAnonVmaForWrite(task, at) ? null : ANON_VMA_WRITE;
    case 'folioMapping':
      return holdsFolioLock(task, at as Pfn) ? null : 'the folio lock';
    case 'tableEntry':
      return spinLockOwner(task.heap, upperEntryLock(task.heap, at as PageTablePtr)) === task.id
        ? null
        : "the lock of the entry's level";
    case 'vmaTree':
      return holdsMmapForWrite(task, at as MmPtr) ? null : MMAP_WRITE;
  }
}

/** What every field of a VMA in use needs. */
function missingForVma(task: Task, vma: VmaPtr): string | null {
  if (!holdsMmapForWrite(task, task.heap[vma + VMA.mm] as MmPtr)) return MMAP_WRITE;
  return peekVmaWriteLocked(task.heap, vma) ? null : VMA_WRITE;
}

/** Walks read the range under the lock of the VMA's own anon_vma, be it the root's or, under the rules of 2010, its own. */
function holdsRmapForWrite(task: Task, vma: VmaPtr): boolean {
  const anonVma = task.heap[vma + VMA.anonVma];
  return anonVma === NO_ANON_VMA || holdsAnonVmaForWrite(task, anonVma);
}

/** Cleared: under the anon_vma's lock. Set: by a fault under the page table lock, or by who has the VMA for himself. */
function missingForAnonVmaPointer(task: Task, vma: VmaPtr, { mmapLocks }: TaskRecord): string | null {
  const { heap, id } = task;
  const mm = heap[vma + VMA.mm] as MmPtr;
  const current = heap[vma + VMA.anonVma];
  if (current !== NO_ANON_VMA) return holdsAnonVmaForWrite(task, current) ? null : ANON_VMA_WRITE;
  if (!mmapLocks.has(mm)) return 'the mmap lock';
  const byFault = spinLockOwner(heap, (mm + MM.pageTableLock) as SpinLockPtr) === id;
  return byFault || missingForVma(task, vma) === null ? null : 'the page table lock';
}

function holdsMmapForWrite({ heap, id }: Task, mm: MmPtr): boolean {
  return rwSemWriter(heap, (mm + MM.mmapLock) as RwSemPtr) === id;
}

function holdsFolioLock({ heap, id }: Task, pfn: Pfn): boolean {
  return folioLocker(heap, pfn) === id && (Atomics.load(heap, pageAt(heap, pfn) + PAGE.flags) & PG_locked) !== 0;
}

/** Entries of a PMD table have the table's own lock, those above the mm's. */
function upperEntryLock(heap: Heap, table: PageTablePtr): SpinLockPtr {
  if (heap[table + TABLE.level] === LEVEL_PMD) return tableLock(table);
  return (heap[table + TABLE.mm] + MM.pageTableLock) as SpinLockPtr;
}

function describeObject(heap: Heap, field: GuardedField, at: number): string[] {
  switch (field) {
    case 'vmaRange':
    case 'vmaFlags':
    case 'vmaAnonVma':
      return [describeMm(heap, heap[at + VMA.mm] as MmPtr), describeVma(heap, at as VmaPtr)];
    case 'folioMapping':
      return [describePage(heap, at as Pfn)];
    case 'tableEntry':
      return [describeMm(heap, heap[at + TABLE.mm] as MmPtr)];
    case 'vmaTree':
      return [describeMm(heap, at as MmPtr)];
    case 'anonVma':
      return [];
  }
}
