/** Objects in words: short stable names (process 3, page 0x12 of it, frame 77), never addresses. */

import type { Heap } from '../arena/heap.ts';
import type { Place } from '../base/finding.ts';
import type { MmPtr, Pfn, PteVal, VmaPtr, Vpn } from '../layout/ids.ts';
import { MM } from '../layout/mm.ts';
import { PAGE, PG_anonExclusive, PG_dirty, PG_locked, PG_lru, PG_waiters, nrFrames, pageAt } from '../layout/page.ts';
import {
  PTE_TYPE_MIGRATION_READ,
  PTE_TYPE_MIGRATION_READ_EXCLUSIVE,
  PTE_TYPE_MIGRATION_WRITE,
  PTE_TYPE_SWAP,
  pteIsDirty,
  pteIsNone,
  pteIsPresent,
  pteIsWritable,
  pteIsYoung,
  ptePfn,
  pteType,
} from '../layout/pte.ts';
import { VMA } from '../layout/vma.ts';

const ENTRY_TYPES: Readonly<Record<number, string>> = {
  [PTE_TYPE_MIGRATION_READ]: 'migration entry (readable)',
  [PTE_TYPE_MIGRATION_READ_EXCLUSIVE]: 'migration entry (readable-exclusive)',
  [PTE_TYPE_MIGRATION_WRITE]: 'migration entry (writable)',
  [PTE_TYPE_SWAP]: 'swap entry',
};

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [PG_locked, 'locked'],
  [PG_waiters, 'waiters'],
  [PG_anonExclusive, 'anon_exclusive'],
  [PG_lru, 'lru'],
  [PG_dirty, 'dirty'],
];

/** `process 3` for an address space that belongs to one, `mm` otherwise. */
export function describeMm(heap: Heap, mm: MmPtr): string {
  const process = heap[mm + MM.process];
  return process === 0 ? 'an mm without a process' : `process ${process}`;
}

/** A page-table entry in words. */
export function describePte(value: PteVal): string {
  if (pteIsNone(value)) return 'none';
  const bits = `${pteIsYoung(value) ? ' young' : ''}${pteIsDirty(value) ? ' dirty' : ''}`;
  if (pteIsPresent(value))
    return `present pfn ${ptePfn(value)}${pteIsWritable(value) ? ' writable' : ' read-only'}${bits}`;
  return `${ENTRY_TYPES[pteType(value)] ?? `entry of type ${pteType(value)}`} for pfn ${ptePfn(value)}${bits}`;
}

/** A frame's struct page in words. */
export function describePage(heap: Heap, pfn: Pfn): string {
  if (pfn < 1 || pfn > nrFrames(heap)) return `pfn ${pfn} (no such frame)`;
  const page = pageAt(heap, pfn);
  const flags = heap[page + PAGE.flags];
  const names = FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  const state = `refcount ${heap[page + PAGE.refcount]}, mapcount ${heap[page + PAGE.mapcount]}, index ${heap[page + PAGE.index]}`;
  return `pfn ${pfn}: ${state}, flags ${names.length === 0 ? 'none' : names.join('|')}`;
}

/** A VMA's range and numbering in words. */
export function describeVma(heap: Heap, vma: VmaPtr): string {
  const anon = heap[vma + VMA.anonVma] === 0 ? 'unfaulted' : 'faulted';
  return `VMA [${heap[vma + VMA.start]}, ${heap[vma + VMA.end]}) pgoff ${heap[vma + VMA.pgoff]} ${anon}`;
}

/** A page as data: where a violation was seen. */
export function placeOf(heap: Heap, mm: MmPtr, vpn: Vpn): Place {
  return { process: heap[mm + MM.process], page: vpn };
}

/** `page 17 of process 3`. */
export function describePlace(heap: Heap, mm: MmPtr, vpn: Vpn): string {
  return `page ${vpn} of ${describeMm(heap, mm)}`;
}
