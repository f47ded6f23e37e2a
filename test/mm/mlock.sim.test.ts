/** mlock, mlock2, munlock, MAP_LOCKED: flags, limit, population, and what stays behind after a failure. LTP mlock01/02, mlock2xx. */
import { describe, expect } from 'vitest';
import { EAGAIN, EINVAL, ENOMEM, EPERM, errnoName } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { mmLockedVm } from '../../src/layout/mm.ts';
import { pteIsWritable } from '../../src/layout/pte.ts';
import { sysMlock, sysMlock2, sysMunlock } from '../../src/mm/mlock.ts';
import { userWrite } from '../../src/mm/userAccess.ts';
import { vpnToAddr } from '../../src/mm/userSpace.ts';
import { failingTask, forkProcess, mmTest, pfnAtVpn, pteAt, readIn, type Sandbox } from './sandbox.ts';
import { BASE, runScript, runStep, scriptTest } from './vmaScript.ts';

const P = 4096;
const TOP = 2 ** 64;
const at = (page: number): number => vpnToAddr(BASE + page);

describe('mlock', () => {
  scriptTest(
    'faults in what it locks: writable memory by writing, the rest by reading',
    `
    map 0 2 rw
    map 2 2 r
    lock 1 2                  marks 0 -ll-  see 0 w|w|r|r  data 0 _00_
    lock 0 4                  marks 0 llll  see 0 ww|rr    data 0 0000
    unlock 1 2                marks 0 l--l  see 0 w|w|r|r  data 0 0000
    unlock 0 4                marks 0 ----  see 0 ww|rr
  `,
  );
  scriptTest(
    'on fault: nothing is faulted in',
    `
    map 0 4 rw
    write 1 b
    lockonfault 0 3           marks 0 fff-  data 0 _b__
    write 0 a                 data 0 ab__
    lock 1 1                  marks 0 flf-
    lockonfault 1 1           marks 0 fff-  see 0 www|w
    unlock 0 4                marks 0 ----  see 0 wwww
  `,
  );
  scriptTest(
    'a hole at the start: nothing; later: what lies before it stays locked, nothing is faulted in',
    `
    map 2 2 rw
    map 6 2 rw
    lock 0 4 = ENOMEM         marks 2 --  data 2 __
    lock 2 6 = ENOMEM         marks 2 ll..--  data 2 __..__
    unlock 2 6 = ENOMEM       marks 2 --..--
    lock 2 4 = ENOMEM         marks 2 ll
    lock 4 2 = ENOMEM
  `,
  );
  scriptTest(
    'memory without access is locked, but the call fails',
    `
    map 0 2 n
    map 2 2 rw
    lock 0 4 = ENOMEM         marks 0 llll  data 0 ____
    unlock 0 4
    lockonfault 0 4           marks 0 ffff
  `,
  );
  scriptTest(
    'a locked mapping that becomes writable is faulted in again',
    `
    map 0 2 r
    lock 0 2                  data 0 00
    protect 0 2 rw
    write 0 ab                data 0 ab
  `,
  );
  mmTest('breaks COW at once', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 2 rw\n write 0 ab');
    const child = forkProcess(box);
    const shared = pfnAtVpn(box, BASE);
    runScript(box, 'lock 0 1 data 0 ab');
    expect(pfnAtVpn(box, BASE)).not.toBe(shared);
    expect(readIn(box.task, child, BASE)).toBe('a'.charCodeAt(0));
  });
  mmTest(
    'a locked read-only mapping made writable has its copies before the first access',
    (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 1 rw\n write 0 a\n protect 0 1 r\n lock 0 1');
      forkProcess(box);
      runScript(box, 'protect 0 1 rw');
      expect(pteIsWritable(pteAt(box, BASE))).toBe(true);
    },
  );
  mmTest('a child has nothing locked', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw\n lock 0 2\n lockonfault 2 1\n fork marks 0 ----');
    expect(mmLockedVm(box.heap, box.mm)).toBe(0);
    expect(mmLockedVm(box.heap, box.others[0])).toBe(3);
  });
});

describe('the limit', () => {
  scriptTest(
    'counts what is locked already once',
    `
    map 0 8 rw
    memlock 4
    lock 0 5 = ENOMEM         marks 0 --------
    lock 0 3
    lock 3 2 = ENOMEM
    lock 1 3                  marks 0 llll----
    lock 0 4
    lock 0 5 = ENOMEM
    unlock 0 1
    lock 1 4                  marks 0 -llll---
    lockonfault 1 5 = ENOMEM
  `,
  );
  scriptTest(
    'of zero forbids locking, not unlocking',
    `
    map 0 2 rw
    memlock 0
    lock 0 1 = EPERM
    lockonfault 0 0 = EPERM
    unlock 0 2
    map 4 1 rw locked = EPERM see 4 .
  `,
  );
  scriptTest(
    'holds for MAP_LOCKED as well, before anything is replaced',
    `
    memlock 3
    map 0 2 rw locked         marks 0 ll  data 0 00
    write 0 ab
    map 0 2 rw locked = EAGAIN data 0 ab
    map 2 1 r locked          marks 0 lll  data 2 0
    map 3 1 rw locked = EAGAIN
    unmap 0 1
    map 3 1 n locked          marks 0 .lll  data 3 _
  `,
  );
});

describe('arguments', () => {
  mmTest('the limit is asked before the range is looked at', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw\n memlock 8');
    expect(sysMlock(box.task, at(0), TOP - P)).toBe(-ENOMEM);
    expect(sysMlock(box.task, at(0), TOP - 2 * P)).toBe(-ENOMEM);
  });

  const rows = [
    { what: 'an unknown flag', call: 'mlock2', args: [at(0), P, 8], result: -EINVAL },
    { what: 'a misaligned address is rounded down', call: 'mlock', args: [at(0) + 5, P], result: 0, locked: 2 },
    { what: 'a length of one byte', call: 'mlock', args: [at(1), 1], result: 0, locked: 1 },
    { what: 'no length', call: 'mlock', args: [at(0), 0], result: 0, locked: 0 },
    { what: 'no length, where nothing is mapped', call: 'mlock', args: [at(9), 0], result: 0, locked: 0 },
    { what: 'no length, misaligned', call: 'mlock', args: [at(3) + 5, 0], result: 0, locked: 1 },
    { what: 'no length, misaligned, in a hole', call: 'mlock', args: [at(9) + 5, 0], result: -ENOMEM, locked: 0 },
    { what: 'a length that wraps to nothing', call: 'mlock', args: [at(0), TOP - 1], result: 0, locked: 0 },
    { what: 'a range that wraps', call: 'mlock', args: [at(0), TOP - 2 * P], result: -EINVAL, locked: 0 },
    { what: 'unlocking a range that wraps', call: 'munlock', args: [at(0), TOP - 2 * P], result: -EINVAL },
    { what: 'unlocking nothing', call: 'munlock', args: [at(9), 0], result: 0 },
    { what: 'unlocking a hole', call: 'munlock', args: [at(9), P], result: -ENOMEM },
  ];
  for (const { what, call, args, result, locked } of rows) {
    mmTest(`${what}: ${result === 0 ? 'ok' : errnoName(result)}`, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw');
      expect(callBy(box, call, args)).toBe(result);
      if (locked !== undefined) expect(mmLockedVm(box.heap, box.mm)).toBe(locked);
    });
  }
});

function callBy(box: Sandbox, call: string, [addr, len, flags]: readonly number[]): Sim<number> {
  if (call === 'mlock') return sysMlock(box.task, addr, len);
  return call === 'mlock2' ? sysMlock2(box.task, addr, len, flags) : sysMunlock(box.task, addr, len);
}

describe('without memory', () => {
  mmTest('for a split: nothing is locked', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw\n write 0 abcd');
    expect(sysMlock(failingTask(box.task, 0), at(1), P)).toBe(-ENOMEM);
    runScript(box, 'read 0 4 marks 0 ---- see 0 wwww');
  });
  mmTest('for the second of two splits: the first stays', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw\n limit 1\n lock 1 1 = ENOMEM see 0 w|www marks 0 ----');
  });
  mmTest('for the pages: locked all the same', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 2 rw\n write 0 a');
    expect(sysMlock(failingTask(box.task, 0), at(0), 2 * P)).toBe(-EAGAIN);
    runScript(box, 'read 0 1 marks 0 ll data 0 a_');
  });
  for (let n = 0; n < 8; n++) {
    mmTest(`allocation ${n} of MAP_LOCKED over a locked mapping`, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw locked\n write 0 abcd');
      runStep({ ...box, task: failingTask(box.task, n) }, ['map', '1', '2', 'rw', 'locked']);
      expect(userWrite(box.task, BASE as Vpn, 0, 1)).toBe(0);
    });
  }
});

describe('locked by limit of the process, not of its parent', () => {
  mmTest('fork hands the limit on', (box: Sandbox): Sim<void> => {
    runScript(box, 'memlock 2\n map 0 4 rw\n lock 0 2\n fork\n lock 0 2 marks 0 ll--\n lock 2 1 = ENOMEM');
    expect(sysMlock2(box.task, at(0), P, 2)).toBe(-EINVAL);
    runScript(box, 'memlock 0');
    expect(sysMlock2(box.task, at(0), P, 1)).toBe(-EPERM);
  });
});
