/** Declarations of what other projects import, with the markers that the pass reads from them. */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCompiler } from './compiler.mjs';

const CONFIG = 'scripts/lib/tsconfig.types.json';

/**
 * @param {string} root
 * @param {string} outDir
 */
export function emitTypes(root, outDir) {
  const args = [findCompiler(root), '-p', join(root, CONFIG), '--outDir', outDir];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 120_000 });
  if (status !== 0) throw new Error(`the declarations cannot be made:\n${stdout}`);
  for (const name of readdirSync(outDir, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.d.ts')) continue;
    const file = join(outDir, name);
    // A declaration names the script it belongs to, not its source.
    const text = readFileSync(file, 'utf8').replaceAll(/(from '\.{1,2}\/[^']*)\.ts'/g, "$1.js'");
    writeFileSync(file, text);
  }
}
