/** `npm run typecheck`: a third of a second by the native compiler. */
import { spawnSync } from 'node:child_process';
import { findCompiler } from './lib/compiler.mjs';

process.exitCode = spawnSync(process.execPath, [findCompiler('.'), '-p', '.'], { stdio: 'inherit' }).status ?? 1;
