/**
 * The instrumenting pass for a build script. The pass is TypeScript like everything else, and Node 20 cannot run that:
 * it is bundled to a temporary file first.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'rolldown';

const SOURCE = 'src/instrument/plugin.ts';

/**
 * @typedef {(options: { mode: 'explored' | 'perturbed', root: string }) => import('rolldown').Plugin} Instrument
 */

/**
 * @param {string} root
 * @returns {Promise<Instrument>}
 */
export async function loadInstrument(root) {
  // Inside node_modules, so that the bundle finds the packages it imports.
  const cache = join(root, 'node_modules/.cache/mmstorm');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'plugin-'));
  try {
    const file = join(folder, 'plugin.mjs');
    await build({
      input: join(root, SOURCE),
      external: /^[^./]/,
      platform: 'node',
      logLevel: 'warn',
      output: { file, format: 'esm' },
    });
    const module = /** @type {{ mmstormInstrument: Instrument }} */ (await import(pathToFileURL(file).href));
    return module.mmstormInstrument;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
