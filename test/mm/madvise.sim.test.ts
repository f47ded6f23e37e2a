/** madvise: order of errors, holes, flags, contents, and the locks it takes. LTP madvise01/02/07/09/10, selftests/mm madv_populate. */
import { describe, expect } from 'vitest';
import { EAGAIN, EINTR, EINVAL, ENOMEM, errnoName } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { killTask } from '../../src/locks/sleep.ts';
import { vmaEndRead } from '../../src/locks/vmaLock.ts';
import { sysMadvise } from '../../src/mm/madvise.ts';
import { MADV_DONTNEED, MADV_FREE, MADV_NORMAL, MADV_RANDOM } from '../../src/mm/syscallFlags.ts';
import { vpnToAddr } from '../../src/mm/userSpace.ts';
import { lockVmaUnderRcu } from '../../src/mm/vma.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { failingTask, mmTest, type Sandbox } from './sandbox.ts';
import { BASE, runScript, runStep, scriptTest } from './vmaScript.ts';

const P = 4096;
const TOP = 2 ** 64;
const at = (page: number): number => vpnToAddr(BASE + page);
const UNDER_MMAP_LOCK = { ...LINUX_7_0, madvise: { perVmaLock: false } };

describe('arguments, in this order', () => {
  const rows = [
    { what: 'unknown advice, even for nothing', args: [at(0), 0, 99], result: -EINVAL },
    { what: 'advice that is not modelled', args: [at(0), P, 9], result: -EINVAL },
    { what: 'a misaligned address, even for nothing', args: [at(0) + 1, 0, MADV_NORMAL], result: -EINVAL },
    { what: 'a length that wraps to nothing', args: [at(0), TOP - 1, MADV_NORMAL], result: -EINVAL },
    { what: 'a range that wraps', args: [at(0), TOP - 2 * P, MADV_NORMAL], result: -EINVAL },
    { what: 'nothing, where nothing is', args: [at(9), 0, MADV_DONTNEED], result: 0 },
    { what: 'a hole', args: [at(9), P, MADV_DONTNEED], result: -ENOMEM },
  ];
  for (const { what, args, result } of rows) {
    mmTest(`${what}: ${result === 0 ? 'ok' : errnoName(result)}`, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw\n write 0 abcd');
      expect(sysMadvise(box.task, args[0], args[1], args[2])).toBe(result);
      runScript(box, 'read 0 0 data 0 abcd see 0 wwww');
    });
  }
});

describe('flags', () => {
  const pairs = [
    { set: 'dontfork', clear: 'dofork', mark: 'd' },
    { set: 'wipeonfork', clear: 'keeponfork', mark: 'w' },
    { set: 'mergeable', clear: 'unmergeable', mark: 'm' },
    { set: 'sequential', clear: 'normal', mark: 'q' },
    { set: 'random', clear: 'normal', mark: 'r' },
  ];
  for (const { set, clear, mark } of pairs) {
    scriptTest(
      `${set} splits, ${clear} merges again`,
      `
      map 0 6 rw
      write 0 a
      advise 2 2 ${set}       see 0 ww|ww|ww  marks 0 --${mark}${mark}--
      advise 2 2 ${set}
      advise 3 3 ${set}       see 0 ww|wwww   marks 2 ${mark.repeat(4)}
      advise 0 6 ${clear}     see 0 wwwwww    marks 0 ------
    `,
    );
  }
  scriptTest(
    'sequential and random exclude each other',
    'map 0 1 r\n advise 0 1 random\n advise 0 1 sequential marks 0 q',
  );
  scriptTest(
    'a hole: what lies around it is treated, the answer is ENOMEM',
    `
    map 0 2 rw
    map 4 2 rw
    advise 0 6 random = ENOMEM      marks 0 rr..rr
    advise 2 4 normal = ENOMEM      marks 0 rr..--
    advise 0 4 normal = ENOMEM      marks 0 --..--
    advise 1 9 mergeable = ENOMEM   marks 0 -m..mm
  `,
  );
  scriptTest(
    'no change, no merge',
    `
    map 0 2 rw
    map 2 2 r
    lock 2 2
    protect 0 4 rw
    unlock 2 2                see 0 wwww
    advise 0 2 dontfork
    map 4 2 rw
    advise 4 2 dontfork       see 0 ww|ww|ww
    advise 4 2 dontfork       see 0 ww|ww|ww
    advise 2 2 dontfork       see 0 wwwwww
  `,
  );
  mmTest('without memory for a split: EAGAIN', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw');
    expect(sysMadvise(failingTask(box.task, 0), at(1), P, MADV_RANDOM)).toBe(-EAGAIN);
    runScript(box, 'limit 0\n advise 1 1 random = EAGAIN see 0 wwww marks 0 ----');
  });
});

describe('fork', () => {
  scriptTest(
    'a child lacks what is not to be copied, and finds zeroes in what is to be wiped',
    `
    map 0 6 rw
    write 0 abcdef
    advise 0 2 dontfork
    advise 3 2 wipeonfork
    fork                      see 0 ..w|ww|w  data 0 ..c__f  marks 0 ..-ww-
    write 3 x
    fork                      data 0 ..c__f  marks 3 ww
    advise 3 2 keeponfork
    write 3 y
    fork                      data 0 ..cy_f
  `,
  );
});

describe('MADV_DONTNEED', () => {
  const script = `
    map 0 4 rw
    write 0 abcd
    advise 1 2 dontneed       see 0 wwww  data 0 a__d
    read 1 1
    write 2 x                 data 0 a0xd
    protect 0 1 n
    advise 0 1 dontneed       data 0 _0xd
    map 6 2 rw
    write 6 gh
    advise 2 6 dontneed = ENOMEM  data 0 _0__..__
    map 4 2 rw
    write 3 def
    advise 3 5 dontneed       data 0 _0______
  `;
  scriptTest('zeroes what is mapped, under the lock of one VMA or of all', script);
  scriptTest('does the same under mmap_lock only', script, { rules: UNDER_MMAP_LOCK });
  scriptTest(
    'locked memory stops it; what lies before is gone already',
    `
    map 0 6 rw
    write 0 abcdef
    lock 2 2
    advise 0 6 dontneed = EINVAL  data 0 __cdef
    advise 2 1 dontneed = EINVAL
    advise 2 1 free = EINVAL
    advise 1 3 dontneedLocked     data 0 ____ef  marks 0 --ll--
  `,
  );
  scriptTest(
    'of sealed memory, unless it could be written',
    `
    map 0 4 rw
    write 0 abcd
    protect 2 2 r
    seal 1 3
    advise 2 1 dontneed = EPERM
    advise 2 1 free = EPERM
    advise 2 1 dontfork = EPERM
    advise 2 1 wipeonfork = EPERM
    advise 2 1 random
    advise 2 1 dofork
    advise 0 4 dontneed = EPERM   data 0 __cd
    advise 1 1 wipeonfork         marks 0 -sss
    advise 1 1 free
  `,
  );
});

describe('MADV_POPULATE', () => {
  scriptTest(
    'touches pages up to the first that cannot be',
    `
    map 0 2 rw
    map 2 2 r
    map 4 1 n
    map 6 2 rw
    advise 0 4 populateRead       data 0 0000
    advise 0 2 populateWrite
    write 0 ab                    data 0 ab00
    advise 0 3 populateWrite = EINVAL
    advise 2 3 populateRead = EINVAL
    advise 5 2 populateRead = ENOMEM data 6 __
    advise 6 3 populateWrite = ENOMEM data 6 00
    advise 0 2 willneed
    advise 4 2 willneed = ENOMEM
  `,
  );
  mmTest('without memory: ENOMEM', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 2 rw\n write 0 a');
    const failing = { ...box, task: failingTask(box.task, 0) };
    expect(runStep(failing, ['advise', '0', '2', 'populateWrite'])).toBe(-ENOMEM);
    runScript(box, 'read 0 0 data 0 a_');
  });
});

describe('locks', () => {
  mmTest('discarding in one VMA goes on while somebody else has mmap_lock', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw\n write 0 abcd');
    mmapWriteLock(box.task2, box.mm);
    expect(sysMadvise(box.task, at(0), P, MADV_DONTNEED)).toBe(0);
    expect(sysMadvise(box.task, at(1), P, MADV_FREE)).toBe(0);
    mmapWriteUnlock(box.task2, box.mm);
    runScript(box, 'read 0 0 data 0 _bcd');
  });
  mmTest('flags need mmap_lock for writing: killed while it waits', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 4 rw');
    mmapReadLock(box.task2, box.mm);
    killTask(box.task3, box.task.id);
    expect(sysMadvise(box.task, at(0), P, MADV_RANDOM)).toBe(-EINTR);
    mmapReadUnlock(box.task2, box.mm);
  });
  mmTest('nothing is left locked, whatever the outcome', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 2 rw\n map 2 2 r\n seal 2 1\n write 0 ab');
    const calls = [
      '0 1 dontneed',
      '0 3 dontneed',
      '2 1 free',
      '0 9 free',
      '9 1 free',
      '9 1 populateRead',
      '0 4 random',
    ];
    for (const call of calls) {
      runStep(box, ['advise', ...call.split(' ')]);
      mmapWriteLock(box.task2, box.mm);
      mmapWriteUnlock(box.task2, box.mm);
      const vma = lockVmaUnderRcu(box.task2, box.mm, BASE as Vpn);
      expect(vma).not.toBe(0);
      vmaEndRead(box.task2, vma);
    }
  });
});
