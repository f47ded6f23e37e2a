/** mmap: placement, replacement, population; selftests/mm/map_fixed_noreplace.c and recorded corner cases. */
import { describe, expect } from 'vitest';
import { errnoName } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE } from '../../src/mm/syscallFlags.ts';
import * as syscallFlags from '../../src/mm/syscallFlags.ts';
import { sysMmap } from '../../src/mm/syscalls.ts';
import { TASK_SIZE, USER_BASE, setMmapWindow, vpnToAddr } from '../../src/mm/userSpace.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { mmTest, type Sandbox } from './sandbox.ts';
import { BASE, drawVmas, runScript, scriptTest } from './vmaScript.ts';

const { MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE } = syscallFlags;
const P = 4096;
const KIND = MAP_PRIVATE | MAP_ANONYMOUS;
const TOP = 2 ** 64;

describe('MAP_FIXED_NOREPLACE', () => {
  scriptTest(
    'takes only what is free; touching is allowed',
    `
    map 0 5 rw noreplace = 0  see 0 wwwww
    unmap 0 5
    map 1 3 rw noreplace = 1  see 0 .www.
    map 0 5 rw noreplace = EEXIST
    map 2 1 rw noreplace = EEXIST
    map 3 2 rw noreplace = EEXIST
    map 0 2 rw noreplace = EEXIST
    map 0 1 rw noreplace = 0
    map 4 1 rw noreplace = 4  see 0 wwwww
  `,
  );
});

describe('MAP_FIXED replaces', () => {
  scriptTest(
    'a page in the middle, which merges again, empty',
    `
    map 0 4 rw
    write 0 abcd
    map 1 1 rw                see 0 wwww data 0 a_cd
  `,
  );
  scriptTest(
    'with other rights',
    `
    map 0 4 rw
    write 0 abcd
    map 1 2 r                 see 0 w|rr|w data 0 a__d
  `,
  );
  scriptTest(
    'several VMAs and holes',
    `
    map 0 2 rw
    map 3 1 r
    map 5 2 x
    write 0 ab
    write 5 ef
    map 1 5 n                 see 0 w|nnnnn|x data 0 a_____f
  `,
  );
  scriptTest(
    'all of it',
    `
    map 0 4 rw
    write 0 abcd
    map 0 4 r                 see 0 rrrr data 0 ____
  `,
  );
});

describe('MAP_POPULATE', () => {
  scriptTest('writes what may be written', 'map 0 3 rw populate data 0 000\n write 0 a data 0 a00');
  scriptTest('reads what may be read', 'map 0 3 r populate data 0 000');
  scriptTest('does nothing without access', 'map 0 3 n populate data 0 ___');
});

describe('placement', () => {
  scriptTest(
    'downwards from the end of the window, merging',
    `
    map null 1 rw hint = 4031
    map null 1 rw hint = 4030
    map null 4 r hint = 4026  see 4026 rrrr|ww
  `,
  );
  scriptTest(
    'in the highest hole that fits, at its end',
    `
    map 4012 20 rw
    unmap 4027 2
    unmap 4019 5
    unmap 4014 3              see 4012 ww...ww.....www..www
    map null 2 r hint = 4027
    map null 3 r hint = 4021
    map null 3 r hint = 4014
    map null 1 r hint = 4020  see 4012 ww|rrr|ww.rrrr|www|rr|www
  `,
  );
  scriptTest(
    'a free hint is taken, a taken one is not',
    `
    map 200 2 rw hint = 200
    map 199 2 rw hint = 4030
    map 202 2 rw hint = 202   see 200 wwww
  `,
  );
  scriptTest(
    '2 MiB alignment without a hint',
    `
    map null 512 rw hint = 3520
    map null 1536 n hint = 1984
    map null 513 rw hint = 1471
  `,
  );
  scriptTest(
    'no alignment with a hint',
    `
    map 100 512 rw hint = 100
    map 100 512 r hint = 3520
  `,
  );
  scriptTest(
    'plain placement where no aligned place is left',
    `
    map 10 3000 r
    map null 1 n hint = 4031
    map null 512 rw hint = 3519
    map null 510 n hint = ENOMEM
    map null 509 n hint = 3010
  `,
  );
  scriptTest(
    'mremap places as mmap does',
    `
    map 0 512 rw
    map 512 1 r
    remap 0 512 1024 M = 3008 see 3008 w
  `,
  );
  mmTest('stays inside the window', (box: Sandbox): Sim<void> => {
    setMmapWindow(box.task, box.mm, (BASE + 10) as Vpn, (BASE + 20) as Vpn);
    runScript(
      box,
      `
      map null 4 rw hint = 16
      map 8 4 rw hint = 12
      map null 3 rw hint = ENOMEM
      map null 2 rw hint = 10
      remap 18 2 3 - = ENOMEM
      remap 18 2 3 M = ENOMEM
    `,
    );
  });
});

describe('arguments', () => {
  const rows: { what: string; call: [number, number, number, number]; result: string }[] = [
    { what: 'length 0', call: [0, 0, PROT_READ, KIND], result: 'EINVAL' },
    { what: 'length that rounds to 0', call: [0, TOP - 1, PROT_READ, KIND], result: 'ENOMEM' },
    { what: 'length beyond the address space', call: [0, 2 ** 47, PROT_READ, KIND], result: 'ENOMEM' },
    { what: 'length of nearly 2^64', call: [vpnToAddr(BASE), TOP - P, PROT_READ, KIND], result: 'ENOMEM' },
    { what: 'no kind', call: [0, P, PROT_READ, MAP_ANONYMOUS], result: 'EINVAL' },
    { what: 'two kinds', call: [0, P, PROT_READ, KIND | MAP_SHARED], result: 'EINVAL' },
    { what: 'a file', call: [0, P, PROT_READ, MAP_PRIVATE], result: 'EINVAL' },
    { what: 'a flag that is not modelled', call: [0, P, PROT_READ, KIND | 0x100], result: 'EINVAL' },
    { what: 'fixed and misaligned', call: [vpnToAddr(BASE) + 5, P, PROT_READ, KIND | MAP_FIXED], result: 'EINVAL' },
    {
      what: 'fixed, not replacing, misaligned',
      call: [vpnToAddr(BASE) + 5, P, PROT_READ, KIND | MAP_FIXED_NOREPLACE],
      result: 'EINVAL',
    },
    { what: 'fixed at TASK_SIZE', call: [TASK_SIZE, P, PROT_READ, KIND | MAP_FIXED], result: 'ENOMEM' },
    { what: 'fixed over TASK_SIZE', call: [TASK_SIZE - P, 2 * P, PROT_READ, KIND | MAP_FIXED], result: 'ENOMEM' },
    { what: 'fixed at 0', call: [0, P, PROT_READ, KIND | MAP_FIXED], result: 'EPERM' },
    {
      what: 'fixed below the simulated addresses',
      call: [USER_BASE - P, P, PROT_READ, KIND | MAP_FIXED],
      result: 'ENOMEM',
    },
  ];
  for (const { what, call, result } of rows) {
    mmTest(`${what}: ${result}`, (box: Sandbox): Sim<void> => {
      const [addr, len, prot, flags] = call;
      expect(errnoName(sysMmap(box.task, addr, len, prot, flags))).toBe(result);
    });
  }

  mmTest('fixed in the last page', (box: Sandbox): Sim<void> => {
    const last = TASK_SIZE - P;
    expect(sysMmap(box.task, last, P, PROT_READ | PROT_WRITE, KIND | MAP_FIXED)).toBe(last);
  });
  mmTest('a misaligned hint is rounded down, one below the window is none', (box: Sandbox): Sim<void> => {
    expect(sysMmap(box.task, vpnToAddr(BASE) + 5, 1, PROT_READ, KIND)).toBe(vpnToAddr(BASE));
    expect(sysMmap(box.task, 0x800, 1, PROT_READ, KIND)).toBe(vpnToAddr(4095));
    expect(sysMmap(box.task, 0x1_0000, 1, PROT_READ, KIND)).toBe(vpnToAddr(4094));
    expect(drawVmas(box.heap, box.mm, 0, 1)).toBe('r');
  });
});

describe('max_map_count', () => {
  scriptTest(
    'may be exceeded by one',
    `
    map 0 1 r
    limit 0
    map 2 1 r
    map 4 1 r = ENOMEM
    map 2 1 rw = ENOMEM       see 0 r.r..
  `,
  );
});
