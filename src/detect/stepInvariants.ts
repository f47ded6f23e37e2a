/**
 * Invariants that hold between any two steps, not only where a hook looks: each is judged when a step has changed one of its
 * words, so an execution pays for what it touches.
 *
 *   counts      refcount >= mapcount >= 0 of every page: a mapping takes its reference first and drops it last
 *   entries     a present entry leads to a frame that is allocated: it is cleared before the frame is freed
 *   references  counts of an anon_vma, of the users of an mm and of the mm do not fall below zero
 */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated } from '../arena/slab.ts';
import type { Violation } from '../base/finding.ts';
import type { AccessObserver } from '../explore/observer.ts';
import type { SchedulerView } from '../explore/strategy.ts';
import type { ViolationSink } from '../explore/world.ts';
import { ACCESS, L, LOG_ENTRY, WRITING } from '../instrument/runtime.ts';
import { ANON_VMA } from '../layout/anonVma.ts';
import type { Pfn, PteVal } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { PAGE, nrFrames, pageAt, pfnAt } from '../layout/page.ts';
import { LEVEL_PTE, TABLE } from '../layout/pageTable.ts';
import { pteIsPresent, ptePfn } from '../layout/pte.ts';
import { objectMapOf, type ObjectMap } from './objects.ts';
import { Shadow } from './shadow.ts';
import { describeSite } from './site.ts';

/** Words that count references. */
const COUNTS: Readonly<Record<number, readonly number[]>> = {
  [CACHES.anonVma]: [ANON_VMA.refcount],
  [CACHES.mm]: [MM.users, MM.count],
};

type Found = Pick<Violation, 'kind' | 'title' | 'signature'>;

export class StepInvariants implements AccessObserver {
  private heap!: Heap;
  private sink!: ViolationSink;
  private objects!: ObjectMap;
  private shadow!: Shadow;
  /** Frames that this execution has allocated (true) or freed (false), by their struct page. */
  private readonly frames = new Map<number, boolean>();
  /** Struct pages that were free when the execution began. */
  private freeAtFirst: ReadonlySet<number> = new Set();
  private found = false;

  begin(_view: SchedulerView, heap: Heap, sink: ViolationSink): void {
    if (heap !== this.heap) {
      this.heap = heap;
      this.objects = objectMapOf(heap);
      this.shadow = new Shadow(heap);
      const pages = Array.from({ length: nrFrames(heap) }, (_, frame) => pageAt(heap, (frame + 1) as Pfn));
      this.freeAtFirst = new Set(pages.filter((page) => !slabIsAllocated(heap, page)));
    }
    this.sink = sink;
    this.shadow.clear();
    this.frames.clear();
    this.found = false;
  }

  ran(task: number, view: SchedulerView): void {
    const { words, used } = L;
    const { objectOf } = this.objects;
    for (let i = 0; i < used && !this.found; i += LOG_ENTRY.words) {
      const at = words[i + LOG_ENTRY.at];
      const kind = words[i + LOG_ENTRY.kind];
      const object = objectOf[at];
      if (object === 0 || ((1 << kind) & WRITING) === 0) continue;
      const cache = this.objects.cacheOf(object);
      if (kind === ACCESS.alloc || kind === ACCESS.free) {
        if (cache === CACHES.frame) this.frames.set(object, kind === ACCESS.alloc);
        continue;
      }
      if (kind === ACCESS.wake) continue;
      this.shadow.write(at, words[i + LOG_ENTRY.value]);
      const wrong = this.judge(cache, object, at);
      if (wrong === null) continue;
      this.found = true;
      const site = { task, step: view.firstStep + view.granted - words[i + LOG_ENTRY.budget], at, kind };
      this.sink({ ...wrong, evidence: [describeSite(this.heap, site)], accesses: [site] });
    }
  }

  /** What is wrong now that the word at `at` of an object was written. */
  private judge(cache: number, object: number, at: number): Found | null {
    if (cache === CACHES.frame)
      return at === object + PAGE.refcount || at === object + PAGE.mapcount ? this.judgePage(object) : null;
    if (cache === CACHES.pageTable) return at >= object + TABLE.entries ? this.judgeEntry(object, at) : null;
    if (COUNTS[cache]?.includes(at - object) && this.shadow.read(at) < 0) {
      return { kind: 'count-mismatch', title: 'a reference count fell below zero', signature: 'reference underflow' };
    }
    return null;
  }

  private judgePage(page: number): Found | null {
    const refcount = this.shadow.read(page + PAGE.refcount);
    const mapcount = this.shadow.read(page + PAGE.mapcount);
    if (mapcount >= 0 && refcount >= mapcount) return null;
    const title = `pfn ${pfnAt(this.heap, page)} has refcount ${refcount} and mapcount ${mapcount}`;
    return { kind: 'count-mismatch', title, signature: 'refcount below mapcount' };
  }

  private judgeEntry(table: number, at: number): Found | null {
    if (this.heap[table + TABLE.level] !== LEVEL_PTE) return null;
    const value = this.shadow.read(at) as PteVal;
    if (!pteIsPresent(value)) return null;
    const pfn = ptePfn(value);
    const page = pfn >= 1 && pfn <= nrFrames(this.heap) ? pageAt(this.heap, pfn) : 0;
    if (page !== 0 && (this.frames.get(page) ?? !this.freeAtFirst.has(page))) return null;
    return {
      kind: 'use-after-free',
      title: `an entry is set for pfn ${pfn}, which is free`,
      signature: 'entry for a free frame',
    };
  }
}
