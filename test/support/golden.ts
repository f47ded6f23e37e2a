/** Expected reports as files in test/golden: reviewed as diffs, rewritten by UPDATE_GOLDEN=1. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

const FOLDER = join(import.meta.dirname, '../golden');
const MAX_COLUMNS = 120;

/** Compares a report with its file `test/golden/<name>.txt`, and holds it to the width that can be reviewed. */
export function expectGolden(name: string, lines: readonly string[]): void {
  const text = `${lines.join('\n')}\n`;
  const file = join(FOLDER, `${name}.txt`);
  expect(text.split('\n').filter((line) => line.length > MAX_COLUMNS)).toEqual([]);
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  expect(existsSync(file), `${file} is missing: UPDATE_GOLDEN=1 writes it`).toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
}
