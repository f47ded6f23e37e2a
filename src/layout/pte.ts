/**
 * One page-table entry in one word, and what a non-present entry encodes.
 *
 *   bit  3322 2222 2222 1111 1111 1100 0000 0000
 *        1098 7654 3210 9876 5432 1098 7654 3210
 *        Hfff ffff ffff ffff ffff ...N TTTT DAWP
 *
 *   P present   W writable   A accessed (young)   D dirty   T type of a non-present entry   N no access   f pfn
 *   H maps a huge page
 *
 * A word is a signed number in JavaScript. An entry of upper levels is the word index of the next table with no flags (see
 * pageTable.ts); where the PMD level maps a huge page, the entry has the format above, and H tells it from a table: it is
 * negative. It is set in non-present entries of huge pages too.
 * N (PROT_NONE) stands in a present entry that the hardware must not use: the page stays mapped and counted.
 * A migration entry keeps A and D, as the kernel does where the architecture has room, and carries the source's pfn.
 */

import type { Pfn, PteVal } from './ids.ts';

export const PTE_PRESENT = 1 << 0;
export const PTE_WRITE = 1 << 1;
export const PTE_YOUNG = 1 << 2;
export const PTE_DIRTY = 1 << 3;
export const PTE_PROTNONE = 1 << 8;
export const PTE_HUGE = 1 << 31;
const TYPE_SHIFT = 4;
const TYPE_MASK = 0xf << TYPE_SHIFT;
const PFN_SHIFT = 12;
const PFN_MASK = 2 ** 19 - 1;

export const PTE_NONE = 0 as PteVal;

/** Types of a non-present entry; 0 in a present one. */
export const PTE_TYPE_MIGRATION_READ = 1;
export const PTE_TYPE_MIGRATION_READ_EXCLUSIVE = 2;
export const PTE_TYPE_MIGRATION_WRITE = 3;
export const PTE_TYPE_SWAP = 4;

/** A present entry. `flags` are PTE_WRITE | PTE_YOUNG | PTE_DIRTY. */
export function makePte(pfn: Pfn, flags: number): PteVal {
  return ((pfn << PFN_SHIFT) | flags | PTE_PRESENT) as PteVal;
}

/** A non-present entry of the given type; `flags` may hold PTE_YOUNG | PTE_DIRTY. */
export function makeNonPresentPte(type: number, payload: number, flags: number): PteVal {
  return ((payload << PFN_SHIFT) | (type << TYPE_SHIFT) | flags) as PteVal;
}

export function pteIsNone(pte: PteVal): boolean {
  return pte === PTE_NONE;
}

export function pteIsPresent(pte: PteVal): boolean {
  return (pte & PTE_PRESENT) !== 0;
}

/** A present entry of a PROT_NONE mapping. */
export function pteIsProtnone(pte: PteVal): boolean {
  return (pte & PTE_PROTNONE) !== 0;
}

/** Whether the hardware may translate through the entry (and so may have it in a TLB). */
export function pteIsAccessible(pte: PteVal): boolean {
  return (pte & (PTE_PRESENT | PTE_PROTNONE)) === PTE_PRESENT;
}

export function pteIsWritable(pte: PteVal): boolean {
  return (pte & PTE_WRITE) !== 0;
}

export function pteIsYoung(pte: PteVal): boolean {
  return (pte & PTE_YOUNG) !== 0;
}

export function pteIsDirty(pte: PteVal): boolean {
  return (pte & PTE_DIRTY) !== 0;
}

/** The entry maps a huge page, or stands for one. */
export function pteIsHuge(pte: PteVal): boolean {
  return pte < 0;
}

/** Frame of a present entry, or the source frame of a migration entry. */
export function ptePfn(pte: PteVal): Pfn {
  return ((pte >>> PFN_SHIFT) & PFN_MASK) as Pfn;
}

/** Type of a non-present entry. */
export function pteType(pte: PteVal): number {
  return (pte & TYPE_MASK) >>> TYPE_SHIFT;
}

/** One of the three migration entry types. */
export function pteIsMigration(pte: PteVal): boolean {
  const type = pteType(pte);
  return !pteIsPresent(pte) && type >= PTE_TYPE_MIGRATION_READ && type <= PTE_TYPE_MIGRATION_WRITE;
}

export function pteIsWritableMigration(pte: PteVal): boolean {
  return !pteIsPresent(pte) && pteType(pte) === PTE_TYPE_MIGRATION_WRITE;
}

export function pteIsReadableMigration(pte: PteVal): boolean {
  return !pteIsPresent(pte) && pteType(pte) === PTE_TYPE_MIGRATION_READ;
}

/** `pte` with the given flag bits set. */
export function pteSet(pte: PteVal, flags: number): PteVal {
  return (pte | flags) as PteVal;
}

/** `pte` with the given flag bits cleared. */
export function pteClear(pte: PteVal, flags: number): PteVal {
  return (pte & ~flags) as PteVal;
}
