/** `npm run build`: builds `dist`; with `--force` even when nothing changed. Says which entries are not there. */
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { buildAll } from './lib/buildAll.mjs';

const { values } = parseArgs({ options: { force: { type: 'boolean' } } });
const start = performance.now();
try {
  const { built, missing } = await buildAll({ force: values.force ?? false });
  const seconds = ((performance.now() - start) / 1000).toFixed(2);
  console.log(built ? `dist built in ${seconds} s` : 'dist is up to date');
  for (const file of missing) console.log(`no such entry: ${file}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
