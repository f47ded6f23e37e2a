/** No export that nobody imports: it is dead code, or it is private. */
import { it } from 'vitest';
import { expectNone } from './expectNone.ts';
import { productFiles, sourceFiles } from './sourceTree.ts';

/** Files whose exports are for others than this project's own files. */
const ENTRY_POINTS = [
  'src/index.ts',
  'src/instrument/plugin.ts',
  'src/instrument/runtime.ts',
  'src/explore/main.ts',
  'src/explore/memory.ts',
];

/** A list that is complete on purpose. */
const VOCABULARY = 'src/base/errno.ts';

/** `file#name` of everything that is imported somewhere, tests included. */
function importedNames(): Set<string> {
  const edges = sourceFiles().flatMap((file) => file.imports);
  return new Set(edges.flatMap(({ target, names }) => names.map((name) => `${target}#${name}`)));
}

it('each exported value is imported by another file', () => {
  const imported = importedNames();
  const unused = productFiles()
    .filter(({ path }) => ![...ENTRY_POINTS, VOCABULARY].includes(path) && !isTwin(path) && !imported.has(`${path}#*`))
    .flatMap(({ path, exports }) => exports.filter(({ isType }) => !isType).map(({ name }) => `${path}#${name}`))
    .filter((name) => !imported.has(name));
  expectNone(unused);
});

it('each source file is reached by another file or is an entry point', () => {
  const targets = new Set(sourceFiles().flatMap((file) => file.imports.map(({ target }) => target)));
  const orphans = productFiles()
    .map(({ path }) => path)
    .filter((path) => path.startsWith('src/') && !targets.has(path) && !isLoadedByName(path));
  expectNone(orphans);
});

function isLoadedByName(path: string): boolean {
  return ENTRY_POINTS.includes(path) || path === 'src/cli/main.ts' || isTwin(path);
}

/** Takes the place of a file in the explored build. */
function isTwin(path: string): boolean {
  return path.endsWith('.explored.ts');
}
