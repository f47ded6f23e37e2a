import { expect, it } from 'vitest';
import * as explored from '../../src/cpu/platform.explored.ts';
import * as threads from '../../src/cpu/platform.ts';

it('the explored twin exports what the platform exports, of the same kinds', () => {
  const kinds = (module: object): string[] =>
    Object.entries(module)
      .map(([name, value]) => `${name}: ${typeof value}`)
      .sort();
  expect(kinds(explored)).toEqual(kinds(threads));
});
