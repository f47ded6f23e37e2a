/**
 * What is built, as data. Three flavours of the one source (ARCHITECTURE.md, "One source, two builds"):
 *
 *   threads    the source as it is
 *   perturbed  threads, with a possible short delay behind each shared-memory access
 *   explored   generators, with a scheduling point behind each shared-memory access
 *
 * A worker file is built as `threads` and `perturbed`, except `workers/explore*.ts`: those run shards of an exploration.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** @typedef {'threads' | 'perturbed' | 'explored'} Flavour */
/** @typedef {{ flavour: Flavour, outDir: string, inputs: Record<string, string> }} Bundle */

const CLI = { cli: 'src/cli/main.ts' };
const BENCH = { caseMain: 'bench/caseMain.ts' };
/** What other projects import. */
const LIBRARY = { instrument: 'src/instrument/plugin.ts', memory: 'src/explore/memory.ts' };
const LIBRARY_EXPLORED = {
  explore: 'src/explore/main.ts',
  memory: 'src/explore/memory.ts',
  runtime: 'src/instrument/runtime.ts',
};
const EXPLORED = {
  conform: 'src/conform/runner.ts',
  explorePrograms: 'bench/explorePrograms.ts',
  sequences: 'src/conform/random/sequenceRunner.ts',
};

/**
 * The bundles of this tree. `missing` names the fixed entries that are not there.
 * @param {string} root
 * @returns {{ bundles: Bundle[], missing: string[] }}
 */
export function findEntries(root) {
  const workers = listWorkers(root);
  const simulating = workers.filter((name) => !name.startsWith('explore'));
  const exploring = workers.filter((name) => name.startsWith('explore'));
  /** @type {Bundle[]} */
  const wanted = [
    { flavour: 'threads', outDir: '.', inputs: CLI },
    { flavour: 'threads', outDir: 'bench', inputs: BENCH },
    { flavour: 'threads', outDir: 'lib', inputs: LIBRARY },
    { flavour: 'explored', outDir: 'lib/explored', inputs: LIBRARY_EXPLORED },
    { flavour: 'threads', outDir: 'workers', inputs: workerInputs(simulating, '') },
    { flavour: 'perturbed', outDir: 'workers', inputs: workerInputs(simulating, '.perturbed') },
    { flavour: 'explored', outDir: 'explored', inputs: { ...EXPLORED, ...workerInputs(exploring, '') } },
  ];
  /** @type {string[]} */
  const missing = [];
  const bundles = wanted.map((bundle) => ({ ...bundle, inputs: keepExisting(root, bundle.inputs, missing) }));
  return { bundles: bundles.filter((bundle) => Object.keys(bundle.inputs).length > 0), missing };
}

/** @param {string} root */
function listWorkers(root) {
  const folder = join(root, 'workers');
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
  return files.map((file) => file.slice(0, -'.ts'.length)).sort();
}

/**
 * @param {string[]} names
 * @param {string} suffix
 */
function workerInputs(names, suffix) {
  return Object.fromEntries(names.map((name) => [name + suffix, `workers/${name}.ts`]));
}

/**
 * @param {string} root
 * @param {Record<string, string>} inputs
 * @param {string[]} missing receives what is not there
 */
function keepExisting(root, inputs, missing) {
  const present = Object.entries(inputs).filter(([, file]) => {
    const exists = existsSync(join(root, file));
    if (!exists) missing.push(file);
    return exists;
  });
  return Object.fromEntries(present);
}
