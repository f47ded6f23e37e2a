/** Which errno mremap returns when several things are wrong, and that a refused call changed nothing. One row, one call. */
import { describe, expect } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { errnoName } from '../../src/base/errno.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/mm/syscallFlags.ts';
import { sysMremap } from '../../src/mm/syscalls.ts';
import { TASK_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import { mmTest, type Sandbox } from './sandbox.ts';
import { BASE, drawVmas, runScript } from './vmaScript.ts';

const P = 4096;
const M = MREMAP_MAYMOVE;
const MF = MREMAP_MAYMOVE | MREMAP_FIXED;
const MD = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
const TOP = 2 ** 64;

/** Address of a page of the script's address space. */
const at = (page: number): number => vpnToAddr(BASE + page);

/** Before each call: [0,4) rw, [6,8) rw, [100,104) r. */
const SET_UP = 'map 0 4 rw\n write 0 abcd\n map 6 2 rw\n map 100 4 r';
const BEFORE = 'wwww..ww';

interface Row {
  readonly what: string;
  /** addr, old_len, new_len, flags, new_addr. */
  readonly call: readonly [number, number, number, number, number];
  /** Errno name, or the page of the result. */
  readonly result: string | number;
  /** [0, 8) afterwards; unchanged by default. */
  readonly after?: string;
}

const PARAMETERS: readonly Row[] = [
  { what: 'unknown flag before all else', call: [at(0) + 5, P, P, 8, 0], result: 'EINVAL' },
  { what: 'misaligned addr', call: [at(0) + 5, P, P, 0, 0], result: 'EINVAL' },
  { what: 'new_len 0', call: [at(0), P, 0, 0, 0], result: 'EINVAL' },
  { what: 'new_len of one byte', call: [at(0), 4 * P, 1, 0, 0], result: 0, after: 'w.....ww' },
  { what: 'new_len that rounds to 0', call: [at(0), P, TOP - 1, M, 0], result: 'EINVAL' },
  { what: 'new_len = TASK_SIZE', call: [at(0), 4 * P, TASK_SIZE, M, 0], result: 'ENOMEM' },
  { what: 'new_len > TASK_SIZE', call: [at(0), 4 * P, TASK_SIZE + P, M, 0], result: 'EINVAL' },
  { what: 'junk in new_addr does not matter without F and D', call: [at(0), P, P, 0, 77], result: 0 },
  { what: 'F beyond the address space', call: [at(0), P, P, MF, TASK_SIZE], result: 'EINVAL' },
  { what: 'F into the last page', call: [at(0), 4 * P, 4 * P, MF, TASK_SIZE - 3 * P], result: 'EINVAL' },
  { what: 'F to a misaligned address', call: [at(0), P, P, MF, at(50) + 1], result: 'EINVAL' },
  { what: 'F without M', call: [at(0), P, P, MREMAP_FIXED, at(50)], result: 'EINVAL' },
  { what: 'F to the same address', call: [at(0), P, P, MF, at(0)], result: 'EINVAL' },
  { what: 'F overlapping from below', call: [at(1), 2 * P, 2 * P, MF, at(0)], result: 'EINVAL' },
  { what: 'F overlapping what the shrink cuts off', call: [at(0), 8 * P, 2 * P, MF, at(4)], result: 'EINVAL' },
  { what: 'F just behind', call: [at(0), 2 * P, 2 * P, MF, at(4)], result: 4, after: '..ww|ww|ww' },
  { what: 'F to 0', call: [at(0), P, P, MF, 0], result: 'EPERM' },
  { what: 'D without M', call: [at(0), P, P, MREMAP_DONTUNMAP, 0], result: 'EINVAL' },
  { what: 'D with another length', call: [at(0), P, 2 * P, MD, 0], result: 'EINVAL' },
  { what: 'D with lengths that round to the same', call: [at(0), P - 1, P, MD, at(50)], result: 50 },
  { what: 'D with a hint inside the source', call: [at(0), 2 * P, 2 * P, MD, at(1)], result: 'EINVAL' },
  { what: 'D with a misaligned hint', call: [at(0), P, P, MD, at(50) + 1], result: 'EINVAL' },
  { what: 'parameters before the mapping', call: [at(20), P, P, MREMAP_FIXED, at(50)], result: 'EINVAL' },
];

const LENGTHS: readonly Row[] = [
  { what: 'nothing mapped at addr', call: [at(4), P, 2 * P, 0, 0], result: 'EFAULT' },
  { what: 'nothing mapped at addr, no resize', call: [at(4), P, P, M, 0], result: 'EFAULT' },
  { what: 'beyond the address space', call: [TASK_SIZE, P, 2 * P, M, 0], result: 'EFAULT' },
  { what: 'the last page of 64 bits', call: [TOP - P, P, 2 * P, M, 0], result: 'EFAULT' },
  { what: 'old_len 0', call: [at(0), 0, P, M, 0], result: 'EINVAL' },
  { what: 'old_len 0 with F', call: [at(0), 0, P, MF, at(50)], result: 'EINVAL' },
  { what: 'old_len that rounds to 0', call: [at(0), TOP - 1, P, M, 0], result: 'EINVAL' },
  { what: 'growing beyond the end of the VMA', call: [at(0), 5 * P, 6 * P, M, 0], result: 'EFAULT' },
  {
    what: 'growing with F beyond the end: destination kept',
    call: [at(2), 3 * P, 4 * P, MF, at(100)],
    result: 'EFAULT',
  },
  { what: 'D beyond the end', call: [at(2), 4 * P, 4 * P, MD, 0], result: 'EFAULT' },
  { what: 'F from a hole: destination kept', call: [at(4), 4 * P, 4 * P, MF, at(100)], result: 'EFAULT' },
  { what: 'F that shrinks from a hole', call: [at(4), 4 * P, 2 * P, MF, at(100)], result: 'EFAULT' },
  { what: 'in place, not the end of the VMA', call: [at(0), 2 * P, 3 * P, 0, 0], result: 'ENOMEM' },
  { what: 'a tail beyond the address space', call: [at(0), TOP - P, P, M, 0], result: 'EINVAL' },
];

function rowTest({ what, call, result, after }: Row): void {
  mmTest(`${what}: ${result}`, (box: Sandbox): Sim<void> => {
    runScript(box, SET_UP);
    const [addr, oldLen, newLen, flags, newAddr] = call;
    const returned = sysMremap(box.task, addr, oldLen, newLen, flags, newAddr);
    expect(returned < 0 ? errnoName(returned) : returned).toBe(typeof result === 'string' ? result : at(result));
    expect(drawVmas(box.heap, box.mm, 0, 8)).toBe(after ?? BEFORE);
    expect(drawVmas(box.heap, box.mm, 100, 4)).toBe('rrrr');
  });
}

describe('parameters, in the order of the checks', () => {
  PARAMETERS.forEach(rowTest);
});

describe('what is mapped', () => {
  LENGTHS.forEach(rowTest);
});
