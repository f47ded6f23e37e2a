/**
 * Locksets: each access to a field with the locks that its guard asks for (src/layout/guard.ts). A discipline, not an order:
 * it fires at the first access without the lock, whether or not anybody else was near.
 *
 * As in Eraser an object belongs to who allocated it until somebody else touches it; lockless looks at a recycled object do
 * not count. What the set-up has made is everybody's.
 *
 * Which locks are held is a matter of the program, not of memory: guards are checked under sequential consistency. They are
 * those of kernels whose anon_vma trees have one lock, the root's rwsem.
 */

import { CACHES, type CacheId } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { UsageError } from '../base/usageError.ts';
import type { AccessObserver } from '../explore/observer.ts';
import type { SchedulerView } from '../explore/strategy.ts';
import type { ViolationSink } from '../explore/world.ts';
import { ACCESS, L, LOG_ENTRY } from '../instrument/runtime.ts';
import { ADDRESS_SPACE } from '../layout/addressSpace.ts';
import { ANON_VMA, AVC } from '../layout/anonVma.ts';
import type { Demand, FieldGuard, Guard } from '../layout/guard.ts';
import { CLASS_MMAP_LOCK, CLASS_MM_ALL_LOCKS_MUTEX } from '../layout/lockClass.ts';
import { MM } from '../layout/mm.ts';
import { PAGE, PG_locked } from '../layout/page.ts';
import { LEVEL_PTE, TABLE, UPPER_ENTRY_GUARD } from '../layout/pageTable.ts';
import { TASK, taskAt } from '../layout/task.ts';
import type { TaskId } from '../layout/ids.ts';
import { VMA } from '../layout/vma.ts';
import { wordText } from '../layout/wordName.ts';
import { guardOf } from './fieldGuards.ts';
import { describeHeld, type Held, type HeldLocks } from './heldLocks.ts';
import { objectMapOf, type ObjectMap } from './objects.ts';
import { Shadow } from './shadow.ts';
import { KIND_TEXT, describeSite } from './site.ts';

const PLAIN_WRITES: readonly number[] = [ACCESS.write, ACCESS.writeOnce, ACCESS.release];
/** Kinds that leave a value in their word. */
const STORES: readonly number[] = [...PLAIN_WRITES, ACCESS.rmw, ACCESS.racyWrite];
const SHARED = 0;
/** Where an object counts its references. */
const REFERENCES: Readonly<Partial<Record<CacheId, number>>> = {
  [CACHES.frame]: PAGE.refcount,
  [CACHES.mm]: MM.count,
  [CACHES.addressSpace]: ADDRESS_SPACE.refcount,
};

export class LockGuards implements AccessObserver {
  private readonly locks: HeldLocks;
  private heap!: Heap;
  private sink!: ViolationSink;
  private objects!: ObjectMap;
  private shadow!: Shadow;
  /** Task + 1 that allocated an object which nobody else has touched; SHARED otherwise. */
  private owners = new Uint8Array(0);
  private owned: number[] = [];
  /** VMAs that each task has write-locked: by the mmap lock under which it did. */
  private readonly writeLocked = new Map<number, number>();
  /** Task + 1 that locked a folio, by its flag word. */
  private readonly lockers = new Map<number, number>();
  private found = false;

  /** @param locks the hook of all tasks */
  constructor(locks: HeldLocks) {
    this.locks = locks;
  }

  begin(_view: SchedulerView, heap: Heap, sink: ViolationSink): void {
    if (heap !== this.heap) {
      this.heap = heap;
      this.objects = objectMapOf(heap);
      this.shadow = new Shadow(heap);
      this.owners = new Uint8Array(heap.length);
    }
    this.sink = sink;
    this.shadow.clear();
    this.locks.clear();
    for (const object of this.owned) this.owners[object] = SHARED;
    this.owned.length = 0;
    this.writeLocked.clear();
    this.lockers.clear();
    this.found = false;
  }

  ran(task: number, view: SchedulerView): void {
    const { words, used } = L;
    const { objectOf } = this.objects;
    const dropped = (lock: number): void => this.dropped(lock);
    for (let i = 0; i < used && !this.found; i += LOG_ENTRY.words) {
      this.locks.advance(task, i, dropped);
      const at = words[i + LOG_ENTRY.at];
      const kind = words[i + LOG_ENTRY.kind];
      if (kind === ACCESS.buffered) throw new UsageError('guards are checked under sequential consistency only');
      const object = objectOf[at];
      const step = view.firstStep + view.granted - words[i + LOG_ENTRY.budget];
      if (object !== 0) this.access(task, at, kind, object, step);
      if (STORES.includes(kind)) this.stored(task, at, object, words[i + LOG_ENTRY.value]);
    }
    this.locks.finish(task, dropped);
  }

  private access(task: number, at: number, kind: number, object: number, step: number): void {
    if (kind === ACCESS.alloc) {
      this.owners[object] = task + 1;
      this.owned.push(object);
      return;
    }
    const guard = this.guardAt(at, object);
    if (this.owners[object] !== SHARED) {
      if (this.owners[object] === task + 1) return;
      if (guard?.lockless === true && kind !== ACCESS.read && kind !== ACCESS.write) return;
      this.owners[object] = SHARED;
    }
    if (guard === undefined) return;
    const demand = kind === ACCESS.read ? guard.read : PLAIN_WRITES.includes(kind) ? guard.write : undefined;
    if (demand === undefined || this.isMet(demand, task, object)) return;
    this.found = true;
    const name = wordText(this.heap, at);
    this.sink({
      kind: 'lock-held',
      title: `${name} is ${kind === ACCESS.read ? 'read' : 'written'} without its lock`,
      signature: `lock-held ${name} ${KIND_TEXT[kind]}`,
      evidence: [
        describeSite(this.heap, { task, step, at, kind }),
        `guarded by ${describeDemand(demand)}`,
        `held: ${describeHeld(this.locks.of(task))}`,
      ],
      accesses: [{ task, step, at, kind }],
    });
  }

  private guardAt(at: number, object: number): FieldGuard | undefined {
    const cache = this.objects.cacheOf(object);
    const offset = at - object;
    if (cache === CACHES.pageTable && offset >= TABLE.entries && this.shadow.read(object + TABLE.level) !== LEVEL_PTE) {
      return UPPER_ENTRY_GUARD;
    }
    return guardOf(cache, offset);
  }

  private isMet(demand: Demand, task: number, object: number): boolean {
    return demand.some((all) => all.every((guard) => this.isHeld(guard, task, object)));
  }

  private isHeld(guard: Guard, task: number, object: number): boolean {
    const held = this.locks.of(task);
    switch (guard) {
      case 'mmap read':
        return holds(held, this.mmOf(object) + MM.mmapLock, false);
      case 'mmap write':
        return holds(held, this.mmOf(object) + MM.mmapLock, true);
      case 'any mmap':
        return held.some(({ cls }) => cls === CLASS_MMAP_LOCK);
      case 'VMA read':
        return holds(held, object + VMA.refcnt, false) || this.writeLocked.has(object);
      case 'VMA write':
        return this.writeLocked.has(object) || this.shadow.read(object + VMA.refcnt) === 0;
      case 'VMA detached':
        return this.shadow.read(this.vmaOf(object) + VMA.refcnt) === 0;
      case 'rmap read':
        return this.holdsRmap(held, object, false);
      case 'rmap write':
        return this.holdsRmap(held, object, true);
      case 'i_mmap read':
        return this.holdsObject(held, object, false);
      case 'i_mmap write':
        return this.holdsObject(held, object, true);
      case 'empty tree':
        return this.shadow.read(object + ANON_VMA.rbRoot) === 0;
      case 'page_table_lock':
        return holds(held, this.mmOf(object) + MM.pageTableLock, true);
      case 'own lock':
        return holds(held, object + TABLE.lock, true);
      case 'folio lock':
        return this.holdsFolio(task, object);
      case 'no reference':
        return this.shadow.read(object + REFERENCES[this.objects.cacheOf(object)]!) === 0;
      case 'mm_all_locks_mutex':
        return held.some(({ cls }) => cls === CLASS_MM_ALL_LOCKS_MUTEX);
      case 'RCU':
        return this.shadow.read(taskAt(this.heap, (task + 1) as TaskId) + TASK.rcuNesting) > 0;
    }
  }

  private holdsRmap(held: readonly Held[], object: number, write: boolean): boolean {
    const { shadow } = this;
    const cache = this.objects.cacheOf(object);
    if (cache !== CACHES.vma) {
      return this.holdsRoot(held, cache === CACHES.anonVmaChain ? shadow.read(object + AVC.anonVma) : object, write);
    }
    // Nobody can come to the VMA by a walk that it has no part in.
    const anonVma = shadow.read(object + VMA.anonVma);
    const root = anonVma === 0 ? write : this.holdsRoot(held, anonVma, write);
    const mapping = shadow.read(object + VMA.file) === 0 ? write : this.holdsObject(held, object, write);
    return write ? root && mapping : root || mapping;
  }

  private holdsRoot(held: readonly Held[], anonVma: number, write: boolean): boolean {
    return holds(held, this.shadow.read(anonVma + ANON_VMA.root) + ANON_VMA.rwsem, write);
  }

  /** The i_mmap_rwsem of the object itself, or of the one that a VMA maps. */
  private holdsObject(held: readonly Held[], object: number, write: boolean): boolean {
    const mapping = this.objects.cacheOf(object) === CACHES.vma ? this.shadow.read(object + VMA.file) : object;
    return mapping !== 0 && holds(held, mapping + ADDRESS_SPACE.iMmapRwsem, write);
  }

  /** By a bit the task took itself, that was taken for it by who unlocked, or that the set-up left locked. */
  private holdsFolio(task: number, page: number): boolean {
    const flags = page + PAGE.flags;
    const locker = this.lockers.get(flags);
    if (locker === task + 1) return true;
    if (locker === undefined) return (this.shadow.read(flags) & PG_locked) !== 0;
    return (this.heap[flags] & PG_locked) !== 0 && this.heap[page + PAGE.locker] === task + 1;
  }

  private vmaOf(object: number): number {
    return this.objects.cacheOf(object) === CACHES.anonVmaChain ? this.shadow.read(object + AVC.vma) : object;
  }

  private mmOf(object: number): number {
    const cache = this.objects.cacheOf(object);
    if (cache === CACHES.mm) return object;
    if (cache === CACHES.pageTable) return this.shadow.read(object + TABLE.mm);
    return this.shadow.read(this.vmaOf(object) + VMA.mm);
  }

  /** Follows the locks that are words of the mm: VMA write locks and folio locks. */
  private stored(task: number, at: number, object: number, value: number): void {
    const before = this.shadow.read(at);
    this.shadow.write(at, value);
    if (object === 0) return;
    const cache = this.objects.cacheOf(object);
    if (cache === CACHES.vma && at === object + VMA.lockSeq)
      this.writeLocked.set(object, this.mmOf(object) + MM.mmapLock);
    if (cache !== CACHES.frame || at !== object + PAGE.flags) return;
    if ((value & PG_locked) === 0) this.lockers.delete(at);
    else if ((before & PG_locked) === 0) this.lockers.set(at, task + 1);
  }

  /** VMA write locks end with the mmap lock under which they were taken, and with its downgrade. */
  private dropped(lock: number): void {
    for (const [vma, mmapLock] of this.writeLocked) if (mmapLock === lock) this.writeLocked.delete(vma);
  }
}

function holds(held: readonly Held[], lock: number, write: boolean): boolean {
  return held.some((one) => one.lock === lock && !(write && one.read));
}

function describeDemand(demand: Demand): string {
  if (demand.length === 0) return 'nothing: it never changes once the object is published';
  return demand.map((all) => all.join(' + ')).join(', or ');
}
