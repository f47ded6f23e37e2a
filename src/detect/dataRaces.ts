/**
 * Data races as the kernel defines them: two accesses of one word by different tasks, at least one a write and at least one
 * plain, that happens-before does not order. Marked accesses never race with each other, and those in data_race() with none.
 *
 * The allocation of an object is a plain write of all of it, and so is its free: who reaches an object that it has no
 * order with races with the one or the other. Objects of type-safe caches may be looked at any time by marked accesses; frames
 * are such objects too.
 *
 * For each word touched the last access of each sort by each task is kept: its time and its step. Under store buffers the
 * order of the log is not that of the program's accesses; a program without races does nothing there that it does not do
 * without, so races are looked for under sequential consistency.
 */

import { CACHE, HEADER, HEADER_WORDS } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { AccessSite } from '../base/finding.ts';
import { UsageError } from '../base/usageError.ts';
import type { AccessObserver } from '../explore/observer.ts';
import type { SchedulerView } from '../explore/strategy.ts';
import type { ViolationSink } from '../explore/world.ts';
import { ACCESS, L, LOG_ENTRY } from '../instrument/runtime.ts';
import { nameWord, wordText } from '../layout/wordName.ts';
import { HappensBefore } from './happensBefore.ts';
import { objectMapOf, type ObjectMap } from './objects.ts';
import { KIND_TEXT, describeSite } from './site.ts';

/** Sorts of accesses, as rows of a word's record. */
const PLAIN_WRITE = 0;
const MARKED_WRITE = 1;
const PLAIN_READ = 2;
const MARKED_READ = 3;
const SORTS = 4;

/** Sort of each kind of access; -1: touches no data. Of an rmw only the store counts: it conflicts with whatever its load does. */
const SORT_OF: readonly number[] = Object.entries(ACCESS).reduce<number[]>((sorts, [name, kind]) => {
  const writes = ['writeOnce', 'release', 'rmw', 'lock', 'unlock', 'lockShared', 'unlockShared'].includes(name);
  const reads = ['readOnce', 'acquire', 'casFailed', 'park'].includes(name);
  sorts[kind] =
    name === 'read' ? PLAIN_READ : name === 'write' ? PLAIN_WRITE : writes ? MARKED_WRITE : reads ? MARKED_READ : -1;
  return sorts;
}, []);

/** Sorts that an access of a sort conflicts with. */
const CONFLICTS: readonly (readonly number[])[] = [
  [PLAIN_WRITE, MARKED_WRITE, PLAIN_READ, MARKED_READ],
  [PLAIN_WRITE, PLAIN_READ],
  [PLAIN_WRITE, MARKED_WRITE],
  [PLAIN_WRITE],
];
/** What the free of a type-safe object conflicts with; marked accesses may come at any time. */
const PLAIN_ONLY = [PLAIN_WRITE, PLAIN_READ];

/** The free lists of the slab caches: theirs is a lock of their own, which orders nothing else. */
function isFreeList(at: number): boolean {
  return at >= HEADER.caches && at < HEADER_WORDS && (at - HEADER.caches) % CACHE.words === CACHE.freeHead;
}

export class DataRaces implements AccessObserver {
  private heap!: Heap;
  private sink!: ViolationSink;
  private objects!: ObjectMap;
  private order!: HappensBefore;
  private tasks = 0;
  /** Place of a word's record, 0 none; an object's generation word stands for its allocation. */
  private slotOf = new Int32Array(0);
  /** Records: per sort and task the time of the last access, then likewise its step, then its kind. */
  private records = new Int32Array(0);
  private slots = 1;
  private touched: number[] = [];
  private found = false;

  begin(view: SchedulerView, heap: Heap, sink: ViolationSink): void {
    if (heap !== this.heap || view.tasks !== this.tasks) this.prepare(view, heap);
    this.sink = sink;
    this.order.clear();
    for (const at of this.touched) this.slotOf[at] = 0;
    this.touched.length = 0;
    this.slots = 1;
    this.found = false;
  }

  ran(task: number, view: SchedulerView): void {
    const { words, used } = L;
    const { order } = this;
    for (let i = 0; i < used && !this.found; i += LOG_ENTRY.words) {
      const at = words[i + LOG_ENTRY.at];
      const kind = words[i + LOG_ENTRY.kind];
      if (kind === ACCESS.buffered) throw new UsageError('data races are looked for under sequential consistency only');
      if (isFreeList(at)) continue;
      const step = view.firstStep + view.granted - words[i + LOG_ENTRY.budget];
      order.hear(task, at, kind);
      if (kind === ACCESS.free) this.free(task, at, step);
      const sort = SORT_OF[kind];
      if (sort >= 0) this.access(task, at, kind, sort, step);
      else if (kind === ACCESS.alloc) this.record(task, this.slot(at - 1), PLAIN_WRITE, kind, step);
      order.tell(task, at, kind);
    }
  }

  private prepare(view: SchedulerView, heap: Heap): void {
    this.heap = heap;
    this.tasks = view.tasks;
    this.objects = objectMapOf(heap);
    this.order = new HappensBefore(view.tasks, heap.length);
    this.slotOf = new Int32Array(heap.length);
    this.records = new Int32Array(256 * 3 * SORTS * view.tasks);
    this.touched = [];
  }

  private access(task: number, at: number, kind: number, sort: number, step: number): void {
    const { tasks, records } = this;
    const slot = this.slotOf[at] === 0 ? this.slot(at) : this.slotOf[at];
    const base = slot * 3 * SORTS * tasks;
    // The same sort of access at the same time of the task: what there was to say was said.
    if (records[base + sort * tasks + task] === this.order.now(task)) return;
    this.judge(task, at, slot, CONFLICTS[sort], kind, step);
    const object = this.objects.objectOf[at];
    if (object !== 0 && !this.found) {
      const allocation = this.slotOf[object - 1];
      const plain = sort === PLAIN_WRITE || sort === PLAIN_READ;
      if (allocation !== 0 && (plain || !this.objects.isTypesafe(object))) {
        this.judge(task, at, allocation, CONFLICTS[MARKED_READ], kind, step);
      }
    }
    this.record(task, slot, sort, kind, step);
  }

  /** An object is freed: everything done to it happens before, and is then forgotten. */
  private free(task: number, object: number, step: number): void {
    const typesafe = this.objects.isTypesafe(object);
    const conflicts = typesafe ? PLAIN_ONLY : CONFLICTS[PLAIN_WRITE];
    const { tasks, records, slotOf } = this;
    for (let at = object; at < this.objects.endOf(object); at++) {
      const slot = slotOf[at];
      if (slot === 0) continue;
      this.judge(task, at, slot, conflicts, ACCESS.free, step);
      if (this.found) return;
      for (const sort of conflicts) {
        const first = (slot * 3 * SORTS + sort) * tasks;
        records.fill(0, first, first + tasks);
      }
    }
  }

  private judge(
    task: number,
    at: number,
    slot: number,
    conflicts: readonly number[],
    kind: number,
    step: number,
  ): void {
    const { tasks, records, order } = this;
    const base = slot * 3 * SORTS * tasks;
    for (const sort of conflicts) {
      const row = base + sort * tasks;
      for (let other = 0; other < tasks; other++) {
        const time = records[row + other];
        if (time === 0 || other === task || order.knows(task, other, time)) continue;
        // A relaxed load brings nothing, but of its own word it sees what the value it reads came after.
        if ((kind === ACCESS.readOnce || kind === ACCESS.casFailed) && order.tells(at, other, time)) continue;
        const place = row + other + SORTS * tasks;
        this.report(
          { task: other, step: records[place], at, kind: records[place + SORTS * tasks] },
          { task, step, at, kind },
        );
        return;
      }
    }
  }

  private record(task: number, slot: number, sort: number, kind: number, step: number): void {
    const { tasks, records } = this;
    const place = (slot * 3 * SORTS + sort) * tasks + task;
    records[place] = this.order.now(task);
    records[place + SORTS * tasks] = step;
    records[place + 2 * SORTS * tasks] = kind;
  }

  /** The record of a word, a new one if it has none. */
  private slot(at: number): number {
    if (this.slotOf[at] !== 0) return this.slotOf[at];
    const slot = this.slots++;
    const words = 3 * SORTS * this.tasks;
    if ((slot + 1) * words > this.records.length) {
      const records = new Int32Array(this.records.length * 2);
      records.set(this.records);
      this.records = records;
    }
    this.records.fill(0, slot * words, (slot + 1) * words);
    this.slotOf[at] = slot;
    this.touched.push(at);
    return slot;
  }

  private report(first: AccessSite, second: AccessSite): void {
    this.found = true;
    const { heap } = this;
    const name = wordText(heap, second.at);
    const kinds = [KIND_TEXT[first.kind], KIND_TEXT[second.kind]];
    const { object, offset } = nameWord(heap, second.at);
    this.sink({
      kind: 'data-race',
      title: `data race on ${name}: ${kinds.join(' against ')}`,
      signature: `data-race ${name} ${[...kinds].sort().join(' / ')}`,
      evidence: [
        describeSite(heap, first),
        describeSite(heap, second),
        `word ${offset} of the object at ${object}; nothing orders the two`,
      ],
      accesses: [first, second],
    });
  }
}
