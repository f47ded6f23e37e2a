/** The whole build: every bundle into a temporary folder, then swapped in at once; skipped when nothing changed. */
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findEntries } from './entries.mjs';
import { emitTypes } from './emitTypes.mjs';
import { fingerprint } from './fingerprint.mjs';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const DIST = join(ROOT, 'dist');
const STAMP = 'build.stamp';

/**
 * Builds `dist` unless it is up to date. Throws the bundler's error when the source does not build.
 * @param {{ force?: boolean }} [options]
 * @returns {Promise<{ built: boolean, missing: string[] }>}
 */
export async function buildAll({ force = false } = {}) {
  const { bundles, missing } = findEntries(ROOT);
  const stamp = fingerprint(ROOT);
  if (!force && readStamp() === stamp) return { built: false, missing };

  // The bundler is loaded only now: an up-to-date build must cost milliseconds.
  const [{ bundle }, { loadInstrument }] = await Promise.all([import('./bundle.mjs'), import('./instrument.mjs')]);
  const instrument = await loadInstrument(ROOT);
  // Beside `dist`, or the paths in the source maps would be wrong after the swap.
  const outDir = mkdtempSync(join(ROOT, '.dist-'));
  try {
    await Promise.all(
      bundles.map(({ flavour, inputs, outDir: folder }) =>
        bundle({ root: ROOT, outDir: join(outDir, folder), inputs, flavour, instrument }),
      ),
    );
    // Compiled on the host where it runs.
    cpSync(join(ROOT, 'src/conform/live/recorder.c'), join(outDir, 'live/recorder.c'));
    emitTypes(ROOT, join(outDir, 'types'));
    if (existsSync(join(outDir, 'cli.mjs'))) chmodSync(join(outDir, 'cli.mjs'), 0o755);
    chmodSync(outDir, 0o755);
    writeFileSync(join(outDir, STAMP), stamp);
    swapIn(outDir);
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
  return { built: true, missing };
}

function readStamp() {
  const file = join(DIST, STAMP);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/**
 * Puts the new folder in place of the old one. Two builds at the same time are harmless: each result is complete, and
 * the loser of the race takes the winner's folder away and tries again.
 * @param {string} outDir
 */
function swapIn(outDir) {
  for (let attempt = 0; ; attempt++) {
    const old = `${outDir}.old${attempt}`;
    try {
      if (existsSync(DIST)) renameSync(DIST, old);
      renameSync(outDir, DIST);
      return;
    } catch (error) {
      if (attempt === 5) throw error;
    } finally {
      rmSync(old, { recursive: true, force: true });
    }
  }
}
