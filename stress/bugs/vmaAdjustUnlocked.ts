import type { Bug } from './bug.ts';

export const vmaAdjustUnlocked: Bug = {
  id: 'vma-adjust-unlocked',
  title: 'vma_adjust moves vm_start and vm_pgoff without the anon_vma lock',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk); fixed by 012f18004da3 (2.6.36)',
  certainty: 'fixed-bug',
  rules: [{ rule: 'vmaAdjust.rmapLock', value: 'none' }],
  expected: ['dangling-migration-entry', 'rmap-miss'],
  why:
    'mmap_lock is held for write, so nobody else changes VMAs. But an rmap walk holds no mmap_lock: it holds the folio lock ' +
    'and the anon_vma lock, and computes the address from vm_start and vm_pgoff, which are two stores.',
  badRun:
    'Migration installs an entry for a page. munmap of the first page stores the new vm_start and has not stored the new ' +
    'vm_pgoff yet. The second walk of migration computes a wrong address from the torn pair, finds no entry there, and ' +
    'unlocks the page. The entry stays: whoever touches the page later waits for a page that is not locked.',
  processes: 2,
  mix: 'only,write=40,mmap=8,munmap=3,mprotect=6,compact=40,fork=1,exit=1',
};
