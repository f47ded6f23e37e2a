/**
 * Every allocation of every call fails once. What must be left is written down for each: what was asked for is not done, splits
 * stay, and what was unmapped before the failure stays unmapped. Detectors then look at the whole machine, and at the end
 * nothing may be left over.
 */
import { describe, expect } from 'vitest';
import { errnoName } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { failingTask, mmTest, type Sandbox } from './sandbox.ts';
import { drawPages, drawVmas, runScript, runStep } from './vmaScript.ts';

interface Row {
  readonly what: string;
  readonly before: string;
  readonly step: string;
  /** Where the pictures begin, and how many pages they have; a second place for moves. */
  readonly at: readonly [number, number, number?];
  /** Outcome when the n-th allocation fails: result and pictures. */
  readonly fails: readonly string[];
  readonly succeeds: string;
}

const ROWS: readonly Row[] = [
  {
    what: 'a new mapping',
    before: 'map 0 2 r',
    step: 'map 4 2 rw',
    at: [0, 6],
    fails: ['ENOMEM rr.... __....', 'ENOMEM rr.... __....'],
    succeeds: 'ok rr..ww __..__',
  },
  {
    what: 'a new mapping that joins left',
    before: 'map 0 2 rw',
    step: 'map 2 2 rw',
    at: [0, 6],
    fails: ['ok ww|ww.. ____..'],
    succeeds: 'ok wwww.. ____..',
  },
  {
    what: 'a new mapping that joins an unfaulted left and a faulted right',
    before: 'map 0 2 rw\n map 4 2 rw\n write 4 ab',
    step: 'map 2 2 rw',
    at: [0, 6],
    fails: ['ok ww|ww|ww ____ab', 'ok ww|ww|ww ____ab'],
    succeeds: 'ok wwwwww ____ab',
  },
  {
    what: 'a mapping over the middle of another',
    before: 'map 0 6 rw\n write 0 abcdef',
    step: 'map 2 2 r',
    at: [0, 6],
    fails: [
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|ww|ww abcdef',
      'ENOMEM ww..ww ab..ef',
      'ENOMEM ww..ww ab..ef',
    ],
    succeeds: 'ok ww|rr|ww ab__ef',
  },
  {
    what: 'a mapping over the middle of another, of the same kind',
    before: 'map 0 6 rw\n write 0 abcdef',
    step: 'map 2 2 rw',
    at: [0, 6],
    fails: [
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|ww|ww abcdef',
      'ok ww|ww|ww ab__ef',
    ],
    succeeds: 'ok wwwwww ab__ef',
  },
  {
    what: 'unmapping the middle',
    before: 'map 0 6 rw\n write 0 abcdef',
    step: 'unmap 2 2',
    at: [0, 6],
    fails: [
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|ww|ww abcdef',
    ],
    succeeds: 'ok ww..ww ab..ef',
  },
  {
    what: 'unmapping over a border',
    before: 'map 0 3 rw\n map 3 3 r\n write 0 abc',
    step: 'unmap 2 2',
    at: [0, 6],
    fails: [
      'ENOMEM www|rrr abc___',
      'ENOMEM www|rrr abc___',
      'ENOMEM www|rrr abc___',
      'ENOMEM ww|w|rrr abc___',
      'ENOMEM ww|w|rrr abc___',
      'ENOMEM ww|w|r|rr abc___',
    ],
    succeeds: 'ok ww..rr ab..__',
  },
  {
    what: 'protecting the middle',
    before: 'map 0 6 rw\n write 0 abcdef',
    step: 'protect 2 2 r',
    at: [0, 6],
    fails: [
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM wwwwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
      'ENOMEM ww|wwww abcdef',
    ],
    succeeds: 'ok ww|rr|ww abcdef',
  },
  {
    what: 'moving a border',
    before: 'map 0 6 rw nr\n write 0 abc\n protect 3 3 r',
    step: 'protect 2 1 r',
    at: [0, 6],
    fails: ['ENOMEM www|rrr abc___'],
    succeeds: 'ok ww|rrrr abc___',
  },
  {
    what: 'a border that unfaulted memory moves',
    before: 'map 0 3 r nr\n map 3 3 rw nr\n write 3 def',
    step: 'protect 3 1 r',
    at: [0, 6],
    fails: ['ENOMEM rrr|www ___def', 'ENOMEM rrr|www ___def'],
    succeeds: 'ok rrrr|ww ___def',
  },
  {
    what: 'protecting the middle of three into one',
    before: 'map 0 2 r nr\n map 2 2 rw nr\n map 4 2 r nr\n write 2 cd',
    step: 'protect 2 2 r',
    at: [0, 6],
    fails: ['ENOMEM rr|ww|rr __cd__', 'ENOMEM rr|ww|rr __cd__'],
    succeeds: 'ok rrrrrr __cd__',
  },
  {
    what: 'growing in place',
    before: 'map 0 2 rw\n write 0 ab',
    step: 'remap 0 2 4 -',
    at: [0, 6],
    fails: ['ENOMEM ww.... ab....'],
    succeeds: 'ok wwww.. ab__..',
  },
  {
    what: 'growing up to a faulted neighbour',
    before: 'map 0 2 rw\n map 4 2 rw\n write 4 ab',
    step: 'remap 0 2 4 -',
    at: [0, 6],
    fails: ['ENOMEM ww..ww __..ab', 'ENOMEM ww..ww __..ab'],
    succeeds: 'ok wwwwww ____ab',
  },
  {
    what: 'shrinking in place',
    before: 'map 0 4 rw\n write 0 abcd',
    step: 'remap 0 4 2 -',
    at: [0, 6],
    fails: ['ENOMEM wwww.. abcd..', 'ENOMEM wwww.. abcd..', 'ENOMEM wwww.. abcd..', 'ENOMEM ww|ww.. abcd..'],
    succeeds: 'ok ww.... ab....',
  },
  {
    what: 'moving a whole VMA',
    before: 'map 0 4 rw\n write 0 abcd',
    step: 'move 0 4 20',
    at: [0, 4, 20],
    fails: [
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ok wwww ____ wwww abcd',
    ],
    succeeds: 'ok .... .... wwww abcd',
  },
  {
    what: 'moving the middle of a VMA',
    before: 'map 0 4 rw\n write 0 abcd',
    step: 'move 1 2 20',
    at: [0, 4, 20],
    fails: [
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ok wwww a__d ww.. bc..',
      'ok wwww a__d ww.. bc..',
      'ok wwww a__d ww.. bc..',
      'ok w|www a__d ww.. bc..',
      'ok w|www a__d ww.. bc..',
      'ok w|www a__d ww.. bc..',
      'ok w|ww|w a__d ww.. bc..',
    ],
    succeeds: 'ok w..w a..d ww.. bc..',
  },
  {
    what: 'moving onto something',
    before: 'map 0 4 rw\n write 0 abcd\n map 20 4 rw\n write 20 wxyz',
    step: 'move 1 2 21',
    at: [0, 4, 20],
    fails: [
      'ENOMEM wwww abcd wwww wxyz',
      'ENOMEM wwww abcd wwww wxyz',
      'ENOMEM wwww abcd wwww wxyz',
      'ENOMEM wwww abcd w|www wxyz',
      'ENOMEM wwww abcd w|www wxyz',
      'ENOMEM wwww abcd w|www wxyz',
      'ENOMEM wwww abcd w|ww|w wxyz',
      'ENOMEM wwww abcd w..w w..z',
      'ENOMEM wwww abcd w..w w..z',
      'ENOMEM wwww abcd w..w w..z',
      'ok wwww a__d w|ww|w wbcz',
      'ok wwww a__d w|ww|w wbcz',
      'ok wwww a__d w|ww|w wbcz',
      'ok w|www a__d w|ww|w wbcz',
      'ok w|www a__d w|ww|w wbcz',
      'ok w|www a__d w|ww|w wbcz',
      'ok w|ww|w a__d w|ww|w wbcz',
    ],
    succeeds: 'ok w..w a..d w|ww|w wbcz',
  },
  {
    what: 'moving next to unfaulted memory',
    before: 'map 0 4 rw\n write 0 abcd\n move 0 2 20\n map 4 2 rw\n unmap 4 2\n map 0 2 rw\n write 0 ..',
    step: 'move 20 2 0',
    at: [0, 4, 20],
    fails: [
      'ENOMEM wwww __cd ww.. ab..',
      'ENOMEM wwww __cd ww.. ab..',
      'ENOMEM wwww __cd ww.. ab..',
      'ENOMEM ww|ww __cd ww.. ab..',
      'ok ww|ww abcd .... ....',
      'ok wwww abcd ww.. __..',
    ],
    succeeds: 'ok wwww abcd .... ....',
  },
  {
    what: 'moving into other page tables',
    before: 'map 0 2 rw\n write 0 ab',
    step: 'move 0 2 2000',
    at: [0, 4, 2000],
    fails: [
      'ENOMEM ww.. ab.. .... ....',
      'ENOMEM ww.. ab.. .... ....',
      'ENOMEM ww.. ab.. .... ....',
      'ENOMEM ww.. ab.. .... ....',
      'ok ww.. __.. ww.. ab..',
    ],
    succeeds: 'ok .... .... ww.. ab..',
  },
  {
    what: 'moving across a page-table border',
    before: 'map 0 4 rw\n write 0 abcd',
    step: 'move 0 4 446',
    at: [0, 4, 446],
    fails: [
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ok wwww ____ wwww abcd',
    ],
    succeeds: 'ok .... .... wwww abcd',
  },
  {
    what: 'moving across a border, keeping the source',
    before: 'map 0 4 rw\n write 0 abcd',
    step: 'keep 0 4 446',
    at: [0, 4, 446],
    fails: [
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
      'ENOMEM wwww abcd .... ....',
    ],
    succeeds: 'ok wwww ____ wwww abcd',
  },
  {
    what: 'moving several VMAs',
    before: 'map 0 4 rw\n write 0 abcd\n protect 2 2 r',
    step: 'move 0 4 20',
    at: [0, 4, 20],
    fails: [
      'ENOMEM ww|rr abcd .... ....',
      'ENOMEM ww|rr abcd .... ....',
      'ENOMEM ww|rr abcd .... ....',
      'ok ww.. __.. ww|rr abcd',
      'ENOMEM ..rr ..cd ww.. ab..',
      'ENOMEM ..rr ..cd ww.. ab..',
      'ENOMEM ..rr ..cd ww.. ab..',
      'ok ..rr ..__ ww|rr abcd',
    ],
    succeeds: 'ok .... .... ww|rr abcd',
  },
  {
    what: 'keeping several sources',
    before: 'map 0 4 rw\n write 0 abcd\n protect 2 2 r',
    step: 'keep 0 4 20',
    at: [0, 4, 20],
    fails: [
      'ENOMEM ww|rr abcd .... ....',
      'ENOMEM ww|rr abcd .... ....',
      'ENOMEM ww|rr abcd .... ....',
      'ENOMEM ww|rr __cd ww.. ab..',
      'ENOMEM ww|rr __cd ww.. ab..',
      'ENOMEM ww|rr __cd ww.. ab..',
    ],
    succeeds: 'ok ww|rr ____ ww|rr abcd',
  },
];

function outcome(box: Sandbox, { at: [first, nr, second] }: Row, result: number): Sim<string> {
  const words = [
    result < 0 ? errnoName(result) : 'ok',
    drawVmas(box.heap, box.mm, first, nr),
    drawPages(box, first, nr),
  ];
  if (second !== undefined) words.push(drawVmas(box.heap, box.mm, second, nr), drawPages(box, second, nr));
  return words.join(' ');
}

for (const row of ROWS) {
  describe(row.what, () => {
    for (const [n, expected] of [...row.fails, row.succeeds].entries()) {
      mmTest(n < row.fails.length ? `allocation ${n + 1} fails` : 'no allocation fails', (box: Sandbox): Sim<void> => {
        runScript(box, row.before);
        const task = failingTask(box.task, n);
        const result = runStep({ ...box, task }, row.step.split(' '));
        expect(outcome(box, row, result)).toBe(expected);
        expect(task.injectedFailures).toBe(n < row.fails.length ? 1 : 0);
      });
    }
  });
}
