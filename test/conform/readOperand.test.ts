import { describe, expect, it } from 'vitest';
import { Malformed } from '../../src/conform/malformed.ts';
import { readAddress, readLength } from '../../src/conform/readOperand.ts';
import { PAGE_BYTES, WINDOW_BASE } from '../../src/conform/traceFormat.ts';

describe('operands', () => {
  it.each([
    [0, WINDOW_BASE],
    [4096, WINDOW_BASE + 4096 * PAGE_BYTES],
    ['7+8', WINDOW_BASE + 7 * PAGE_BYTES + 8],
    ['@0', 0],
    ['@7ffffffff000', 0x7fff_ffff_f000],
  ])('address %j is byte %i', (notation, bytes) => {
    expect(readAddress(notation, 'at')).toEqual({ text: String(notation), bytes });
  });

  it.each([
    [3, 3 * PAGE_BYTES],
    [5000, 5000 * PAGE_BYTES],
    ['3+4095', 4 * PAGE_BYTES - 1],
    ['@fffffffffffff000', 2 ** 64 - PAGE_BYTES],
  ])('length %j is %i bytes', (notation, bytes) => {
    expect(readLength(notation, 'len').bytes).toBe(bytes);
  });

  it('a huge length stays misaligned and in its page, although no double is that exact', () => {
    const { bytes } = readLength('@ffffffffffffffff', 'len');
    expect(bytes % PAGE_BYTES).not.toBe(0);
    expect(Math.floor(bytes / PAGE_BYTES) * PAGE_BYTES).toBe(2 ** 64 - PAGE_BYTES);
  });

  it.each([-1, 2 ** 36, 1.5, '', '5', '1+4096', '@', '@g', '@12345678901234567', '0x10', null, undefined, [1]])(
    '%j is refused',
    (notation) => {
      expect(() => readAddress(notation, 'at')).toThrow(Malformed);
    },
  );
});
