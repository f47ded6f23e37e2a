/** munmap and mprotect over VMAs, holes and limits: recorded corner cases, LTP munmap01/03/04 and mprotect01/05. */
import { describe, expect } from 'vitest';
import { errnoName } from '../../src/base/errno.ts';
import type { Sim } from '../../src/base/sim.ts';
import { PROT_GROWSDOWN, PROT_GROWSUP, PROT_READ, PROT_SEM, PROT_WRITE } from '../../src/mm/syscallFlags.ts';
import { sysMprotect, sysMunmap } from '../../src/mm/syscalls.ts';
import { SEGV_ACCERR, userWrite } from '../../src/mm/userAccess.ts';
import { TASK_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Vpn } from '../../src/layout/ids.ts';
import { mmTest, pageState, pfnAtVpn, type Sandbox } from './sandbox.ts';
import { BASE, drawVmas, runScript, scriptTest } from './vmaScript.ts';

const P = 4096;
const TOP = 2 ** 64;
const at = (page: number): number => vpnToAddr(BASE + page);

const UNDER_WRITE_LOCK = { ...LINUX_7_0, munmap: { downgrade: false } };

describe('munmap', () => {
  const script = `
    map 0 4 rw
    map 6 2 r
    map 8 3 rw
    write 0 abcd
    write 8 xyz
    unmap 2 7                 see 0 ww.......ww data 0 ab.......yz
    unmap 2 7
    unmap 0 1                 see 0 .w.......ww data 0 .b.......yz
    unmap 0 20                see 0 ...........
  `;
  scriptTest('cuts, and does not mind holes', script);
  scriptTest('does the same without downgrade', script, { rules: UNDER_WRITE_LOCK });
  scriptTest(
    'makes two of one',
    `
    map 0 6 rw
    write 0 abcdef
    unmap 2 2                 see 0 ww..ww data 0 ab..ef
  `,
  );

  const rows: { what: string; call: [number, number]; result: number | string }[] = [
    { what: 'one byte is one page', call: [at(0), 1], result: 0 },
    { what: 'misaligned', call: [at(0) + 1, P], result: 'EINVAL' },
    { what: 'length 0', call: [at(0), 0], result: 'EINVAL' },
    { what: 'beyond the address space', call: [TASK_SIZE + P, P], result: 'EINVAL' },
    { what: 'over its end', call: [at(0), TASK_SIZE], result: 'EINVAL' },
    { what: 'a length of nearly 2^64', call: [at(0), TOP - P], result: 'EINVAL' },
    { what: 'nothing mapped', call: [at(50), P], result: 0 },
    { what: 'below the simulated addresses', call: [P, P], result: 0 },
  ];
  for (const { what, call, result } of rows) {
    mmTest(`${what}: ${result}`, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw\n write 0 abcd');
      const returned = sysMunmap(box.task, call[0], call[1]);
      expect(returned < 0 ? errnoName(returned) : returned).toBe(result);
      expect(drawVmas(box.heap, box.mm, 0, 4)).toBe(call[0] === at(0) && result === 0 ? '.www' : 'wwww');
    });
  }

  scriptTest(
    'at max_map_count cuts at edges, but makes no hole',
    `
    map 0 4 rw
    map 4 4 r
    limit 0
    unmap 1 2 = ENOMEM        see 0 wwww|rrrr
    unmap 0 1                 see 0 .www|rrrr
    unmap 3 2                 see 0 .ww..rrr
    unmap 7 1                 see 0 .ww..rr.
  `,
  );
});

describe('mprotect', () => {
  scriptTest(
    'splits and merges',
    `
    map 0 6 rw
    protect 2 2 r             see 0 ww|rr|ww
    protect 2 2 rw            see 0 wwwwww
    protect 0 2 r             see 0 rr|wwww
    protect 2 2 r             see 0 rrrr|ww
    protect 4 2 r             see 0 rrrrrr
  `,
  );
  scriptTest(
    'over several VMAs',
    `
    map 0 5 r
    protect 1 1 x
    protect 3 1 rw            see 0 r|x|r|w|r
    protect 1 4 r             see 0 rrrrr
  `,
  );
  scriptTest(
    'of what was faulted apart',
    `
    map 0 2 rw
    write 0 a
    map 2 2 r
    map 4 2 rw
    write 4 b
    protect 0 6 rw            see 0 wwww|ww
  `,
  );
  scriptTest(
    'moves a border both ways',
    `
    map 0 4 rw nr
    map 4 4 r nr
    write 0 abcd
    protect 2 2 r             see 0 ww|rrrrrr data 0 abcd____
    protect 2 2 rw            see 0 wwww|rrrr
  `,
  );
  scriptTest(
    'stops at a hole, what lies before it is done',
    `
    map 0 4 rw
    map 6 2 rw
    protect 2 6 r = ENOMEM    see 0 ww|rr..ww
    protect 4 4 r = ENOMEM    see 0 ww|rr..ww
    protect 0 5 n = ENOMEM    see 0 nnnn..ww
  `,
  );
  scriptTest(
    'near max_map_count leaves the first of two splits',
    `
    map 0 4 rw
    limit 1
    protect 1 2 r = ENOMEM    see 0 w|www
    protect 0 1 r             see 0 r|www
    protect 2 1 r = ENOMEM    see 0 r|www
  `,
  );

  const rows: { what: string; call: [number, number, number]; result: number | string }[] = [
    { what: 'misaligned', call: [at(0) + 1, P, PROT_READ], result: 'EINVAL' },
    { what: 'misaligned, length 0', call: [at(0) + 1, 0, PROT_READ], result: 'EINVAL' },
    { what: 'length 0', call: [at(50), 0, PROT_READ], result: 0 },
    { what: 'a length that wraps', call: [at(0), TOP - P, PROT_READ], result: 'ENOMEM' },
    { what: 'a length that rounds to 0', call: [at(0), TOP - 1, PROT_READ], result: 'ENOMEM' },
    { what: 'unknown bits', call: [at(0), P, PROT_READ | 0x10], result: 'EINVAL' },
    { what: 'PROT_SEM', call: [at(0), 4 * P, PROT_READ | PROT_WRITE | PROT_SEM], result: 0 },
    { what: 'nothing mapped', call: [at(50), P, PROT_READ], result: 'ENOMEM' },
    { what: 'growing both ways', call: [at(0), P, PROT_GROWSDOWN | PROT_GROWSUP], result: 'EINVAL' },
    { what: 'growing down what does not', call: [at(1), P, PROT_READ | PROT_GROWSDOWN], result: 'EINVAL' },
    { what: 'growing up what does not', call: [at(0), P, PROT_READ | PROT_GROWSUP], result: 'EINVAL' },
    { what: 'growing up from a hole', call: [at(50), P, PROT_READ | PROT_GROWSUP], result: 'ENOMEM' },
  ];
  for (const { what, call, result } of rows) {
    mmTest(`${what}: ${result}`, (box: Sandbox): Sim<void> => {
      runScript(box, 'map 0 4 rw');
      const returned = sysMprotect(box.task, call[0], call[1], call[2]);
      expect(returned < 0 ? errnoName(returned) : returned).toBe(result);
      expect(drawVmas(box.heap, box.mm, 0, 4)).toBe('wwww');
    });
  }

  mmTest('takes the right away at once, and gives it back without a fault', (box: Sandbox): Sim<void> => {
    runScript(box, 'map 0 2 rw\n write 0 ab');
    const pfn = pfnAtVpn(box, BASE);
    runScript(box, 'protect 0 2 r');
    expect(userWrite(box.task, BASE as Vpn, 0, 1)).toBe(SEGV_ACCERR);
    runScript(box, 'protect 0 2 rw\n write 0 c data 0 cb');
    expect(pfnAtVpn(box, BASE)).toBe(pfn);
    expect(pageState(box, pfn)).toBe('1/1e');
  });
});
