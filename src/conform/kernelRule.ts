/** Which decision of the kernel a divergence concerns: where to start reading. */

import type { Op } from './traceFormat.ts';

/** What of the observable state differs first. */
export type Aspect = 'result' | 'processes' | 'vmas' | 'pages' | 'leftover' | 'leak' | 'assertion';

/** By operation, then by aspect; `any` covers the rest. Functions are those of Linux 6.18. */
const RULES: Readonly<Record<Op, { readonly any: string } & Partial<Record<Aspect, string>>>> = {
  mmap: {
    any: '__mmap_region(): old mappings in the range go first, then merge with a neighbour or insert',
    result: 'do_mmap(), __get_unmapped_area(): order of the checks; placement is top-down, the highest gap that fits',
    vmas: 'vma_merge_new_range(): flags, anon_vma and pgoff of both neighbours; VM_ACCOUNT counts as a flag',
    pages: 'mm_populate(): private writable pages are write-faulted, the rest gets the zero page',
  },
  munmap: {
    any: 'do_vmi_align_munmap(): split at both edges, detach, then zap',
    result: 'do_vmi_munmap(): alignment and range first; holes are no error',
  },
  mprotect: {
    any: 'do_mprotect_pkey(): VMA by VMA in address order, applied as it goes',
    result: 'do_mprotect_pkey(): a hole is ENOMEM, after the VMAs before it have changed',
    vmas: 'vma_modify_flags(), vma_merge_existing_range(): merge or split; VM_ACCOUNT rules of mprotect_fixup()',
    pages: 'change_pte_range(), can_change_pte_writable(): only exclusive anonymous pages become writable again',
  },
  mremap: {
    any: 'move_vma(): copy or merge the VMA, move the entries, unmap the source',
    result: 'check_mremap_params(), check_prep_vma(): order of the checks, before and under mmap_lock',
    vmas: 'copy_vma(), vma_merge_copied_range(): pgoff follows the move only while the VMA is not faulted',
    pages: 'move_page_tables(): every entry moves as it is, frames and counts do not change',
  },
  madvise: { any: 'madvise_walk_vmas(): holes are ENOMEM at the end, an error of a VMA stops at once' },
  mlock: { any: 'do_mlock(), apply_vma_lock_flags(): limit first, then flags, then population' },
  mlock2: { any: 'do_mlock(), apply_vma_lock_flags(): limit first, then flags, then population' },
  munlock: { any: 'apply_vma_lock_flags(): VMAs before a hole are unlocked' },
  mseal: { any: 'do_mseal(): a hole is ENOMEM before anything is sealed' },
  read: {
    any: 'do_anonymous_page(): a read fault maps the zero page and leaves the VMA unfaulted',
    result: 'do_user_addr_fault(): no VMA is SEGV_MAPERR, no permission is SEGV_ACCERR',
  },
  write: {
    any: 'do_wp_page(), wp_can_reuse_anon_folio(): reuse when exclusive or the only reference, else copy',
    result: 'do_user_addr_fault(): no VMA is SEGV_MAPERR, no permission is SEGV_ACCERR',
    vmas: 'a fault changes no VMA',
  },
  fork: {
    any: 'dup_mmap(), copy_present_ptes(): present pages are shared read-only and lose the exclusive bit',
    vmas: 'dup_mmap(): VM_DONTCOPY is left out, VM_LOCKED is dropped',
    pages: 'copy_present_page(): a page that may be pinned is copied for the child; unfaulted VMAs copy nothing',
  },
  exit: { any: 'exit_mmap(): mapcounts drop; a page with one mapping left is not marked exclusive by that' },
  pin: { any: 'pin_user_pages(FOLL_LONGTERM | FOLL_WRITE): write-faults each page, so it breaks COW' },
  unpin: { any: 'unpin_user_pages(): no observable effect on page tables' },
  migrate: {
    any: 'migrate_pages(): every movable page gets a new frame in all processes; pinned pages stay',
    result: 'queue_pages_range(): EFAULT when no VMA overlaps the range',
  },
  ksm: { any: 'cmp_and_merge_page(): stable tree first, then the unstable tree of this pass' },
};

/** The rule that decides the given aspect of an operation. */
export function kernelRule(op: Op, aspect: Aspect): string {
  return RULES[op][aspect] ?? RULES[op].any;
}
