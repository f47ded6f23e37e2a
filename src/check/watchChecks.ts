/** What the hooks of watch.ts look at, one function per invariant; each says which locks make its reading exact. */

import { CACHES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { POISON, slabIsAllocated, slabObjects } from '../arena/slab.ts';
import { ANON_VMA } from '../layout/anonVma.ts';
import {
  NO_ADDRESS_SPACE,
  type AnonVmaPtr,
  type MmPtr,
  type PageTablePtr,
  type Pfn,
  type PteVal,
  type Vpn,
} from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { PAGE, PG_anonExclusive, PG_locked, mappingAnonVma, nrFrames, pageAt, zeroPfn } from '../layout/page.ts';
import { ENTRIES_PER_TABLE, LEVEL_PTE, TABLE } from '../layout/pageTable.ts';
import { pteIsMigration, pteIsPresent, pteIsReadableMigration, pteIsWritable, ptePfn } from '../layout/pte.ts';
import { TLB_ENTRY } from '../layout/tlb.ts';
import { describeMm, describePage, describePlace, describePte, placeOf } from './describe.ts';
import { tableOf } from './entryChanges.ts';
import { danglingEntry } from './migrationEntries.ts';
import { forEachTranslation, objectOfPage } from './view.ts';
import { simple, type ViolationSink } from './violation.ts';

/** Looks at two counters that change while one looks. */
const COUNT_LOOKS = 8;

/** Invariant 8, under the PTL: whoever finds a migration entry finds its source locked (the remover needs this PTL). */
export function checkEntryLocked(heap: Heap, mm: MmPtr, vpn: Vpn, value: PteVal, sink: ViolationSink): void {
  const pfn = ptePfn(value);
  const known = pfn >= 1 && pfn <= nrFrames(heap);
  if (known && (Atomics.load(heap, pageAt(heap, pfn) + PAGE.flags) & PG_locked) !== 0) return;
  sink(danglingEntry(heap, mm, vpn, value, 'its source is not locked'));
}

/**
 * Invariant 9, the main detector: at the unlock of a migration source no table anywhere holds an entry for it. The source is
 * still locked, so nobody can make new ones; every table is scanned, whoever owns it.
 */
export function checkNoEntryFor(heap: Heap, src: Pfn, sink: ViolationSink): void {
  for (const at of migrationEntriesOf(heap, src)) {
    const table = tableOf(heap, at);
    const vpn = (heap[table + TABLE.base] + (at - table - TABLE.entries)) as Vpn;
    const value = heap[at] as PteVal;
    sink(danglingEntry(heap, heap[table + TABLE.mm] as MmPtr, vpn, value, 'migration unlocks its source now'));
  }
}

/**
 * Invariant 18 at the copy of an anonymous page: a writable or readable-exclusive entry for `src` is its only entry. The source is locked and
 * unmapped; fork turns such an entry into a readable one before it makes the second. Entries may be copied and moved while
 * the tables are scanned, so only those count that are still there when all have been seen.
 * @returns number of its entries
 */
export function checkEntriesOf(heap: Heap, src: Pfn, sink: ViolationSink): number {
  const seen = migrationEntriesOf(heap, src).map((at) => Atomics.load(heap, at) as PteVal);
  const entries = seen.filter((value) => ptePfn(value) === src && pteIsMigration(value));
  const exclusive = entries.filter((value) => !pteIsReadableMigration(value)).length;
  if (exclusive > 0 && entries.length > 1 && objectOfPage(heap, src) === NO_ADDRESS_SPACE) {
    sink({
      ...simple(
        'exclusive',
        `pfn ${src} has ${entries.length} migration entries, and ${exclusive} of them claim it alone`,
        'exclusive entry beside another',
      ),
      evidence: [describePage(heap, src)],
    });
  }
  return entries.length;
}

/** Places of the entries for `src`, in whatever table. */
function migrationEntriesOf(heap: Heap, src: Pfn): number[] {
  const places: number[] = [];
  for (const table of slabObjects(heap, CACHES.pageTable)) {
    if (!slabIsAllocated(heap, table) || heap[table + TABLE.level] !== LEVEL_PTE) continue;
    for (let at = table + TABLE.entries; at < table + TABLE.entries + ENTRIES_PER_TABLE; at++) {
      const value = Atomics.load(heap, at) as PteVal;
      if (value === 0 || value === POISON || ptePfn(value) !== src || !pteIsMigration(value)) continue;
      places.push(at);
    }
  }
  return places;
}

/** Invariant 11 at the copy: nothing maps the source, so only the migration's reference keeps its anon_vma. */
export function checkAnonVmaPinned(heap: Heap, src: Pfn, sink: ViolationSink): void {
  const anonVma = mappingAnonVma(Atomics.load(heap, pageAt(heap, src) + PAGE.mapping));
  if (anonVma === 0 || (slabIsAllocated(heap, anonVma) && Atomics.load(heap, anonVma + ANON_VMA.refcount) > 0)) return;
  sink({
    ...simple(
      'use-after-free',
      `the anon_vma of pfn ${src} is gone while migration needs it to find the way back`,
      'anon_vma not pinned by migration',
    ),
    evidence: [describePage(heap, src)],
  });
}

/** Invariant 33: what goes back to the cache has no VMA in its tree, no active VMA and no reference. */
export function checkAnonVmaFreed(heap: Heap, anonVma: AnonVmaPtr, sink: ViolationSink): void {
  const wrong = (what: string, signature: string): void =>
    sink(simple('use-after-free', `an anon_vma is freed while ${what}`, signature));
  if (heap[anonVma + ANON_VMA.rbRoot] !== 0) wrong('VMAs are still in its tree', 'anon_vma freed with a tree');
  if (heap[anonVma + ANON_VMA.numActiveVmas] !== 0) wrong('VMAs still use it', 'anon_vma freed with active VMAs');
  if (Atomics.load(heap, anonVma + ANON_VMA.refcount) !== 0)
    wrong('references are held', 'anon_vma freed with references');
}

/** Invariants 12 and 45: no CPU may translate to `pfn` any more. `event` says what happens to the page now. */
export function checkNotCached(heap: Heap, pfn: Pfn, event: string, sink: ViolationSink): void {
  forEachTranslation(heap, (cpu, slot) => {
    const pte = heap[slot + TLB_ENTRY.pte] as PteVal;
    if (ptePfn(pte) !== pfn) return;
    sink({
      kind: 'stale-tlb',
      title: `CPU ${cpu} still translates virtual page ${heap[slot + TLB_ENTRY.vpn]} to pfn ${pfn}, and ${event}`,
      signature: `stale TLB entry: ${event}`,
      evidence: [`TLB: ${describePte(pte)}`, describePage(heap, pfn)],
    });
  });
}

/** Invariant 14, under the PTL: a writable entry of an anonymous page needs PG_anon_exclusive. */
export function checkPteSet(heap: Heap, mm: MmPtr, vpn: Vpn, after: PteVal, sink: ViolationSink): void {
  if (!pteIsPresent(after)) return;
  const pfn = ptePfn(after);
  const place = describePlace.bind(null, heap, mm, vpn);
  if (pfn < 1 || pfn > nrFrames(heap)) {
    sink(simple('page-table', `${place()} gets an entry for a frame that does not exist`, 'entry for no frame'));
    return;
  }
  if (!slabIsAllocated(heap, pageAt(heap, pfn))) {
    sink(simple('use-after-free', `${place()} gets an entry for pfn ${pfn}, which is free`, 'entry for a free frame'));
  }
  if (!pteIsWritable(after)) return;
  if ((Atomics.load(heap, pageAt(heap, pfn) + PAGE.flags) & PG_anonExclusive) !== 0) return;
  if (objectOfPage(heap, pfn) !== NO_ADDRESS_SPACE) return;
  sink({
    ...simple(
      'exclusive',
      `${place()} becomes writable, but the page is not anon-exclusive`,
      'writable entry of a shared page',
    ),
    evidence: [describePage(heap, pfn)],
  });
}

/**
 * Invariant 3: refcount >= mapcount >= 0 at every change. The two are read one after the other while other CPUs map and
 * unmap the page, so only what holds at several looks is a finding.
 */
export function checkRmapCounts(heap: Heap, pfn: Pfn, sink: ViolationSink): void {
  const page = pageAt(heap, pfn);
  const wrong = (title: string, signature: string): void =>
    sink({ ...simple('count-mismatch', title, signature), evidence: [describePage(heap, pfn)] });
  if (pfn === zeroPfn(heap)) wrong('the zero page took part in rmap accounting', 'zero page in rmap');
  if (Atomics.load(heap, page + PAGE.mapcount) < 0)
    wrong(`mapcount of pfn ${pfn} fell below zero`, 'mapcount underflow');
  for (let look = 0; look < COUNT_LOOKS; look++) {
    const mapcount = Atomics.load(heap, page + PAGE.mapcount);
    // Afterwards: an unmap lowers the mapcount before it drops its reference.
    if (Atomics.load(heap, page + PAGE.refcount) >= mapcount) return;
  }
  wrong(`pfn ${pfn} has more mappings than references`, 'refcount below mapcount');
}

/** A frame goes back to the allocator: nothing may map it, it may not be locked, and it may be in no object. */
export function checkPageFreed(heap: Heap, pfn: Pfn, sink: ViolationSink): void {
  const page = pageAt(heap, pfn);
  const wrong = (what: string): void =>
    sink({
      ...simple('use-after-free', `pfn ${pfn} is freed while ${what}`, `page freed while ${what}`),
      evidence: [describePage(heap, pfn)],
    });
  if (Atomics.load(heap, page + PAGE.mapcount) !== 0) wrong('it is mapped');
  if ((Atomics.load(heap, page + PAGE.flags) & PG_locked) !== 0) wrong('it is locked');
  if (objectOfPage(heap, pfn) !== NO_ADDRESS_SPACE) wrong('its object has it');
}

/** Invariant 41: a pte table goes back to the allocator: every entry must be none. */
export function checkTableFreed(heap: Heap, table: PageTablePtr, sink: ViolationSink): void {
  if (heap[table + TABLE.level] !== LEVEL_PTE) return;
  for (let at = table + TABLE.entries; at < table + TABLE.entries + ENTRIES_PER_TABLE; at++) {
    if (Atomics.load(heap, at) === 0) continue;
    sink({
      ...simple('page-table', 'a page table is freed while it still holds entries', 'page table freed with entries'),
      evidence: [describePte(heap[at] as PteVal)],
    });
    return;
  }
}

/** Invariant 45 at the access itself: the frame a CPU reaches through its TLB is allocated. TLB lock held. */
export function checkUserAccess(heap: Heap, pte: PteVal, write: boolean, sink: ViolationSink): void {
  const pfn = ptePfn(pte);
  if (pfn >= 1 && pfn <= nrFrames(heap) && slabIsAllocated(heap, pageAt(heap, pfn))) return;
  const verb = write ? 'writes to' : 'reads from';
  sink(simple('stale-tlb', `a CPU ${verb} pfn ${pfn}, which is free, through its TLB`, `user ${verb} a free frame`));
}

/** Invariant 46: after fork's final flush no CPU has a writable translation of the parent to a page that is not exclusive. */
export function checkForkFlushed(heap: Heap, parent: MmPtr, sink: ViolationSink): void {
  const asid = heap[parent + MM.asid];
  forEachTranslation(heap, (cpu, slot) => {
    const pte = Atomics.load(heap, slot + TLB_ENTRY.pte) as PteVal;
    if (Atomics.load(heap, slot + TLB_ENTRY.asid) !== asid || !pteIsWritable(pte)) return;
    const pfn = ptePfn(pte);
    if ((Atomics.load(heap, pageAt(heap, pfn) + PAGE.flags) & PG_anonExclusive) !== 0) return;
    if (objectOfPage(heap, pfn) !== NO_ADDRESS_SPACE) return;
    if (heap[slot + TLB_ENTRY.asid] !== asid || heap[slot + TLB_ENTRY.pte] !== pte) return;
    sink({
      ...simple(
        'stale-tlb',
        `CPU ${cpu} can still write pfn ${pfn} of ${describeMm(heap, parent)} after fork shared it`,
        'writable TLB entry after fork',
      ),
      evidence: [describePage(heap, pfn)],
    });
  });
}

/**
 * Invariant 47: both PTLs held, the old range was flushed: no CPU translates it any more. Slots are refilled meanwhile, so the
 * owner is looked at again after the address: an address that came with another owner is none of ours.
 *
 * While somebody has cleared entries of the mm and not flushed them yet (tlb_flush_pending), a translation may be his: its
 * page did not move. MADV_DONTNEED flushes after it has dropped the VMA's lock, so mremap may come in between.
 */
export function checkMoved(heap: Heap, mm: MmPtr, from: Vpn, nr: number, sink: ViolationSink): void {
  const asid = heap[mm + MM.asid];
  forEachTranslation(heap, (cpu, slot) => {
    if (heap[slot + TLB_ENTRY.asid] !== asid) return;
    const vpn = Atomics.load(heap, slot + TLB_ENTRY.vpn);
    if (vpn < from || vpn >= from + nr || Atomics.load(heap, slot + TLB_ENTRY.asid) !== asid) return;
    if (Atomics.load(heap, mm + MM.tlbFlushPending) !== 0) return;
    // The flush may have come between the look at the slot and the look at the count.
    if (Atomics.load(heap, slot + TLB_ENTRY.asid) !== asid || Atomics.load(heap, slot + TLB_ENTRY.vpn) !== vpn) return;
    sink({
      ...simple(
        'stale-tlb',
        `CPU ${cpu} still translates ${describePlace(heap, mm, vpn as Vpn)}, whose entry moved away`,
        'TLB entry of a moved page',
      ),
      place: placeOf(heap, mm, vpn as Vpn),
    });
  });
}

/** Invariant 13: what leads rmap walks to a page leads them to its copy. Both are locked: nobody changes either. */
export function checkCopied(heap: Heap, src: Pfn, dst: Pfn, sink: ViolationSink): void {
  const wrong = (what: string): void =>
    sink({
      ...simple(
        'rmap-miss',
        `the copy of pfn ${src}, pfn ${dst}, has another ${what}`,
        `migrated page: another ${what}`,
      ),
      evidence: [describePage(heap, src), describePage(heap, dst)],
    });
  const [from, to] = [pageAt(heap, src), pageAt(heap, dst)];
  if (Atomics.load(heap, from + PAGE.mapping) !== Atomics.load(heap, to + PAGE.mapping)) wrong('mapping');
  if (heap[from + PAGE.index] !== heap[to + PAGE.index]) wrong('index');
}
