/** exec's temporary stack on its own: where it is before and after, whose numbers its pages have, what stands in its way. */
import { describe, expect } from 'vitest';
import { EFAULT, EINTR, ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { NO_TABLE, type Vpn } from '../../src/layout/ids.ts';
import { LEVEL_PTE } from '../../src/layout/pageTable.ts';
import { VM_GROWSDOWN, VM_STACK_INCOMPLETE_SETUP, vmaFlags, vmaPgoff } from '../../src/layout/vma.ts';
import { mmapReadLock, mmapReadUnlock } from '../../src/locks/mmapLock.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { findTable } from '../../src/mm/pageTable.ts';
import { createInitStackVma, execShiftStack } from '../../src/mm/relocateVma.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { failingTask, mmTest, type Sandbox } from './sandbox.ts';
import { BASE, drawPages, drawVmas, runScript } from './vmaScript.ts';

const TOP = 20;
const PAGES = 4;
const page = (n: number): Vpn => (BASE + n) as Vpn;
const STACK = TOP - PAGES;

function prepare(box: Sandbox, script = ''): Sim<void> {
  runScript(box, script);
  expect(createInitStackVma(box.task, page(TOP), PAGES)).toBe(0);
  runScript(box, `write ${STACK} abcd see ${STACK} wwww`);
}

function shift(box: Sandbox, pages: number): Sim<number> {
  return execShiftStack(box.task, page(STACK), pages);
}

describe('the temporary stack', () => {
  mmTest('is marked, and moves down with its pages and their numbers', (box: Sandbox): Sim<void> => {
    prepare(box);
    const vma = vmaLookup(box.task, box.mm, page(STACK));
    const flags = vmaFlags(box.heap, vma);
    expect(flags & VM_STACK_INCOMPLETE_SETUP).not.toBe(0);
    expect(shift(box, 10)).toBe(0);
    runScript(box, 'see 5 .wwww.......... data 5 .abcd..........');
    expect(vmaLookup(box.task, box.mm, page(6))).toBe(vma);
    expect(vmaFlags(box.heap, vma)).toBe(flags & ~VM_STACK_INCOMPLETE_SETUP);
    expect(vmaPgoff(box.heap, vma)).toBe(page(STACK));
  });

  for (const pages of [1, 2, 3, 4]) {
    mmTest(`by ${pages} of its ${PAGES} pages: the places overlap or touch`, (box: Sandbox): Sim<void> => {
      prepare(box);
      expect(shift(box, pages)).toBe(0);
      runScript(box, `see ${STACK - pages} wwww. data ${STACK - pages} abcd.`);
    });
  }

  mmTest('not at all', (box: Sandbox): Sim<void> => {
    prepare(box);
    expect(shift(box, 0)).toBe(0);
    runScript(box, `see ${STACK} wwww data ${STACK} abcd`);
  });

  mmTest('gives the page table of its old place back', (box: Sandbox): Sim<void> => {
    expect(createInitStackVma(box.task, 600 as Vpn, 2)).toBe(0);
    runScript(box, `write ${598 - BASE} ab`);
    expect(findTable(box.task, box.mm, 598 as Vpn, LEVEL_PTE)).not.toBe(NO_TABLE);
    expect(execShiftStack(box.task, 598 as Vpn, 200)).toBe(0);
    expect(findTable(box.task, box.mm, 598 as Vpn, LEVEL_PTE)).toBe(NO_TABLE);
    runScript(box, `data ${398 - BASE} ab`);
  });

  mmTest('is a stack afterwards: placement keeps away from it', (box: Sandbox): Sim<void> => {
    expect(createInitStackVma(box.task, 4096 as Vpn, 2)).toBe(0);
    expect(execShiftStack(box.task, 4094 as Vpn, 100)).toBe(0);
    runScript(
      box,
      `
      map null 100 n hint = ${4096 - 100 - BASE}
      map null 1 n hint = ${3994 - 256 - 1 - BASE}
      map ${3994 - 256 - BASE} 1 r hint = ${3994 - 256 - 2 - BASE}
      map ${3994 - 1 - BASE} 1 r
    `,
    );
    expect(vmaFlags(box.heap, vmaLookup(box.task, box.mm, 3994 as Vpn)) & VM_GROWSDOWN).not.toBe(0);
  });
});

describe('what stands in its way', () => {
  mmTest('something mapped below', (box: Sandbox): Sim<void> => {
    prepare(box, 'map 8 1 r');
    expect(shift(box, 10)).toBe(-EFAULT);
    runScript(box, `see 8 r see ${STACK} wwww data ${STACK} abcd`);
  });
  mmTest('something mapped at the top', (box: Sandbox): Sim<void> => {
    runScript(box, `map ${STACK} 1 r`);
    expect(createInitStackVma(box.task, page(TOP), PAGES)).toBe(-ENOMEM);
    runScript(box, `see ${STACK} r...`);
  });
  mmTest('a fatal signal', (box: Sandbox): Sim<void> => {
    prepare(box);
    killTask(box.task2, box.task.id);
    mmapReadLock(box.task2, box.mm);
    expect(shift(box, 10)).toBe(-EINTR);
    expect(createInitStackVma(box.task, page(100), 1)).toBe(-EINTR);
    mmapReadUnlock(box.task2, box.mm);
  });

  const failures = [
    { n: 0, vmas: 'wwww', pages: 'abcd', what: 'widening' },
    { n: 1, vmas: 'wwww', pages: 'abcd', what: 'a page table' },
    { n: 2, vmas: 'wwww', pages: '____', what: 'shrinking' },
  ];
  for (const { n, what, vmas, pages } of failures) {
    mmTest(
      `no memory for ${what}: fit for exit`,
      (box: Sandbox): Sim<void> => {
        expect(createInitStackVma(box.task, 600 as Vpn, 4)).toBe(0);
        runScript(box, `write ${596 - BASE} abcd`);
        expect(execShiftStack(failingTask(box.task, n), 596 as Vpn, 200)).toBe(-ENOMEM);
        expect(drawVmas(box.heap, box.mm, 596 - BASE, 4)).toBe(vmas);
        expect(drawPages(box, 596 - BASE, 4)).toBe(pages);
      },
      n === 0
        ? {}
        : {
            expected:
              n === 1
                ? ['rmap walk misses an entry: its index leads to another address (VMA [N, N) pgoff N faulted)']
                : [],
          },
    );
  }
});
