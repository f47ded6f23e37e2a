/**
 * `node scripts/corpus.mjs`: hunts each bug of the catalogue and keeps the replay files in stress/corpus. To be run when a
 * change of the simulated kernel changes what the recorded executions touch.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAll, ROOT } from './lib/buildAll.mjs';

/** Depth first: schedules with few preemptions come first, and those are the ones worth reading. */
const STRATEGY = ['--strategy', 'dfs', '--seed', '1'];

await buildAll();
const cli = join(ROOT, 'dist/cli.mjs');
const corpus = join(dirname(dirname(fileURLToPath(import.meta.url))), 'stress/corpus');
const folder = mkdtempSync(join(tmpdir(), 'mmstorm-corpus-'));
mkdirSync(corpus, { recursive: true });
try {
  const { stdout } = spawnSync(process.execPath, [cli, 'hunt', '--all', ...STRATEGY, '--json'], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
  });
  /** @type {{ results: { scenario: string, found: boolean, replay?: string }[] }} */
  const { results } = JSON.parse(stdout);
  for (const { scenario, found, replay } of results) {
    if (!found || replay === undefined) {
      console.error(`${scenario}: not found`);
      process.exitCode = 1;
      continue;
    }
    copyFileSync(join(folder, replay), join(corpus, `${scenario}.replay.json`));
    console.log(`${scenario}: kept`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
