/** Who may import whom. A rule that lives only in prose bends; this one is data. */
import { describe, expect, it } from 'vitest';
import { expectNone } from './expectNone.ts';
import { productFiles, type SourceFile } from './sourceTree.ts';

const MACHINE = ['base', 'arena', 'layout', 'rules', 'cpu'];
const SIMULATION = [...MACHINE, 'locks', 'lockdep', 'mm', 'check'];
const ENGINES = [...SIMULATION, 'instrument', 'explore', 'detect', 'conform', 'report'];
const ANYTHING = [...ENGINES, 'cli', 'workers', 'stress', 'bench'];

/** Folder -> the other folders it may import. `src/` is left out of the names. */
const MAY_IMPORT: Record<string, string[]> = {
  base: [],
  instrument: ['base'],
  arena: ['base', 'instrument'], // its twins in the explored build log accesses
  layout: ['base', 'arena'],
  rules: ['base'],
  cpu: ['base', 'arena', 'layout', 'rules', 'instrument'],
  lockdep: MACHINE,
  locks: MACHINE,
  mm: [...MACHINE, 'locks'],
  check: MACHINE, // never mm or locks: one mistake must not hide itself in both places
  explore: SIMULATION.concat('instrument', 'report'),
  detect: [...MACHINE, 'instrument', 'explore', 'report'], // like check, of accesses
  conform: SIMULATION.concat('instrument', 'report'),
  report: SIMULATION,
  cli: [...ENGINES, 'stress', 'bench'],
  workers: [...ENGINES, 'stress', 'bench'],
  stress: ENGINES,
  bench: ANYTHING,
};

function layerOf(path: string): string {
  const parts = path.split('/');
  return parts[0] === 'src' ? parts[1] : parts[0];
}

function forbiddenEdges(file: SourceFile): string[] {
  const layer = layerOf(file.path);
  const allowed = MAY_IMPORT[layer];
  if (allowed === undefined) return [`${file.path} is in a folder that no layer names`];
  return file.imports
    .filter(({ target }) => /^(src|workers|stress|bench|test)\//.test(target))
    .filter(({ target }) => layerOf(target) !== layer && !allowed.includes(layerOf(target)))
    .map(({ target }) => `${file.path} imports ${target}`);
}

/** Cycles of imports that exist at run time (a type may well point back). Each as `a -> b -> a`. */
function importCycles(files: SourceFile[]): string[] {
  const edges = new Map(
    files.map((file) => [file.path, file.imports.filter((edge) => !edge.typeOnly).map((edge) => edge.target)]),
  );
  const state = new Map<string, 'open' | 'done'>();
  const path: string[] = [];
  const cycles: string[] = [];
  const walk = (node: string): void => {
    if (state.get(node) === 'done' || !edges.has(node)) return;
    if (state.get(node) === 'open') {
      cycles.push([...path.slice(path.indexOf(node)), node].join(' -> '));
      return;
    }
    state.set(node, 'open');
    path.push(node);
    edges.get(node)!.forEach(walk);
    path.pop();
    state.set(node, 'done');
  };
  [...edges.keys()].forEach(walk);
  return cycles;
}

describe('layers', () => {
  it('each file imports only what its layer may', () => {
    expectNone(productFiles().flatMap(forbiddenEdges));
  });

  it('no file imports itself through others', () => {
    expectNone(importCycles(productFiles()));
  });

  it('a cycle is seen', () => {
    const fake = (path: string, ...targets: string[]): SourceFile =>
      ({ path, imports: targets.map((target) => ({ target, names: [], typeOnly: false })) }) as unknown as SourceFile;
    expect(importCycles([fake('a', 'b'), fake('b', 'c'), fake('c', 'b')])).toEqual(['b -> c -> b']);
  });
});
