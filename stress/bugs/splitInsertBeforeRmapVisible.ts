import type { Bug } from './bug.ts';

export const splitInsertBeforeRmapVisible: Bug = {
  id: 'split-insert-before-rmap-visible',
  title: 'split shrinks the old VMA before the new half is reachable by rmap walks',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk), rule b of the patch; fixed by 012f18004da3 (2.6.36)',
  certainty: 'fixed-bug',
  rules: [{ rule: 'splitVma.publish', value: 'rangeShrunkBeforeAvcLinked' }],
  expected: ['dangling-migration-entry', 'rmap-miss'],
  why: 'Linking the new half after the old one has its final range looks tidy: no moment at which two VMAs overlap.',
  badRun:
    'Migration installs an entry in the upper half of a VMA. mprotect splits: the old VMA ends before the page now, the new one ' +
    'has no edge to the anon_vma yet. The second walk finds neither; the entry stays for ever.',
  processes: 2,
  mix: 'only,write=24,mmap=8,munmap=4,mprotect=30,migrate=16,compact=30,read=4,fork=1,exit=1',
};
