import type { Bug } from './bug.ts';

export const rmapWalkMultiLockDeadlock: Bug = {
  id: 'rmap-walk-multi-lock-deadlock',
  title: 'rmap_walk nests several anon_vma locks with no order between them',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk); superseded by 5c341ee1dfc8 and 012f18004da3 (2.6.36)',
  certainty: 'fixed-bug',
  rules: [
    { rule: 'anonVma.lock', value: 'perAnonVmaSpinlock' },
    { rule: 'rmapWalk.lockScheme', value: 'eachInListOrder' },
  ],
  expected: ['lock-order', 'deadlock'],
  why: 'Each VMA of the walk is stable only under the lock of its own anon_vma, so the walk takes it, one after the other.',
  badRun:
    'One walk starts from a page of a child and wants the lock of another child; the other walk starts there and wants the first.',
  mix: 'only,write=30,mmap=4,fork=8,exit=8,migrate=30,read=5',
};
