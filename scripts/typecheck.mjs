/**
 * `npm run typecheck`: by the native compiler (a third of a second), or by the JavaScript one where the native one has
 * no binary for this platform.
 */
import { spawnSync } from 'node:child_process';

const NATIVE = 'node_modules/@typescript/native/bin/tsc';
const FALLBACK = 'node_modules/typescript/bin/tsc';

/** @param {string} compiler */
const run = (compiler, args = ['-p', '.'], stdio = /** @type {'inherit' | 'ignore'} */ ('inherit')) =>
  spawnSync(process.execPath, [compiler, ...args], { stdio }).status ?? 1;

const compiler = run(NATIVE, ['--version'], 'ignore') === 0 ? NATIVE : FALLBACK;
process.exitCode = run(compiler);
