/** Where the bundle of a test's worker thread is: `new Worker(testWorker('locks/rwSem'))`. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inject } from 'vitest';

/** Bundle of `test/<name>.worker.ts`, plain or with random delays behind its shared-memory accesses. */
export function testWorker(name: string, flavour: 'threads' | 'perturbed' = 'threads'): URL {
  const { folder, errors } = inject('testWorkers');
  const output = `${name}.${flavour}`;
  if (output in errors) throw new Error(errors[output]);
  return pathToFileURL(join(folder, `${output}.mjs`));
}
