/** A second Node, from the npm registry, beside this project's own packages. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Installs the newest Node of that major version unless it is there already.
 * @param {string} root
 * @param {number} major
 * @returns {string} path of the executable
 */
export function installNode(root, major) {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  // The package of the binary itself: the package `node` would only fetch it, by an install script.
  const name = `node-${platform}-${process.arch}`;
  const folder = join(root, 'node_modules/.cache', `node${major}`);
  const executable = join(folder, 'node_modules', name, 'bin', 'node');
  if (existsSync(executable)) return executable;
  mkdirSync(folder, { recursive: true });
  const args = ['install', '--prefix', folder, '--no-save', '--no-package-lock', '--no-audit', '--no-fund'];
  const { status } = spawnSync('npm', [...args, `${name}@${major}`], { stdio: 'inherit', timeout: 180_000 });
  if (status !== 0 || !existsSync(executable)) throw new Error(`cannot install Node ${major}`);
  return executable;
}
