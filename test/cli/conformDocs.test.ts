/** The commands that docs/conform.md shows, as they stand there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runMmstorm } from '../support/runBuilt.ts';

const ROOT = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 50_000;
const PREFIX = 'npm run -s mmstorm -- ';
const commands = readFileSync(join(ROOT, 'docs/conform.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith(PREFIX))
  .map((line) => line.slice(PREFIX.length));

describe('docs/conform.md', () => {
  it('has commands', () => expect(commands.length).toBeGreaterThanOrEqual(8));

  it.each(commands)('mmstorm %s', (command) => {
    const { status, stdout, stderr } = runMmstorm(command.split(' '), { cwd: ROOT, timeoutMs: TIMEOUT_MS });
    // A host that does not allow recordings says why; nothing else may go wrong.
    if (command.includes('--live') && status === 2) expect(stderr).toMatch(/^mmstorm conform: --live .*\n$/);
    else expect({ status, agrees: / 0 failed|no difference/.test(stdout) }).toEqual({ status: 0, agrees: true });
  });
});
