/**
 * From vm_flags to the flag bits of entries (vm_get_page_prot and its users). A private mapping is never writable by its
 * protection alone: writable entries are made one by one, where the page is known to be exclusive. A shared one is.
 *
 * Kernel: mm/mmap.c protection_map, vma->vm_page_prot. Not modelled: execute permission, write notification of
 * shared mappings (objects have no backing store to tell).
 */

import { PTE_DIRTY, PTE_PROTNONE, PTE_WRITE, PTE_YOUNG, pteSet } from '../layout/pte.ts';
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from '../layout/vma.ts';
import type { PteVal } from '../layout/ids.ts';

const SHARED_WRITABLE = VM_SHARED | VM_WRITE;
const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;

/** vma_is_accessible(): the mapping is not PROT_NONE. */
export function vmaIsAccessible(vmFlags: number): boolean {
  return (vmFlags & VM_ACCESS_FLAGS) !== 0;
}

/** vma->vm_page_prot: flags of a fresh present entry. It is born young, as on x86. */
export function vmPageProt(vmFlags: number): number {
  if (!vmaIsAccessible(vmFlags)) return PTE_YOUNG | PTE_PROTNONE;
  return (vmFlags & SHARED_WRITABLE) === SHARED_WRITABLE ? PTE_YOUNG | PTE_WRITE : PTE_YOUNG;
}

/** maybe_mkwrite(pte_mkdirty()): dirty, and writable if the mapping is. An anonymous page must be exclusive. */
export function pteMakeDirtyWritable(pte: PteVal, vmFlags: number): PteVal {
  return pteSet(pte, (vmFlags & VM_WRITE) === 0 ? PTE_DIRTY : PTE_DIRTY | PTE_WRITE);
}
