import type { Bug } from './bug.ts';

export const mmTakeAllLocksOrder: Bug = {
  id: 'mm-take-all-locks-order',
  title: 'mm_take_all_locks locks anon_vmas newest first while rmap_walk goes oldest first',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk): the patch reverses the walk of mm_take_all_locks',
  certainty: 'fixed-bug',
  rules: [
    { rule: 'anonVma.lock', value: 'perAnonVmaSpinlock' },
    { rule: 'rmapWalk.lockScheme', value: 'rootFirstOldToNew' },
    { rule: 'mmTakeAllLocks.order', value: 'newToOld' },
  ],
  expected: ['lock-order', 'deadlock'],
  why: 'A VMA lists its anon_vmas newest first, so taking all their locks in list order is the natural loop.',
  badRun:
    'A notifier registration holds the lock of the newest anon_vma and wants the root; a walk holds the root and wants the newest: ' +
    'neither goes on.',
  mix: 'only,write=30,mmap=4,fork=8,exit=8,migrate=20,take-all-locks=10,read=5',
};
