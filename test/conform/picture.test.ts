import { describe, expect, it } from 'vitest';
import { drawProcess } from '../../src/conform/picture.ts';
import { processState } from './states.ts';

describe('drawProcess', () => {
  it('states stand below each other, column by column', () => {
    const expected = processState(
      [[4090, 4095, 'rw-p', 'ac']],
      [
        [4093, 0, 1, 'xe', 64],
        [4094, 'z', 0, '', 0],
      ],
    );
    const actual = processState(
      [
        [4090, 4093, 'rw-p', 'ac'],
        [4093, 4095, 'rw-p', 'ac'],
      ],
      [[4093, 0, 2, '', 64]],
    );
    const rows = [
      { title: 'expected', state: expected },
      { title: 'actual', state: actual },
    ];
    expect(drawProcess(rows, 4093)).toEqual([
      'page      4090      4093      4094  4095',
      'expected  [rw-p ac-----------------]',
      '                    f0 xe 64  z',
      'actual    [rw-p ac-][rw-p ac-------]',
      '                    f0 *2 64',
    ]);
  });

  it('holes are dots, a process that does not exist says so', () => {
    const state = processState([
      [0, 2, 'r--p', ''],
      [5, 6, '---p', ''],
    ]);
    const rows = [
      { title: 'before', state: null },
      { title: 'after', state },
    ];
    expect(drawProcess(rows, null)).toEqual([
      'page    0      2  5      6',
      'before  no process',
      'after   [r--p-].  [---p-]',
    ]);
  });

  it('a window without mappings', () => {
    expect(drawProcess([{ title: 'p0', state: processState([]) }], null)).toEqual(['p0: empty']);
  });

  it('a wide window is cut to what lies around the focus', () => {
    const pages = Array.from({ length: 200 }, (_, i): [number, number, number, string, number] => [i, i, 1, 'xe', 1]);
    const lines = drawProcess([{ title: 'p0', state: processState([[0, 200, 'rw-p', 'ac']], pages) }], 100);
    expect(lines.every((line) => line.length <= 120)).toBe(true);
    expect(lines[0]).toMatch(/^page {2}\.\.\.9\d .*\b100\b.* \.\.\.$/);
  });
});
