import type { Bug } from './bug.ts';

export const mremapTlbFlushAfterPtl: Bug = {
  id: 'mremap-tlb-flush-after-ptl',
  title: 'mremap drops the page-table locks before it flushes the old address',
  reference: 'CVE-2018-18281, eb66ae030829 (4.19)',
  certainty: 'fixed-bug',
  rules: [{ rule: 'mremap.flush', value: 'afterUnlock' }],
  expected: ['stale-tlb', 'lost-write', 'use-after-free', 'cow-isolation'],
  why: 'One flush for the whole range after the loop is cheaper than one under each pair of locks.',
  badRun:
    'mremap moves an entry and drops both locks. Migration finds the page at its new address, flushes that address alone, copies ' +
    'and frees the page. A third CPU still reaches the old frame through the old address in its TLB.',
  mix: 'only,write=40,read=20,mmap=3,mremap=30,migrate=20,compact=20,fork=1,exit=1',
};
