import type { Bug } from './bug.ts';

export const shiftArgPagesVsMigration: Bug = {
  id: 'shift-arg-pages-vs-migration',
  title: 'exec moves its temporary stack while migration holds entries in it',
  reference: 'a8bef8ff6ea1 (2.6.35)',
  certainty: 'fixed-bug',
  rules: [{ rule: 'migrate.skipTemporaryStack', value: 'false' }],
  expected: ['dangling-migration-entry', 'rmap-miss'],
  why: 'The process does not run yet and nobody else knows its address space. The rmap does.',
  badRun:
    'Migration installs an entry in the stack page of a process that is about to start. exec widens the VMA over the new place, ' +
    'so the page index leads to the new address, where nothing is yet. The second walk looks there, finds nothing and unlocks ' +
    'the page; then exec moves the entry that was left behind.',
  mix: 'only,exec=20,compact=60,migrate=4,write=10,mmap=2,fork=1,exit=4',
};
