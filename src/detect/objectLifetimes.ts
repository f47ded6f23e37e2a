/**
 * Use after free, exactly: an access to a word of an object that is free at that step. Objects of type-safe caches stay
 * objects, and lockless lookups may touch those of their fields that the layouts call lockless, but no other.
 *
 * What was recycled meanwhile is an object in use again; who comes to it by an old pointer races with its allocation, which
 * is the race detector's.
 */

import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated } from '../arena/slab.ts';
import type { AccessObserver } from '../explore/observer.ts';
import type { SchedulerView } from '../explore/strategy.ts';
import type { ViolationSink } from '../explore/world.ts';
import { ACCESS, L, LOG_ENTRY } from '../instrument/runtime.ts';
import { nameWord } from '../layout/wordName.ts';
import { guardOf } from './fieldGuards.ts';
import { objectMapOf, type ObjectMap } from './objects.ts';
import { KIND_TEXT, describeSite } from './site.ts';

const IN_USE = 0;
const FREE = 1;

/** Who freed an object last, in this execution. */
interface Freed {
  readonly task: number;
  readonly step: number;
}

export class ObjectLifetimes implements AccessObserver {
  private heap!: Heap;
  private sink!: ViolationSink;
  private objects!: ObjectMap;
  /** State of each object, at its first word; as the set-up left it, and now. */
  private initial = new Uint8Array(0);
  private states = new Uint8Array(0);
  private changed: number[] = [];
  private readonly freed = new Map<number, Freed>();
  private found = false;

  begin(_view: SchedulerView, heap: Heap, sink: ViolationSink): void {
    if (heap !== this.heap) this.prepare(heap);
    this.sink = sink;
    for (const object of this.changed) this.states[object] = this.initial[object];
    this.changed.length = 0;
    this.freed.clear();
    this.found = false;
  }

  ran(task: number, view: SchedulerView): void {
    const { words, used } = L;
    const { objectOf } = this.objects;
    for (let i = 0; i < used && !this.found; i += LOG_ENTRY.words) {
      const at = words[i + LOG_ENTRY.at];
      const object = objectOf[at];
      if (object === 0) continue;
      const kind = words[i + LOG_ENTRY.kind];
      if (kind === ACCESS.alloc || kind === ACCESS.free) {
        if (kind === ACCESS.free && this.states[object] === FREE) {
          this.report(task, stepAt(view, words[i + LOG_ENTRY.budget]), at, kind, object);
        }
        this.states[object] = kind === ACCESS.free ? FREE : IN_USE;
        this.changed.push(object);
        if (kind === ACCESS.free) this.freed.set(object, { task, step: stepAt(view, words[i + LOG_ENTRY.budget]) });
      } else if (kind !== ACCESS.extent && this.states[object] === FREE && !this.mayTouch(object, at, kind)) {
        this.report(task, stepAt(view, words[i + LOG_ENTRY.budget]), at, kind, object);
      }
    }
  }

  private prepare(heap: Heap): void {
    this.heap = heap;
    this.objects = objectMapOf(heap);
    this.initial = new Uint8Array(heap.length);
    this.objects.objectOf.forEach((object, at) => {
      if (object === at && object !== 0 && !slabIsAllocated(heap, object)) this.initial[object] = FREE;
    });
    this.states = this.initial.slice();
    this.changed = [];
  }

  /** Lockless lookups look at the fields made for them by marked accesses. */
  private mayTouch(object: number, at: number, kind: number): boolean {
    if (!this.objects.isTypesafe(object) || kind === ACCESS.read || kind === ACCESS.write) return false;
    return guardOf(this.objects.cacheOf(object), at - object)?.lockless === true;
  }

  private report(task: number, step: number, at: number, kind: number, object: number): void {
    this.found = true;
    const { struct, field } = nameWord(this.heap, at);
    const name = `${struct}.${field}`;
    const site = { task, step, at, kind };
    const freed = this.freed.get(object);
    this.sink({
      kind: 'use-after-free',
      title: kind === ACCESS.free ? `double free of a ${struct}` : `use after free: ${KIND_TEXT[kind]} of ${name}`,
      signature: kind === ACCESS.free ? `double free ${struct}` : `use-after-free ${name} ${KIND_TEXT[kind]}`,
      evidence: [
        describeSite(this.heap, site),
        freed === undefined
          ? 'the object was never allocated'
          : `task ${freed.task + 1}, step ${freed.step}: it was freed`,
      ],
      accesses: freed === undefined ? [site] : [{ ...freed, at: object, kind: ACCESS.free }, site],
    });
  }
}

function stepAt({ firstStep, granted }: SchedulerView, budget: number): number {
  return firstStep + granted - budget;
}
