/**
 * The software TLB of a CPU: direct mapped, tagged with the address-space number. Its lock is the hardware's: the CPU
 * holds it across one memory instruction, a flush (the IPI) takes it to remove entries, so that no access through a
 * removed entry outlives the flush. lockdep does not know it.
 */

import { load, store } from '../arena/access.ts';
import { fieldTable } from '../arena/fieldTable.ts';
import { HEADER } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access } from '../base/sim.ts';
import type { PteVal, SpinLockPtr, Vpn } from './ids.ts';

export const TLB = { lock: 0, entries: 4 } as const;
/** asid (0 = empty), vpn, pte as it was when the entry was loaded, generation of the frame then. */
export const TLB_ENTRY = { asid: 0, vpn: 1, pte: 2, generation: 3 } as const;
export const TLB_ENTRY_WORDS = 4;
export const TLB_ENTRY_TABLE = fieldTable('tlb_entry', TLB_ENTRY, TLB_ENTRY_WORDS);

/** Entries of each CPU's TLB: a power of two. */
export function tlbEntries(heap: Heap): number {
  return heap[HEADER.tlbEntries];
}

/** Words of one CPU's TLB with `entries` entries. */
export function tlbWords(entries: number): number {
  return TLB.entries + entries * TLB_ENTRY_WORDS;
}

/** Address of a CPU's TLB. */
export function tlbAt(heap: Heap, cpu: number): number {
  return heap[HEADER.tlbBase] + cpu * heap[HEADER.tlbStride];
}

/** The hardware lock of a TLB. */
export function tlbLock(heap: Heap, cpu: number): SpinLockPtr {
  return (tlbAt(heap, cpu) + TLB.lock) as SpinLockPtr;
}

/** Address of the slot that `vpn` maps to. */
export function tlbSlot(heap: Heap, cpu: number, vpn: Vpn): number {
  return tlbAt(heap, cpu) + TLB.entries + (vpn & (tlbEntries(heap) - 1)) * TLB_ENTRY_WORDS;
}

/** Address-space number in a slot, 0 when empty. TLB lock held. */
export function tlbSlotAsid(heap: Heap, slot: number): Access<number> {
  return load(heap, slot + TLB_ENTRY.asid);
}
export function tlbSlotVpn(heap: Heap, slot: number): Access<Vpn> {
  return load(heap, slot + TLB_ENTRY.vpn) as Vpn;
}
export function tlbSlotPte(heap: Heap, slot: number): Access<PteVal> {
  return load(heap, slot + TLB_ENTRY.pte) as PteVal;
}
/** Loads an entry; TLB lock held, one step. Empty first: an observer without the lock never sees a new address with the old asid. */
export function setTlbSlot(
  heap: Heap,
  slot: number,
  asid: number,
  vpn: Vpn,
  pte: PteVal,
  generation: number,
): Access<void> {
  Atomics.store(heap, slot + TLB_ENTRY.asid, 0);
  heap[slot + TLB_ENTRY.vpn] = vpn;
  heap[slot + TLB_ENTRY.pte] = pte;
  heap[slot + TLB_ENTRY.generation] = generation;
  Atomics.store(heap, slot + TLB_ENTRY.asid, asid);
}
/** Empties a slot; TLB lock held. */
export function clearTlbSlot(heap: Heap, slot: number): Access<void> {
  store(heap, slot + TLB_ENTRY.asid, 0);
}
/** Empties a CPU's TLB; its lock is held. */
export function clearTlbAll(heap: Heap, cpu: number): Access<void> {
  const first = tlbAt(heap, cpu) + TLB.entries;
  heap.fill(0, first, first + tlbEntries(heap) * TLB_ENTRY_WORDS);
}
/**
 * Removes every entry of `asid` in [start, end) from a CPU's TLB; its lock is held. One step, like the INVLPG loop of a
 * remote CPU inside its interrupt handler.
 */
export function clearTlbRange(heap: Heap, cpu: number, asid: number, start: Vpn, end: Vpn): Access<void> {
  const first = tlbAt(heap, cpu) + TLB.entries;
  const entries = tlbEntries(heap);
  if (end - start < entries) {
    for (let vpn = start as number; vpn < end; vpn++) {
      const slot = first + (vpn & (entries - 1)) * TLB_ENTRY_WORDS;
      if (heap[slot + TLB_ENTRY.asid] === asid && heap[slot + TLB_ENTRY.vpn] === vpn) heap[slot + TLB_ENTRY.asid] = 0;
    }
    return;
  }
  for (let slot = first; slot < first + entries * TLB_ENTRY_WORDS; slot += TLB_ENTRY_WORDS) {
    const vpn = heap[slot + TLB_ENTRY.vpn];
    if (heap[slot + TLB_ENTRY.asid] === asid && vpn >= start && vpn < end) heap[slot + TLB_ENTRY.asid] = 0;
  }
}
