import { describe, expect, it } from 'vitest';
import { findDifference } from '../../src/conform/compare.ts';
import { processState, traceState } from './states.ts';

const ONE_PAGE = processState([[10, 12, 'rw-p', 'ac']], [[10, 0, 1, 'xe', 7]]);

describe('findDifference', () => {
  it('nothing where both agree', () => {
    const side = { result: 0, state: traceState(ONE_PAGE) };
    expect(findDifference(side, { ...side, state: traceState(ONE_PAGE) })).toBeNull();
  });

  it('the result comes first', () => {
    const expected = { result: 'ENOMEM', state: traceState(ONE_PAGE) };
    expect(findDifference(expected, { result: 10, state: traceState() })).toEqual({
      aspect: 'result',
      process: null,
      page: null,
      expected: 'ENOMEM',
      actual: 10,
    });
  });

  it('a process too many or too few', () => {
    const expected = { result: 1, state: traceState(ONE_PAGE, ONE_PAGE) };
    const difference = findDifference(expected, { result: 1, state: traceState(ONE_PAGE) });
    expect(difference).toMatchObject({ aspect: 'processes', expected: [0, 1], actual: [0] });
  });

  it('VMAs before pages, and only those that differ', () => {
    const expected = processState(
      [
        [4, 6, 'rw-p', 'ac'],
        [10, 12, 'rw-p', 'ac'],
      ],
      [[10, 0, 1, 'xe', 7]],
    );
    const actual = processState([
      [4, 6, 'rw-p', 'ac'],
      [10, 11, 'rw-p', 'ac'],
      [11, 12, 'r--p', 'ac'],
    ]);
    const difference = findDifference(
      { result: 0, state: traceState(expected) },
      { result: 0, state: traceState(actual) },
    );
    expect(difference).toMatchObject({
      aspect: 'vmas',
      process: 0,
      page: 10,
      expected: [[10, 12, 'rw-p', 'ac']],
      actual: [
        [10, 11, 'rw-p', 'ac'],
        [11, 12, 'r--p', 'ac'],
      ],
    });
  });

  it.each([
    ['another frame', [10, 1, 1, 'xe', 7]],
    ['another mapcount', [10, 0, 2, 'xe', 7]],
    ['another letter', [10, 0, 1, 'x', 7]],
    ['another stamp', [10, 0, 1, 'xe', 8]],
  ] as const)('pages: %s', (_, row) => {
    const actual = processState([[10, 12, 'rw-p', 'ac']], [[...row]]);
    const difference = findDifference(
      { result: 0, state: traceState(ONE_PAGE) },
      { result: 0, state: traceState(actual) },
    );
    expect(difference).toMatchObject({ aspect: 'pages', page: 10, expected: [[10, 0, 1, 'xe', 7]], actual: [row] });
  });
});
