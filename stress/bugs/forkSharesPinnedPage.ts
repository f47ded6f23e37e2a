import type { Bug } from './bug.ts';

export const forkSharesPinnedPage: Bug = {
  id: 'fork-shares-pinned-page',
  title: 'fork write-protects a pinned anonymous page instead of copying it for the child',
  reference: '70e806e4e645 (5.9), 6c287605fd56 (5.19)',
  certainty: 'fixed-bug',
  rules: [{ rule: 'fork.pinnedPage', value: 'share' }],
  expected: ['lost-write', 'cow-isolation', 'exclusive'],
  why: 'Sharing until somebody writes is what copy-on-write is for, and the pin holds a reference on the page anyway.',
  badRun:
    'A process pins a page for a device and forks. It writes to the page, which is shared now, and gets a copy. The device goes ' +
    'on writing to the old page: the process never sees it.',
  mix: 'only,write=40,read=30,mmap=4,fork=6,exit=6,pin=20,unpin=4',
};
