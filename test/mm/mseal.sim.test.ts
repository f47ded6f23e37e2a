/** mseal and what it forbids: selftests/mm mseal_test.c, and what a refused call leaves split. */
import { describe, expect } from 'vitest';
import { EINTR, EINVAL, ENOMEM } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { sysMseal } from '../../src/mm/mseal.ts';
import { vpnToAddr } from '../../src/mm/userSpace.ts';
import { failingTask, mmTest, type Sandbox } from './sandbox.ts';
import { BASE, runScript, scriptTest } from './vmaScript.ts';

const P = 4096;
const TOP = 2 ** 64;
const at = (page: number): number => vpnToAddr(BASE + page);

describe('sealing', () => {
  scriptTest(
    'twice is as once; splits and merges like any flag',
    `
    map 0 6 r
    seal 1 1                  marks 0 -s----  see 0 r|r|rrrr
    seal 1 1
    seal 4 1                  see 0 r|r|rr|r|r
    seal 2 1                  see 0 r|rr|r|r|r
    seal 1 4                  marks 0 -ssss-  see 0 r|rrrr|r
  `,
  );
  scriptTest(
    'a hole anywhere: nothing is sealed',
    `
    map 1 1 r
    map 3 1 r
    seal 0 2 = ENOMEM
    seal 1 3 = ENOMEM
    seal 3 2 = ENOMEM         marks 0 .-.-
    seal 1 1
    seal 3 1                  marks 0 .s.s
  `,
  );
  scriptTest('a child is sealed as well', 'map 0 2 rw\n write 0 a\n seal 0 1\n fork marks 0 s-\n unmap 0 1 = EPERM');
  scriptTest('new mappings do not merge with it', 'map 0 2 rw\n seal 0 2\n map 2 2 rw see 0 ww|ww');
});

describe('a sealed mapping cannot be', () => {
  const sealed = 'map 0 4 rw\n write 0 abcd\n seal 1 2';
  const rows = [
    { what: 'unmapped', call: 'unmap 1 2 = EPERM see 0 w|ww|w' },
    { what: 'unmapped in part', call: 'unmap 2 1 = EPERM see 0 w|ww|w' },
    { what: 'unmapped with what lies before it', call: 'unmap 0 4 = EPERM see 0 w|ww|w' },
    { what: 'protected', call: 'protect 1 2 r = EPERM' },
    { what: 'protected as it is', call: 'protect 2 1 rw = EPERM see 0 w|ww|w' },
    { what: 'protected, but what lies before it can', call: 'protect 0 4 r = EPERM see 0 r|ww|w' },
    { what: 'replaced', call: 'map 0 8 n = EPERM see 0 w|ww|w....' },
    { what: 'moved', call: 'move 1 2 20 = EPERM see 20 ..' },
    { what: 'moved behind one that can', call: 'move 0 4 20 = EPERM see 0 .ww|w data 20 a...' },
    { what: 'moved without unmapping', call: 'keep 1 2 20 = EPERM' },
    { what: 'shrunk', call: 'remap 1 2 1 - = EPERM' },
    { what: 'grown', call: 'unmap 3 1\n remap 1 2 3 - = EPERM' },
    { what: 'resized not at all', call: 'remap 1 2 2 - = EPERM' },
    { what: 'a destination', call: 'map 20 2 rw\n move 20 2 1 = EPERM see 20 ww' },
  ];
  for (const { what, call } of rows) scriptTest(what, `${sealed}\n ${call}\n read 0 0 data 1 bc`);
  scriptTest('replaced, but the edge of the range is cut', 'map 0 4 rw\n seal 3 1\n map 1 3 r = EPERM see 0 w|ww|w');
  scriptTest('unmapped, but the edge of the range is cut', 'map 0 4 rw\n seal 3 1\n unmap 1 3 = EPERM see 0 w|ww|w');
  scriptTest(
    'but it can be written, locked, forked, and its neighbours unmapped',
    `
    ${sealed}
    unmap 0 1
    unmap 3 1                 see 0 .ww.
    write 1 xy                data 1 xy
    lock 1 2
    unlock 1 1                marks 1 ss
    fork                      data 1 xy
  `,
  );
});

describe('arguments', () => {
  const rows = [
    { what: 'flags', args: [at(0), P, 0x20], result: -EINVAL },
    { what: 'a misaligned address', args: [at(0) + 1, P, 0], result: -EINVAL },
    { what: 'a length that wraps to nothing', args: [at(0), TOP - 1, 0], result: -EINVAL },
    { what: 'a range that wraps', args: [at(0), TOP - 2 * P, 0], result: -EINVAL },
    { what: 'no length', args: [at(9), 0, 0], result: 0 },
    { what: 'a length of one page and one byte', args: [at(0), P + 1, 0], result: 0, marks: 'ss--' },
    { what: 'one page too many', args: [at(0), 4 * P + 1, 0], result: -ENOMEM },
  ];
  for (const { what, args, result, marks = '----' } of rows) {
    mmTest(what, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw');
      expect(sysMseal(box.task, args[0], args[1], args[2])).toBe(result);
      runScript(box, `read 0 0 marks 0 ${marks}`);
    });
  }
});

describe('without memory or time', () => {
  mmTest('for a split: nothing is sealed', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw');
    expect(sysMseal(failingTask(box.task, 0), at(1), P, 0)).toBe(-ENOMEM);
    runScript(box, 'read 0 0 marks 0 ---- see 0 wwww');
  });
  mmTest('killed while it waits', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw');
    mmapWriteLock(box.task2, box.mm);
    killTask(box.task3, box.task.id);
    expect(sysMseal(box.task, at(0), P, 0)).toBe(-EINTR);
    mmapWriteUnlock(box.task2, box.mm);
  });
});
