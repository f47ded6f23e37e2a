/**
 * Global set-up of the `threads` tests: bundles the `*.worker.ts` files of the tests, each in the flavours a real worker
 * has. A thread cannot load TypeScript on Node 20, and no transform would be applied to it on the others.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundle } from '../../scripts/lib/bundle.mjs';
import { loadInstrument } from '../../scripts/lib/instrument.mjs';

const SUFFIX = '.worker.ts';

export interface TestWorkers {
  /** Folder of the bundles. */
  folder: string;
  /** Why a bundle is not there, by its name: only the tests that need it fail. */
  errors: Record<string, string>;
}

declare module 'vitest' {
  export interface ProvidedContext {
    testWorkers: TestWorkers;
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  const root = project.config.root;
  const cache = join(root, 'node_modules/.cache/mmstorm');
  mkdirSync(cache, { recursive: true });
  const workers: TestWorkers = { folder: mkdtempSync(join(cache, 'test-workers-')), errors: {} };
  const instrument = await loadInstrument(root);
  for (const name of listWorkers(root)) {
    for (const flavour of ['threads', 'perturbed'] as const) {
      const output = `${name}.${flavour}`;
      try {
        const inputs = { [output]: `test/${name}${SUFFIX}` };
        await bundle({ root, outDir: workers.folder, inputs, flavour, instrument });
      } catch (error) {
        workers.errors[output] = String(error);
      }
    }
  }
  project.provide('testWorkers', workers);
  return () => rmSync(workers.folder, { recursive: true, force: true });
}

/** Worker files by their path in `test`, without the suffix: `locks/rwSem`. */
function listWorkers(root: string): string[] {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith(SUFFIX)).map((file) => file.slice(0, -SUFFIX.length));
}
