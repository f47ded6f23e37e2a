/**
 * Which VMAs become one: the rows of selftests/mm/merge.c (and of tools/testing/vma) that need private anonymous memory only.
 * As there, everything happens inside a carve-out of PROT_NONE pages, so neighbours never match by accident.
 */
import { describe } from 'vitest';
import { scriptTest } from './vmaScript.ts';

const CARVE_OUT = 'map 0 30 n';

function carved(name: string, script: string): void {
  scriptTest(name, `${CARVE_OUT}\n${script}`);
}

describe('mprotect merges what was faulted with what was not', () => {
  carved(
    'unfaulted left',
    `
    map 10 10 rw nr
    protect 10 5 r            see 10 rrrrr|wwwww
    write 15 a
    protect 15 5 r            see 10 rrrrrrrrrr
  `,
  );
  carved(
    'unfaulted right',
    `
    map 10 10 rw nr
    protect 15 5 r
    write 10 a
    protect 10 5 r            see 10 rrrrrrrrrr
  `,
  );
  carved(
    'unfaulted both',
    `
    map 10 9 rw nr
    protect 10 3 r
    protect 16 3 r            see 10 rrr|www|rrr
    write 13 a
    protect 13 3 r            see 10 rrrrrrrrr
  `,
  );
  carved(
    'faulted left, unfaulted right',
    `
    map 10 9 rw nr
    protect 16 3 r
    write 10 a
    protect 10 3 r            see 10 rrr|www|rrr
    protect 13 3 r            see 10 rrrrrrrrr
  `,
  );
  carved(
    'unfaulted left, faulted right',
    `
    map 10 9 rw nr
    protect 10 3 r
    write 13 a
    protect 16 3 r
    protect 13 3 r            see 10 rrrrrrrrr
  `,
  );
});

describe('a fork child', () => {
  carved(
    'as target does not take a new mapping in',
    `
    map 1 5 rw
    write 1 a
    fork
    write 1 abcde
    map 6 5 rw                see 1 wwwww|wwwww
  `,
  );
  carved(
    'as source does not give its chain to a neighbour',
    `
    map 1 5 rw nr
    write 1 a
    fork
    write 1 abcde
    map 6 5 x nr
    protect 1 5 x             see 1 xxxxx|xxxxx
  `,
  );
  carved(
    'merges its own pieces again',
    `
    map 1 6 rw
    write 1 a
    fork
    write 1 b
    protect 3 2 r             see 1 ww|rr|ww
    protect 3 2 rw            see 1 wwwwww
  `,
  );
  carved(
    'expands in place',
    `
    map 1 2 rw
    write 1 a
    fork
    unmap 3 4
    remap 1 2 4 - = 1         see 1 wwww
  `,
  );
  carved(
    'has two anon_vmas where the parent shared one',
    `
    map 1 6 rw
    write 1 a
    protect 4 3 r             see 1 www|rrr
    fork
    protect 4 3 rw            see 1 www|www
  `,
  );
  carved(
    'is an ordinary VMA where the parent never wrote',
    `
    map 1 2 rw
    fork
    map 3 2 rw                see 1 wwww
  `,
  );
});

describe('mremap moves next to faulted memory', () => {
  carved(
    'unfaulted behind faulted',
    `
    map 1 5 rw
    map 7 5 rw
    move 7 5 1000
    write 1 abcde
    move 1000 5 6             see 1 wwwwwwwwww
  `,
  );
  carved(
    'unfaulted before faulted',
    `
    map 6 5 rw
    map 14 5 rw
    move 14 5 1000
    write 6 abcde
    move 1000 5 1             see 1 wwwwwwwwww
  `,
  );
  carved(
    'unfaulted between two that were faulted apart',
    `
    map 1 5 rw
    map 7 5 rw
    move 7 5 1000
    map 14 5 rw
    move 14 5 2000
    write 1 a
    write 2000 b
    move 2000 5 11
    move 1000 5 6             see 1 wwwwwwwwww|wwwww
  `,
  );
  carved(
    'unfaulted between faulted and unfaulted',
    `
    map 1 5 rw
    map 7 5 rw
    move 7 5 1000
    map 14 5 rw
    move 14 5 2000
    write 1 a
    move 2000 5 11
    move 1000 5 6             see 1 wwwwwwwwwwwwwww
  `,
  );
  carved(
    'unfaulted between two pieces of one faulted VMA',
    `
    map 1 15 rw
    write 1 a
    unmap 6 5                 see 1 wwwww.....wwwww
    map 20 5 rw
    move 20 5 6               see 1 wwwwwwwwwwwwwww
  `,
  );
  carved(
    'pieces that come home',
    `
    map 1 15 rw
    write 1 a
    move 11 5 2000
    move 6 5 1000             see 1 wwwww..........n
    move 1000 5 6             see 1 wwwwwwwwww.....n
    move 1 5 1000
    move 1000 5 1             see 1 wwwwwwwwww.....n
    move 1 5 1000
    move 2000 5 11            see 1 .....wwwwwwwwww|n
    move 1000 5 1             see 1 wwwwwwwwwwwwwww|n
    move 6 5 1000
    move 1000 5 6             see 1 wwwwwwwwwwwwwww|n
    move 11 5 2000
    move 2000 5 11            see 1 wwwwwwwwwwwwwww|n
  `,
  );
});

describe('mremap moves faulted memory next to unfaulted', () => {
  const rows = [
    {
      name: 'previous',
      fault: 'map 4 3 rw\n write 4 a',
      move: 'keep 4 3 20\n unmap 4 3\n map 1 3 rw\n keep 20 3 4',
      merged: 'see 1 wwwwww',
      apart: 'see 1 www|www',
    },
    {
      name: 'next',
      fault: 'map 1 3 rw\n write 1 a',
      move: 'keep 1 3 20\n unmap 1 3\n map 4 3 rw\n keep 20 3 1',
      merged: 'see 1 wwwwww',
      apart: 'see 1 www|www',
    },
    {
      name: 'previous and next',
      fault: 'map 4 3 rw\n write 4 a',
      move: 'keep 4 3 20\n unmap 4 3\n map 1 3 rw\n map 7 3 rw\n keep 20 3 4',
      merged: 'see 1 wwwwwwwww',
      apart: 'see 1 www|www|www',
    },
    {
      name: 'previous, and a next that was faulted with it',
      fault: 'map 4 6 rw\n write 4 a',
      move: 'move 4 3 20\n map 1 3 rw\n keep 20 3 4',
      merged: 'see 1 wwwwwwwww',
      apart: 'see 1 www|wwwwww',
    },
  ];
  for (const { name, fault, move, merged, apart } of rows) {
    carved(name, `${fault}\n ${move} ${merged}`);
    carved(`${name}, after fork`, `${fault}\n fork\n ${move} ${apart}`);
  }
});

describe('a new mapping', () => {
  scriptTest(
    'joins left, right, both',
    `
    map 0 2 rw
    map 3 1 rw                see 0 ww.w
    map 2 1 rw                see 0 wwww
    map 5 1 rw
    map 7 1 rw                see 0 wwww.w.w
    map 6 1 rw                see 0 wwww.www
    map 4 1 rw                see 0 wwwwwwww
  `,
  );
  scriptTest(
    'between two that were faulted apart joins the left one',
    `
    map 0 2 rw
    map 3 2 rw
    write 0 a
    write 3 a
    map 2 1 rw                see 0 www|ww
  `,
  );
  scriptTest(
    'between an unfaulted and a faulted one joins all',
    `
    map 0 2 rw
    map 3 2 rw
    write 3 a
    map 2 1 rw                see 0 wwwww
  `,
  );
  scriptTest(
    'does not join other rights or other accounting',
    `
    map 0 2 rw
    map 2 2 r                 see 0 ww|rr
    map 4 2 rw nr             see 0 ww|rr|ww
    map 6 2 rw                see 0 ww|rr|ww|ww
  `,
  );
});

describe('page offsets', () => {
  scriptTest(
    'unfaulted memory takes those of its new place',
    `
    map 0 2 rw
    write 0 a
    map 10 2 rw
    read 10 2                 data 10 00
    move 10 2 2               see 0 wwww data 0 a_00
  `,
  );
  scriptTest(
    'faulted memory keeps its own',
    `
    map 0 2 rw
    map 10 2 rw
    write 10 a
    move 10 2 2               see 0 ww|ww
    map 4 2 rw                see 0 ww|ww|ww
  `,
  );
  scriptTest(
    'displaced memory merges in order only',
    `
    map 0 4 rw
    write 0 abcd
    move 0 2 20
    move 2 2 22               see 20 wwww data 20 abcd
  `,
  );
  scriptTest(
    'displaced memory in another order does not',
    `
    map 0 4 rw
    write 0 abcd
    move 0 2 22
    move 2 2 20               see 20 ww|ww data 20 cdab
  `,
  );
  scriptTest(
    'displaced memory still expands in place',
    `
    map 0 2 rw
    write 0 ab
    move 0 2 20
    remap 20 2 4 - = 20       see 20 wwww data 20 ab__
    map 24 1 rw               see 20 wwww|w
  `,
  );
  scriptTest(
    'home again',
    `
    map 0 4 rw
    write 0 abcd
    move 2 2 50
    move 50 2 2               see 0 wwww data 0 abcd
  `,
  );
});

describe('a move within the unfaulted', () => {
  scriptTest(
    'to its end',
    `
    map 0 4 rw
    move 0 2 4                see 0 ..wwww
  `,
  );
  scriptTest(
    'to its start',
    `
    map 4 4 rw
    move 6 2 2                see 0 ..wwww..
  `,
  );
  scriptTest(
    'of its middle',
    `
    map 0 6 rw
    move 2 2 6                see 0 ww..wwww
  `,
  );
  scriptTest(
    'with MREMAP_DONTUNMAP makes it longer',
    `
    map 0 4 rw
    keep 0 4 4                see 0 wwwwwwww
  `,
  );
  scriptTest(
    'with growth',
    `
    map 0 4 rw
    remap 0 2 6 MF 4 = 4      see 0 ..wwwwwwww
  `,
  );
  scriptTest(
    'with shrinking',
    `
    map 0 6 rw
    remap 0 6 2 MF 6 = 6      see 0 ......ww
  `,
  );
});

describe('accounting decides too', () => {
  scriptTest(
    'memory that was written stays accounted when it becomes read-only',
    `
    map 0 2 rw
    write 0 a
    map 2 2 r
    protect 0 2 r             see 0 rr|rr
  `,
  );
  scriptTest(
    'memory that was never written does not',
    `
    map 0 2 rw
    map 2 2 r
    protect 0 2 r             see 0 rrrr
  `,
  );
  scriptTest(
    'no reserve, no accounting',
    `
    map 0 6 n nr
    protect 2 2 rw
    write 2 ab
    protect 2 2 n             see 0 nnnnnn data 0 __ab__
  `,
  );
  scriptTest(
    'reserve: the written part stays apart',
    `
    map 0 6 n
    protect 2 2 rw
    write 2 ab
    protect 2 2 n             see 0 nn|nn|nn
  `,
  );
});
