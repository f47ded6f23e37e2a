/** The TypeScript compiler: the native one, or the JavaScript one where the native one has no binary for this platform. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const NATIVE = 'node_modules/@typescript/native/bin/tsc';
const FALLBACK = 'node_modules/typescript/bin/tsc';

/**
 * @param {string} root
 * @returns {string} the script to run by node
 */
export function findCompiler(root) {
  const native = join(root, NATIVE);
  const works = spawnSync(process.execPath, [native, '--version'], { stdio: 'ignore' }).status === 0;
  return works ? native : join(root, FALLBACK);
}
