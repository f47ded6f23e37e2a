/** `npm run -s mmstorm -- <command>`: the command line from a checkout, built first when the source has changed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildAll, ROOT } from './lib/buildAll.mjs';

const INTERNAL_ERROR = 70;

/**
 * @param {string} message
 * @param {number} exitCode
 */
function giveUp(message, exitCode) {
  process.stderr.write(`mmstorm: ${message}\n`);
  process.exitCode = exitCode;
}

async function build() {
  try {
    await buildAll();
    return true;
  } catch (error) {
    giveUp(`the source does not build\n${error instanceof Error ? error.message : String(error)}`, INTERNAL_ERROR);
    return false;
  }
}

if (!existsSync(join(ROOT, 'node_modules', 'rolldown')))
  giveUp('the packages are not installed; run `npm ci` first', 2);
else if (await build()) await import(pathToFileURL(join(ROOT, 'dist', 'cli.mjs')).href);
