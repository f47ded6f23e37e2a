/** From an import's text to a file: relative paths, and the packages whose types the pass must read. */

import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** Packages whose declarations may be marked Sim or Access. Every other package is plain. */
const MARKED_PACKAGE = 'mmstorm';

/** A file to read; something that can hold nothing of ours; or nothing at all. */
export type Resolution = { readonly kind: 'file'; readonly path: string } | { readonly kind: 'external' | 'missing' };

const EXTERNAL: Resolution = { kind: 'external' };
const MISSING: Resolution = { kind: 'missing' };
const TYPESCRIPT = /\.[cm]?tsx?$/;

/** Resolves `source` as imported by the file `from`. @param root where packages are looked for */
export function resolveImport(root: string, from: string, source: string): Resolution {
  if (!/^[./]/.test(source)) return resolvePackage(root, source);
  const target = resolve(dirname(from), source);
  const candidates = [target, `${target}.ts`, `${target}.mts`, join(target, 'index.ts'), `${target}.d.ts`];
  const script = /\.([cm]?)js$/.exec(target);
  if (script !== null) {
    const stem = target.slice(0, -script[0].length);
    candidates.push(`${stem}.${script[1]}ts`, `${stem}.d.${script[1]}ts`);
  }
  const path = candidates.find((candidate) => TYPESCRIPT.test(candidate) && isFile(candidate));
  if (path !== undefined) return { kind: 'file', path };
  return isFile(target) ? EXTERNAL : MISSING;
}

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}

function resolvePackage(root: string, source: string): Resolution {
  if (source !== MARKED_PACKAGE && !source.startsWith(`${MARKED_PACKAGE}/`)) return EXTERNAL;
  const folder = findPackage(root);
  if (folder === null) return MISSING;
  const subpath = `.${source.slice(MARKED_PACKAGE.length)}`;
  const { exports } = readManifest(folder);
  const types = exports?.[subpath]?.types;
  if (types === undefined) return MISSING;
  const path = join(folder, types);
  return isFile(path) ? { kind: 'file', path } : MISSING;
}

interface Manifest {
  readonly name?: string;
  readonly exports?: Readonly<Record<string, { readonly types?: string } | undefined>>;
}

function readManifest(folder: string): Manifest {
  const file = join(folder, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Manifest) : {};
}

/** The installed package, or the project itself when it is that package. */
function findPackage(root: string): string | null {
  for (let folder = root; ; folder = dirname(folder)) {
    const installed = join(folder, 'node_modules', MARKED_PACKAGE);
    if (existsSync(installed)) return installed;
    if (readManifest(folder).name === MARKED_PACKAGE) return folder;
    if (folder === dirname(folder)) return null;
  }
}
