/**
 * The arena as an observer sees it: raw words, no locks, no code of the simulated kernel. Everything here is bounded, so
 * that a corrupted arena yields a strange view and never an endless loop.
 */

import { CACHES, cacheAt, CACHE, nrCpus, type CacheId } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabIsAllocated, slabObjects } from '../arena/slab.ts';
import { ADDRESS_SPACE, XA_SLOTS } from '../layout/addressSpace.ts';
import { AVC } from '../layout/anonVma.ts';
import type { AddressSpacePtr, AvcPtr, MmPtr, PageTablePtr, Pfn, PteVal, VmaPtr, Vpn } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { PAGE, mappingAddressSpace, nrFrames, pageAt } from '../layout/page.ts';
import { ENTRIES_PER_TABLE, LEVEL_PGD, LEVEL_PTE, TABLE, TABLE_BITS } from '../layout/pageTable.ts';
import { TLB, TLB_ENTRY, TLB_ENTRY_WORDS, tlbAt, tlbEntries } from '../layout/tlb.ts';
import { VMA } from '../layout/vma.ts';
import { VMA_NODE, VMA_NODE_ENTRY_WORDS, VMA_NODE_SIZES } from '../layout/vmaNode.ts';

/** A range of an mm's VMA tree. */
export interface TreeRange {
  readonly start: Vpn;
  readonly end: Vpn;
  readonly vma: VmaPtr;
}

/** A page-table entry that is not none, found by walking an mm's tables. */
export interface SeenPte {
  readonly vpn: Vpn;
  readonly value: PteVal;
}

/** Address spaces that are allocated, in address order. */
export function liveMms(heap: Heap): MmPtr[] {
  return [...slabObjects(heap, CACHES.mm)].filter((mm) => slabIsAllocated(heap, mm)) as MmPtr[];
}

/** Ranges of an mm's VMA tree, as the tree node says. */
export function treeRanges(heap: Heap, mm: MmPtr): TreeRange[] {
  const node = Atomics.load(heap, mm + MM.vmaTree);
  const size = VMA_NODE_SIZES.find(({ cache }) => isObject(heap, cache, node));
  if (size === undefined) return [];
  const count = Math.min(Math.max(heap[node + VMA_NODE.count], 0), size.capacity);
  const ranges: TreeRange[] = [];
  for (let i = 0; i < count; i++) {
    const at = node + VMA_NODE.entries + i * VMA_NODE_ENTRY_WORDS;
    ranges.push({ start: heap[at] as Vpn, end: heap[at + 1] as Vpn, vma: heap[at + 2] as VmaPtr });
  }
  return ranges;
}

/** Every entry of an mm that is not none, by address; of a huge page the one, at its first page. `visit` may see torn states while others run. */
export function forEachPte(heap: Heap, mm: MmPtr, visit: (vpn: Vpn, value: PteVal, table: PageTablePtr) => void): void {
  const pgd = heap[mm + MM.pgd] as PageTablePtr;
  if (isTable(heap, pgd)) walkTable(heap, pgd, LEVEL_PGD, 0, visit);
}

function walkTable(
  heap: Heap,
  table: PageTablePtr,
  level: number,
  base: number,
  visit: (vpn: Vpn, value: PteVal, table: PageTablePtr) => void,
): void {
  for (let i = 0; i < ENTRIES_PER_TABLE; i++) {
    const entry = Atomics.load(heap, table + TABLE.entries + i);
    if (entry === 0) continue;
    const vpn = base + i * 2 ** (TABLE_BITS * level);
    // A negative PMD entry maps a huge page itself.
    if (level === LEVEL_PTE || entry < 0) visit(vpn as Vpn, entry as PteVal, table);
    else if (isTable(heap, entry)) walkTable(heap, entry as PageTablePtr, level - 1, vpn, visit);
  }
}

/** True when `ptr` is the address of an allocated page table. */
export function isTable(heap: Heap, ptr: number): boolean {
  return isObject(heap, CACHES.pageTable, ptr) && slabIsAllocated(heap, ptr);
}

/** True when `ptr` is the address of an object of the cache, allocated or not. */
export function isObject(heap: Heap, cache: CacheId, ptr: number): boolean {
  const at = cacheAt(cache);
  const offset = ptr - heap[at + CACHE.base];
  return (
    offset >= 0 && offset % heap[at + CACHE.stride] === 0 && offset / heap[at + CACHE.stride] < heap[at + CACHE.count]
  );
}

/** Chain of a VMA, newest AVC first; at most `limit` edges. */
export function avcsOf(heap: Heap, vma: VmaPtr, limit = 1024): AvcPtr[] {
  const chain: AvcPtr[] = [];
  let avc = heap[vma + VMA.avcFirst];
  while (avc !== 0 && isObject(heap, CACHES.anonVmaChain, avc) && chain.length < limit) {
    chain.push(avc as AvcPtr);
    avc = heap[avc + AVC.sameVmaNext];
  }
  return chain;
}

/** Every translation that some CPU holds: the CPU and the address of the slot. It may be replaced while one looks. */
export function forEachTranslation(heap: Heap, visit: (cpu: number, slot: number) => void): void {
  const words = tlbEntries(heap) * TLB_ENTRY_WORDS;
  const cpus = nrCpus(heap);
  for (let cpu = 0; cpu < cpus; cpu++) {
    const first = tlbAt(heap, cpu) + TLB.entries;
    for (let slot = first; slot < first + words; slot += TLB_ENTRY_WORDS) {
      if (heap[slot + TLB_ENTRY.asid] !== 0) visit(cpu, slot);
    }
  }
}

/** Objects of shared mappings that are allocated. */
export function liveObjects(heap: Heap): AddressSpacePtr[] {
  return [...slabObjects(heap, CACHES.addressSpace)].filter((object) =>
    slabIsAllocated(heap, object),
  ) as AddressSpacePtr[];
}

/** A page in the page index of an object. */
export interface CachedPage {
  readonly index: number;
  readonly pfn: Pfn;
}

/** Pages of an object's index; `nodes` gets the addresses of its nodes. */
export function cachedPages(heap: Heap, object: AddressSpacePtr, nodes: number[] = []): CachedPage[] {
  const pages: CachedPage[] = [];
  const visit = (node: number, level: number, base: number): void => {
    if (!isObject(heap, CACHES.xaNode, node)) return;
    nodes.push(node);
    for (let i = 0; i < XA_SLOTS; i++) {
      const value = heap[node + i];
      if (value === 0) continue;
      const index = base + i * XA_SLOTS ** level;
      if (level === 0) pages.push({ index, pfn: value as Pfn });
      else visit(value, level - 1, index);
    }
  };
  visit(heap[object + ADDRESS_SPACE.pages], Math.min(heap[object + ADDRESS_SPACE.levels], 3) - 1, 0);
  return pages;
}

/** The object that a page belongs to, 0 for an anonymous page; what a page's mapping says is taken for true. */
export function objectOfPage(heap: Heap, pfn: Pfn): AddressSpacePtr {
  if (pfn < 1 || pfn > nrFrames(heap)) return 0 as AddressSpacePtr;
  return mappingAddressSpace(Atomics.load(heap, pageAt(heap, pfn) + PAGE.mapping));
}
