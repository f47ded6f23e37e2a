/**
 * struct page / struct folio of a small page, anonymous or of an object, and the frame's contents behind it.
 *
 * Layout of a frame: the words of PAGE, then pageWords(heap) words of contents. Frames are objects of the slab cache
 * `frame`, so pfn n is the n-th object and has a generation. pfn 0 does not exist.
 *
 * Guards (mm_types.h, rmap.h): flags are atomic bits; refcount and mapcount are atomic; mapping and index are set by the
 * fault that creates the folio before its PTE is visible and change afterwards only under the folio lock.
 * Not modelled: large folios, memcg, lists of the LRU (only the PG_lru bit).
 */

import { fieldTable } from '../arena/fieldTable.ts';
import { CACHE, CACHES, HEADER, cacheAt, pageWords } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { fetchAdd, fetchAnd, fetchOr, load, readOnce, cas, racyStore, store, writeOnce } from '../arena/access.ts';
import type { Access } from '../base/sim.ts';
import type { FieldGuard, GuardTable } from './guard.ts';
import type { AddressSpacePtr, AnonVmaPtr, Pfn, StableNodePtr, TaskId } from './ids.ts';

export const PAGE = {
  flags: 0,
  refcount: 1,
  mapcount: 2,
  mapping: 3,
  index: 4,
  private: 5,
  /** Of a huge page: where the contents of all its pages but the first lie. */
  hugeContents: 6,
  /** Task that locked the folio, for reports only. */
  locker: 7,
} as const;
export const PAGE_STRUCT_WORDS = 8;
export const PAGE_TABLE_OF_FIELDS = fieldTable('page', PAGE, PAGE_STRUCT_WORDS);
/** Contents of the pages of a huge page behind the first: words without names. */
export const HUGE_CONTENTS_TABLE = fieldTable('huge_page_contents', { word: 0 }, 1);

const FOLIO: FieldGuard = { read: [['folio lock']], write: [['folio lock'], ['no reference']] };

/** Scans over frames and GUP-fast look at any frame. */
export const PAGE_GUARDS: GuardTable<typeof PAGE> = {
  flags: { lockless: true },
  refcount: { lockless: true },
  mapcount: { lockless: true },
  mapping: { write: [['folio lock'], ['no reference']], lockless: true },
  index: FOLIO,
  private: FOLIO,
};

/** Page flags. PG_waiters lies beside PG_locked so that one operation unlocks and tells whether somebody waits. */
export const PG_locked = 1 << 0;
export const PG_waiters = 1 << 1;
export const PG_anonExclusive = 1 << 2;
export const PG_lru = 1 << 3;
export const PG_uptodate = 1 << 4;
export const PG_dirty = 1 << 5;
export const PG_swapbacked = 1 << 6;
export const PG_reserved = 1 << 8;
/** A huge page of the hugetlb pool; the flags below are only its own. */
export const PG_hugetlb = 1 << 9;
/** Nobody isolated it: what PG_lru is to small pages (HPageMigratable). */
export const PG_hugetlbMigratable = 1 << 10;
/** Freeing it gives a reservation back (HPageRestoreReserve). */
export const PG_hugetlbRestoreReserve = 1 << 11;
/** Not of the pool: goes back to the page allocator when it is freed (HPageTemporary). */
export const PG_hugetlbTemporary = 1 << 12;

/**
 * Low bits of folio->mapping; the pointer stands above them, so that both change in one store as in the kernel.
 * 0 is no mapping at all.
 */
export const MAPPING_ANON = 1;
const MAPPING_KSM = 3;
const MAPPING_BITS = 2;
const MAPPING_MASK = (1 << MAPPING_BITS) - 1;

/** folio->mapping of an anonymous page. */
export function makeAnonMapping(anonVma: AnonVmaPtr): number {
  return (anonVma << MAPPING_BITS) | MAPPING_ANON;
}

/** The anon_vma in folio->mapping, or 0 when the page is not plain anonymous (none, KSM). */
export function mappingAnonVma(mapping: number): AnonVmaPtr {
  return ((mapping & MAPPING_MASK) === MAPPING_ANON ? mapping >>> MAPPING_BITS : 0) as AnonVmaPtr;
}

/** folio->mapping of a page of an object. */
export function makeFileMapping(mapping: AddressSpacePtr): number {
  return mapping << MAPPING_BITS;
}

/** The object in folio->mapping, or 0 when the page is anonymous or in no object (folio_mapping). */
export function mappingAddressSpace(mapping: number): AddressSpacePtr {
  return ((mapping & MAPPING_MASK) === 0 ? mapping >>> MAPPING_BITS : 0) as AddressSpacePtr;
}

/** True for anonymous pages, KSM pages included (folio_test_anon). */
export function mappingIsAnon(mapping: number): boolean {
  return (mapping & MAPPING_ANON) !== 0;
}

/** True for KSM pages. */
export function mappingIsKsm(mapping: number): boolean {
  return (mapping & MAPPING_MASK) === MAPPING_KSM;
}

/** folio->mapping of a KSM page; without a node (0) nothing leads from the page to its mappings. */
export function makeKsmMapping(node: StableNodePtr): number {
  return (node << MAPPING_BITS) | MAPPING_KSM;
}

/** The stable node in folio->mapping, or 0 when the page is no KSM page or has none. */
export function mappingStableNode(mapping: number): StableNodePtr {
  return (mappingIsKsm(mapping) ? mapping >>> MAPPING_BITS : 0) as StableNodePtr;
}

/** One FOLL_PIN counts as this many references (GUP_PIN_COUNTING_BIAS). */
export const GUP_PIN_COUNTING_BIAS = 1024;

/** Number of frames; valid pfns are 1 .. nrFrames. */
export function nrFrames(heap: Heap): number {
  return heap[cacheAt(CACHES.frame) + CACHE.count];
}

/** Address of a frame's struct page. Constant after boot. */
export function pageAt(heap: Heap, pfn: Pfn): number {
  return heap[cacheAt(CACHES.frame) + CACHE.base] + (pfn - 1) * heap[cacheAt(CACHES.frame) + CACHE.stride];
}

/** Frame whose struct page lies at `ptr`. */
export function pfnAt(heap: Heap, ptr: number): Pfn {
  return ((ptr - heap[cacheAt(CACHES.frame) + CACHE.base]) / heap[cacheAt(CACHES.frame) + CACHE.stride] + 1) as Pfn;
}

/** The shared zero page. */
export function zeroPfn(heap: Heap): Pfn {
  return heap[HEADER.zeroPfn] as Pfn;
}

/** Makes `pfn` the shared zero page. Boot only. */
export function setZeroPfn(heap: Heap, pfn: Pfn): Access<void> {
  store(heap, HEADER.zeroPfn, pfn);
}

/** Lockless look at all flags. */
export function readOncePageFlags(heap: Heap, pfn: Pfn): Access<number> {
  return readOnce(heap, pageAt(heap, pfn) + PAGE.flags);
}

/** Sets flag bits; returns the flags before. */
export function atomicSetPageFlags(heap: Heap, pfn: Pfn, bits: number): Access<number> {
  return fetchOr(heap, pageAt(heap, pfn) + PAGE.flags, bits);
}

/** Clears flag bits; returns the flags before. */
export function atomicClearPageFlags(heap: Heap, pfn: Pfn, bits: number): Access<number> {
  return fetchAnd(heap, pageAt(heap, pfn) + PAGE.flags, ~bits);
}

/**
 * Plain store of all flags: only for a frame that nobody else can reach yet or any more. Scans over frames look at the flags of
 * any frame, whoever owns it, and look again once they hold a reference; so the race is harmless.
 */
export function setPageFlags(heap: Heap, pfn: Pfn, flags: number): Access<void> {
  racyStore(heap, pageAt(heap, pfn) + PAGE.flags, flags);
}

/** Records who locked the folio, 0 for nobody. Observers only, hence no scheduling point. */
export function setFolioLocker(heap: Heap, pfn: Pfn, locker: number): void {
  heap[pageAt(heap, pfn) + PAGE.locker] = locker;
}

/** Task that holds the folio lock. Exact for the holder itself, a hint for everybody else. */
export function folioLocker(heap: Heap, pfn: Pfn): TaskId {
  return heap[pageAt(heap, pfn) + PAGE.locker] as TaskId;
}

/** page_ref_count(). */
export function readOncePageRefcount(heap: Heap, pfn: Pfn): Access<number> {
  return readOnce(heap, pageAt(heap, pfn) + PAGE.refcount);
}

/** set_page_count(): only for a frame that nobody else can reach. */
export function setPageRefcount(heap: Heap, pfn: Pfn, count: number): Access<void> {
  writeOnce(heap, pageAt(heap, pfn) + PAGE.refcount, count);
}

/** Adds to the reference count (negative to drop); returns the new count. */
export function atomicAddPageRefcount(heap: Heap, pfn: Pfn, delta: number): Access<number> {
  return fetchAdd(heap, pageAt(heap, pfn) + PAGE.refcount, delta) + delta;
}

/** One try of a compare-and-swap on the reference count; returns what it was. */
export function cmpxchgPageRefcount(heap: Heap, pfn: Pfn, expected: number, desired: number): Access<number> {
  return cas(heap, pageAt(heap, pfn) + PAGE.refcount, expected, desired);
}

/** Number of page-table entries that map the page (the kernel's _mapcount + 1). */
export function readOncePageMapcount(heap: Heap, pfn: Pfn): Access<number> {
  return readOnce(heap, pageAt(heap, pfn) + PAGE.mapcount);
}

/** Plain store of the mapcount: only for a folio whose first PTE is not visible yet. */
export function setPageMapcount(heap: Heap, pfn: Pfn, count: number): Access<void> {
  writeOnce(heap, pageAt(heap, pfn) + PAGE.mapcount, count);
}

/** Adds to the mapcount under the PTL of the entry concerned; returns the new count. */
export function atomicAddPageMapcount(heap: Heap, pfn: Pfn, delta: number): Access<number> {
  return fetchAdd(heap, pageAt(heap, pfn) + PAGE.mapcount, delta) + delta;
}

/** folio->mapping, low bits included. May be stale on return unless the folio is locked and mapped. */
export function readOncePageMapping(heap: Heap, pfn: Pfn): Access<number> {
  return readOnce(heap, pageAt(heap, pfn) + PAGE.mapping);
}

/** Stores folio->mapping, low bits included (makeAnonMapping). */
export function writeOncePageMapping(heap: Heap, pfn: Pfn, mapping: number): Access<void> {
  writeOnce(heap, pageAt(heap, pfn) + PAGE.mapping, mapping);
}

/** folio->index: linear index of the address where the page was first faulted. */
export function pageIndex(heap: Heap, pfn: Pfn): Access<number> {
  return load(heap, pageAt(heap, pfn) + PAGE.index);
}

/** Sets folio->index: before the PTE is visible, or under the folio lock. */
export function setPageIndex(heap: Heap, pfn: Pfn, index: number): Access<void> {
  store(heap, pageAt(heap, pfn) + PAGE.index, index);
}

/** folio->private of a migration destination: the anon_vma pinned for it. Guarded by the folio lock. */
export function pagePrivate(heap: Heap, pfn: Pfn): Access<number> {
  return load(heap, pageAt(heap, pfn) + PAGE.private);
}

/** Sets folio->private. Guarded by the folio lock. */
export function setPagePrivate(heap: Heap, pfn: Pfn, value: number): Access<void> {
  store(heap, pageAt(heap, pfn) + PAGE.private, value);
}

/** One word of the frame's contents, as the CPU loads it. */
export function pageContent(heap: Heap, pfn: Pfn, word: number): Access<number> {
  return readOnce(heap, pageAt(heap, pfn) + PAGE_STRUCT_WORDS + word);
}

/** One word of the frame's contents, as the CPU stores it. */
export function setPageContent(heap: Heap, pfn: Pfn, word: number, value: number): Access<void> {
  writeOnce(heap, pageAt(heap, pfn) + PAGE_STRUCT_WORDS + word, value);
}

/** Pages of a huge page. */
export const HUGE_PAGES = 512;

/** Words that the contents of a huge page take beside those of its first page. */
export function hugeContentsWords(wordsPerPage: number): number {
  return (HUGE_PAGES - 1) * wordsPerPage;
}

/** Gives a fresh huge page the place of its contents. */
export function setHugeContents(heap: Heap, pfn: Pfn, contents: number): Access<void> {
  store(heap, pageAt(heap, pfn) + PAGE.hugeContents, contents);
}

/** Where the contents of a huge page lie; constant while it is allocated. */
export function hugeContents(heap: Heap, pfn: Pfn): number {
  return heap[pageAt(heap, pfn) + PAGE.hugeContents];
}

/** One word of page `sub` of a huge page, as the CPU loads it. */
export function hugePageContent(heap: Heap, pfn: Pfn, sub: number, word: number): Access<number> {
  if (sub === 0) return pageContent(heap, pfn, word);
  return readOnce(heap, hugeContents(heap, pfn) + (sub - 1) * pageWords(heap) + word);
}

/** One word of page `sub` of a huge page, as the CPU stores it. */
export function setHugePageContent(heap: Heap, pfn: Pfn, sub: number, word: number, value: number): Access<void> {
  if (sub === 0) setPageContent(heap, pfn, word, value);
  else writeOnce(heap, hugeContents(heap, pfn) + (sub - 1) * pageWords(heap) + word, value);
}

/** Fills a huge page; one step. */
export function fillHugeContents(heap: Heap, pfn: Pfn, value: number): Access<void> {
  fillPageContents(heap, pfn, value);
  const first = hugeContents(heap, pfn);
  heap.fill(value, first, first + hugeContentsWords(pageWords(heap)));
}

/** Copies a huge page; one step, so a copy that somebody writes into meanwhile is not torn. */
export function copyHugeContents(heap: Heap, from: Pfn, to: Pfn): Access<void> {
  const words = pageWords(heap);
  const source = pageAt(heap, from) + PAGE_STRUCT_WORDS;
  heap.copyWithin(pageAt(heap, to) + PAGE_STRUCT_WORDS, source, source + words);
  const rest = hugeContents(heap, from);
  heap.copyWithin(hugeContents(heap, to), rest, rest + hugeContentsWords(words));
}

/** Zeroes the contents of a frame that nobody else can reach. */
export function clearPageContents(heap: Heap, pfn: Pfn): Access<void> {
  fillPageContents(heap, pfn, 0);
}

/** Fills the contents with a value: what a freed frame gets, so that a stale mapping reads nonsense. */
export function fillPageContents(heap: Heap, pfn: Pfn, value: number): Access<void> {
  const first = pageAt(heap, pfn) + PAGE_STRUCT_WORDS;
  const end = first + pageWords(heap);
  // A loop: for the usual few words it costs a third of what fill() does.
  for (let at = first; at < end; at++) heap[at] = value;
}
