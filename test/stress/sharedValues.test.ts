/** What a CPU knows of shared memory: values identify pages, an overwritten value is a lost write, what is forgotten is not judged. */
import { expect, test } from 'vitest';
import { createSharedValues, judgeShared, nextSharedValue, noteSharedWrite } from '../../stress/sharedValues.ts';

test('a page is known by its value, wherever it is met', () => {
  const shared = createSharedValues();
  const value = nextSharedValue(shared);
  const id = noteSharedWrite(shared, 0, value);
  expect(judgeShared(shared, 0, value)).toEqual({ id, isWrong: false });
  expect(judgeShared(shared, id, value)).toEqual({ id, isWrong: false });
  expect(judgeShared(shared, 0, 0)).toEqual({ id: 0, isWrong: false });
});

test('a value that was overwritten is a lost write, at known and unknown places', () => {
  const shared = createSharedValues();
  const [first, second] = [nextSharedValue(shared), nextSharedValue(shared)];
  const id = noteSharedWrite(shared, 0, first);
  expect(noteSharedWrite(shared, id, second)).toBe(id);
  expect(judgeShared(shared, id, first).isWrong).toBe(true);
  expect(judgeShared(shared, 0, first).isWrong).toBe(true);
  expect(judgeShared(shared, id, 0).isWrong).toBe(true);
  expect(judgeShared(shared, 0, second)).toEqual({ id, isWrong: false });
});

test('the value of another page is wrong', () => {
  const shared = createSharedValues();
  const ids = [1, 2].map(() => noteSharedWrite(shared, 0, nextSharedValue(shared)));
  const [first, second] = ids.map((id) => shared.valueOf.get(id)!);
  expect(judgeShared(shared, ids[0], second).isWrong).toBe(true);
  expect(judgeShared(shared, ids[0], first).isWrong).toBe(false);
});

test('pages that were forgotten are not judged any more', () => {
  const shared = createSharedValues();
  const value = nextSharedValue(shared);
  const id = noteSharedWrite(shared, 0, value);
  for (let i = 0; i < 65_536; i++) noteSharedWrite(shared, 0, nextSharedValue(shared));
  expect(shared.valueOf.size).toBe(65_536);
  expect(judgeShared(shared, id, 1)).toEqual({ id, isWrong: false });
  expect(judgeShared(shared, 0, value)).toEqual({ id: 0, isWrong: false });
});
