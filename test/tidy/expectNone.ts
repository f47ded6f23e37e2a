import { expect } from 'vitest';

/** Fails with one line per thing found. */
export function expectNone(found: readonly string[]): void {
  if (found.length > 0) expect.fail(`${found.length} found:\n${found.join('\n')}`);
}
