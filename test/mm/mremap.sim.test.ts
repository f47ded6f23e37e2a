/** mremap that moves, grows, shrinks: the rows of selftests/mm/mremap_test.c and mremap_dontunmap.c, and recorded corner cases. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import type { Heap } from '../../src/arena/heap.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { MM } from '../../src/layout/mm.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { mmTest, type Sandbox } from './sandbox.ts';
import { runScript, scriptTest } from './vmaScript.ts';

const ONE_BY_ONE = { ...LINUX_7_0, mremap: { ...LINUX_7_0.mremap, multiVma: false } };

describe('at its place', () => {
  scriptTest(
    'the same length is a no-op, even beyond the end',
    `
    map 0 4 rw
    write 0 abcd
    remap 0 4 4 - = 0
    remap 2 8 8 - = 2
    remap 2 8 8 M = 2         see 0 wwww.... data 0 abcd
  `,
  );
  scriptTest(
    'expansion into a hole merges with what is behind it',
    `
    map 0 3 rw
    unmap 1 1                 see 0 w.w
    remap 0 1 2 - = 0         see 0 www
  `,
  );
  scriptTest(
    'expansion from an offset',
    `
    map 0 3 rw
    unmap 2 1                 see 0 ww.
    remap 1 1 2 - = 1         see 0 www
  `,
  );
  scriptTest(
    'expansion up to a neighbour that was faulted apart does not merge',
    `
    map 0 1 rw
    map 2 1 rw
    write 0 a
    write 2 b
    remap 0 1 2 - = 0         see 0 ww|w
  `,
  );
  scriptTest(
    'expansion up to other rights does not merge',
    `
    map 0 1 rw
    map 2 1 r
    remap 0 1 2 - = 0         see 0 ww|r
  `,
  );
  scriptTest(
    'no room to expand',
    `
    map 0 2 rw
    map 2 1 r
    remap 0 2 3 - = ENOMEM    see 0 ww|r
  `,
  );
  scriptTest(
    'expansion from the middle is none',
    `
    map 0 4 rw
    remap 0 2 3 - = ENOMEM    see 0 wwww
  `,
  );
  scriptTest(
    'shrinking',
    `
    map 0 4 rw
    write 0 abcd
    remap 0 4 1 - = 0         see 0 w... data 0 a
  `,
  );
  scriptTest(
    'shrinking in the middle punches a hole',
    `
    map 0 10 rw
    remap 2 4 2 - = 2         see 0 wwww..wwww
  `,
  );
  scriptTest(
    'shrinking unmaps whatever lies in the tail',
    `
    map 0 2 rw
    map 3 1 r
    map 6 2 rw
    remap 0 7 1 - = 0         see 0 w......w
  `,
  );
  scriptTest(
    'shrinking several VMAs',
    `
    map 0 10 rw
    unmap 1 1
    unmap 3 1
    unmap 5 1
    unmap 7 1
    unmap 9 1                 see 0 w.w.w.w.w.
    remap 0 10 1 - = 0        see 0 w.........
  `,
  );
});

describe('to another place', () => {
  scriptTest(
    'found by the kernel when there is no room',
    `
    map 0 2 rw
    write 0 ab
    map 2 1 r
    remap 0 2 4 M = 4028      see 0 ..r see 4028 wwww data 4028 ab__
  `,
  );
  scriptTest(
    'growing out of the middle leaves the rest',
    `
    map 0 4 rw
    write 0 abcd
    remap 1 2 4 MF 100 = 100  see 0 w..w see 100 wwww data 0 a..d data 100 bc__
  `,
  );
  scriptTest(
    'onto something',
    `
    map 0 2 rw
    write 0 ab
    map 100 4 r
    move 0 2 101 = 101        see 0 .. see 100 r|ww|r data 101 ab
  `,
  );
  scriptTest(
    'within one VMA',
    `
    map 0 10 rw
    write 0 abcdefghij
    move 1 3 6 = 6            see 0 w...ww|www|w data 0 a...efbcdj
  `,
  );
  scriptTest(
    'shrinking',
    `
    map 0 4 rw
    write 0 abcd
    remap 0 4 2 MF 50 = 50    see 0 .... see 50 ww data 50 ab
  `,
  );
  scriptTest(
    'shrinking over a border: the kept part must be one VMA',
    `
    map 0 2 rw
    map 2 2 r
    remap 0 4 3 MF 50 = EFAULT  see 0 ww|rr
    remap 0 4 2 MF 50 = 50      see 0 .... see 50 ww
  `,
  );
  scriptTest(
    'without access the data come along',
    `
    map 0 2 rw
    write 0 ab
    protect 0 2 n
    move 0 2 50
    protect 50 2 rw           data 50 ab
  `,
  );
  scriptTest(
    'the parent moves, the child does not',
    `
    map 0 2 rw
    write 0 ab
    fork
    move 0 2 50               see 0 .. data 50 ab
  `,
  );
});

describe('several VMAs at once', () => {
  scriptTest(
    'keep their gaps, over three moves',
    `
    map 0 11 rw
    write 0 abcdefghijk
    unmap 1 1
    unmap 3 1
    unmap 7 1
    unmap 9 1                 see 0 w.w.www.w.w data 0 a.c.efg.i.k
    move 0 11 100 = 100       see 0 ........... data 100 a.c.efg.i.k
    move 100 11 111 = 111     see 100 ........... data 111 a.c.efg.i.k
    map 100 11 n
    move 111 11 100 = 100     data 100 a_c_efg_i_k
  `,
  );
  scriptTest(
    'keep what lies opposite a gap',
    `
    map 0 2 rw
    write 0 ab
    map 4 2 x
    write 4 c
    map 100 10 rw
    write 100 DDDDDDDDDD
    move 0 6 101 = 101        see 0 ...... data 100 DabDDc_DDD
  `,
  );
  scriptTest(
    'are split at the edges of the range',
    `
    map 0 10 rw
    unmap 5 1
    write 0 abcde.ghij
    move 2 7 100 = 100        see 0 ww.......w data 0 ab.......j data 100 cde.ghi
  `,
  );
  scriptTest(
    'with MREMAP_DONTUNMAP the sources stay, empty',
    `
    map 0 10 rw
    unmap 5 1
    write 0 abcde.ghij
    keep 2 7 100 = 100        see 0 wwwww.wwww data 0 ab___.___j data 100 cde.ghi
  `,
  );
  scriptTest(
    'a destination that merges with its unfaulted source is not taken for one more source',
    `
    map 0 8 rw
    keep 4 3 8 = 8            see 0 wwwwwwwwwww
  `,
  );
  scriptTest(
    'may end in a hole',
    `
    map 0 4 rw
    write 0 abcd
    move 2 8 100 = 100        see 0 ww........ data 100 cd......
  `,
  );
  scriptTest(
    'may not begin in one',
    `
    map 2 2 rw
    map 100 4 r
    move 0 4 100 = EFAULT     see 0 ..ww see 100 rrrr
  `,
  );
  scriptTest(
    'one after the other before 6.17',
    `
    map 0 2 rw
    map 2 2 r
    move 0 4 100 = EFAULT     see 0 ww|rr
  `,
    { rules: ONE_BY_ONE },
  );
});

describe('MREMAP_DONTUNMAP', () => {
  scriptTest(
    'leaves an empty mapping',
    `
    map 0 5 rw
    write 0 aaaaa
    remap 0 5 5 MD = 4027     see 0 wwwww data 0 _____ data 4027 aaaaa
    read 0 5                  data 0 00000
  `,
  );
  scriptTest(
    'onto something',
    `
    map 0 5 rw
    write 0 aaaaa
    map 50 5 rw
    write 50 XXXXX
    keep 0 5 50 = 50          data 0 _____ data 50 aaaaa
  `,
  );
  scriptTest(
    'of a part',
    `
    map 0 10 rw
    write 0 aaaaabbbbb
    remap 5 5 5 MD = 4027     see 0 wwwwwwwwww data 0 aaaaa_____ data 4027 bbbbb
  `,
  );
  scriptTest(
    'onto a part of something',
    `
    map 0 5 rw
    write 0 aaaaa
    map 50 10 rw
    write 50 XXXXXXXXXX
    keep 0 5 50 = 50          data 50 aaaaaXXXXX
  `,
  );
  scriptTest(
    'takes the hint',
    `
    map 0 2 rw
    remap 0 2 2 MD 300 = 300  see 300 ww
  `,
  );
  scriptTest(
    'or not, if that is taken',
    `
    map 0 2 rw
    map 301 1 r
    remap 0 2 2 MD 300 = 4030 see 300 .r
  `,
  );
  scriptTest(
    'of the whole: the source is as if never written',
    `
    map 0 2 rw
    write 0 ab
    keep 0 2 50
    map 2 2 rw                see 0 wwww
  `,
  );
  scriptTest(
    'of a part: the source stays one that was written',
    `
    map 0 4 rw
    write 0 abcd
    keep 0 2 50
    map 10 2 rw
    write 10 x
    move 10 2 4               see 0 wwww|ww
  `,
  );
});

describe('accounting', () => {
  const totalVm = (heap: Heap, mm: MmPtr): number[] => [heap[mm + MM.totalVm], heap[mm + MM.dataVm]];

  const rows = [
    { script: 'map 0 4 rw', total: [4, 4] },
    { script: 'map 0 4 r', total: [4, 0] },
    { script: 'map 0 4 rw\n move 0 2 50', total: [4, 4] },
    { script: 'map 0 4 rw\n keep 0 2 50', total: [6, 6] },
    { script: 'map 0 4 rw\n remap 0 4 6 -', total: [6, 6] },
    { script: 'map 0 4 rw\n remap 0 4 1 -', total: [1, 1] },
    { script: 'map 0 4 rw\n remap 0 4 2 MF 50', total: [2, 2] },
    { script: 'map 0 4 rw\n remap 0 2 6 MF 50', total: [8, 8] },
    { script: 'map 0 4 rw\n protect 1 2 r', total: [4, 2] },
    { script: 'map 0 4 rw\n map 2 4 r', total: [6, 2] },
    { script: 'map 0 4 rw\n unmap 1 2', total: [2, 2] },
  ];
  for (const { script, total } of rows) {
    mmTest(`of: ${script.replaceAll('\n', ';')}`, (box: Sandbox): Sim<void> => {
      runScript(box, script);
      expect(totalVm(box.heap, box.mm)).toEqual(total);
    });
  }
});

describe('near max_map_count', () => {
  scriptTest(
    'a fixed move needs six more',
    `
    map 0 2 rw
    map 10 2 r
    limit 6
    move 0 1 50 = 50          see 0 .w see 50 w
  `,
  );
  scriptTest(
    'five are not enough',
    `
    map 0 2 rw
    map 10 2 r
    limit 5
    move 0 2 50 = ENOMEM      see 0 ww
    keep 0 2 50 = ENOMEM      see 0 ww
  `,
  );
  scriptTest(
    'a move to a free place needs four',
    `
    map 0 2 rw
    map 2 1 r
    limit 4
    remap 0 2 3 M = 4029      see 0 ..r
  `,
  );
  scriptTest(
    'three are not enough',
    `
    map 0 2 rw
    map 2 1 r
    limit 3
    remap 0 2 3 M = ENOMEM    see 0 ww|r
  `,
  );
  scriptTest(
    'in place nothing is needed',
    `
    map 0 2 rw
    limit 0
    remap 0 2 4 - = 0         see 0 wwww
    remap 0 4 2 - = 0         see 0 ww..
    remap 0 1 0 - = EINVAL
  `,
  );
  scriptTest(
    'but a hole is one too many',
    `
    map 0 4 rw
    limit 0
    remap 0 2 1 - = ENOMEM    see 0 wwww
  `,
  );
});
