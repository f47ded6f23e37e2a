/** What must hold of the checkout as a whole. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { expectNone } from './expectNone.ts';
import { ROOT, sourceFiles } from './sourceTree.ts';

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

it('the lock file names no registry, so that it installs from any', () => {
  expect(read('package-lock.json')).not.toMatch(/"resolved"|https?:\/\/registry/);
});

it('no note to self is left in the source', () => {
  const scripts = readdirSync(join(ROOT, 'scripts'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.mjs'))
    .map((file) => ({ path: `scripts/${file}`, text: read(`scripts/${file}`) }));
  const notes = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].map((word) => `\\b${word}\\b`).join('|'));
  const found = [...sourceFiles(), ...scripts].filter(({ text }) => notes.test(text));
  expectNone(found.map(({ path }) => path));
});

it('the documents name only files and folders that exist', () => {
  const missing: string[] = [];
  for (const document of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/conform.md']) {
    for (const [, path] of read(document).matchAll(/`((?:src|workers|stress|bench|test|scripts)\/[\w./-]*)`/g)) {
      if (!existsSync(join(ROOT, path))) missing.push(`${document}: ${path}`);
    }
  }
  expectNone(missing);
});

it('the documents name only npm scripts that exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const missing: string[] = [];
  for (const document of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md']) {
    for (const [, name] of read(document).matchAll(/npm run (?:-s )?([\w:-]+)/g)) {
      if (!(name in scripts)) missing.push(`${document}: npm run ${name}`);
    }
  }
  expectNone(missing);
});
