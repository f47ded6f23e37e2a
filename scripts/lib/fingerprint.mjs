/** Content hash of everything a build depends on: same hash, same build, whatever git or a copy did to the times. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDERS = ['src', 'workers', 'stress', 'bench', 'scripts'];
const FILES = ['package.json', 'package-lock.json'];

/** @param {string} root */
export function fingerprint(root) {
  const hash = createHash('sha1');
  for (const file of [...FILES, ...FOLDERS.flatMap((folder) => listFiles(root, folder))]) {
    hash.update(`${file}\0`);
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

/**
 * @param {string} root
 * @param {string} folder
 */
function listFiles(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => file.slice(root.length + 1));
}
