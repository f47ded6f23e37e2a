import type { Bug } from './bug.ts';

export const degreeDoubleReuse: Bug = {
  id: 'degree-double-reuse',
  title: 'degree < 2 is taken as "abandoned anon_vma" although a VMA still uses it',
  reference: 'CVE-2022-42703, 2555283eb40d (6.0); introduced by 7a3ef208e662 (3.19)',
  certainty: 'fixed-bug',
  rules: [{ rule: 'anonVma.reuseTest', value: 'degree' }],
  expected: ['rmap-miss', 'use-after-free', 'count-mismatch'],
  why: 'One counter for VMAs and child anon_vmas says how many depend on an anon_vma; with one left it looks free for reuse.',
  badRun:
    'A grandchild inherits an anon_vma whose only dependant is a VMA, not a child. The next fork reuses it. Two VMAs of one process ' +
    'then have the same anon_vma and different chains; a merge drops one chain, and pages point to an anon_vma that is gone.',
  mix: 'only,write=20,mmap=4,munmap=4,mprotect=10,fork=20,exit=18,migrate=6,read=4',
};
