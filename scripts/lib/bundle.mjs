/** One call of the bundler: a set of entries in one flavour. */
import { join } from 'node:path';
import { build } from 'rolldown';

/**
 * Packages stay outside: an installed mmstorm has them as dependencies. zod is the exception, because bundled (and
 * stripped of what is not used) it loads in a quarter of the time.
 * @param {string} id
 */
const isExternal = (id) => /^[^./]/.test(id) && id !== 'zod' && !id.startsWith('zod/');

/**
 * @param {{
 *   root: string,
 *   outDir: string,
 *   inputs: Record<string, string>,
 *   flavour: import('./entries.mjs').Flavour,
 *   instrument: import('./instrument.mjs').Instrument,
 * }} options
 */
export async function bundle({ root, outDir, inputs, flavour, instrument }) {
  const plugins = flavour === 'threads' ? [] : [instrument({ mode: flavour, root })];
  await build({
    input: Object.fromEntries(Object.entries(inputs).map(([name, file]) => [name, join(root, file)])),
    cwd: root,
    external: isExternal,
    platform: 'node',
    plugins,
    logLevel: 'warn',
    checks: { bundlerTimings: false },
    output: {
      dir: outDir,
      format: 'esm',
      sourcemap: true,
      entryFileNames: '[name].mjs',
      chunkFileNames: 'chunk-[name]-[hash].mjs',
    },
  });
}
