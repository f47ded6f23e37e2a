/** Where the build put what is loaded by address: the bundles of the worker threads and of the explored build. */

/** `dist/`, seen from a bundle in it or from this source file (in a test). */
const DIST = new URL(import.meta.url.endsWith('.ts') ? '../../dist/' : './', import.meta.url);

/** Bundle of `workers/<name>.ts`; perturbed: with short random delays behind its shared-memory accesses. */
export function workerUrl(name: string, perturbed: boolean): URL {
  return new URL(`workers/${name}${perturbed ? '.perturbed' : ''}.mjs`, DIST);
}

/** Bundle of the explored build: `conform`, `sequences`, or a worker that explores. */
export function exploredUrl(name: string): URL {
  return new URL(`explored/${name}.mjs`, DIST);
}

/** Bundle of `bench/<name>.ts`. */
export function benchUrl(name: string): URL {
  return new URL(`bench/${name}.mjs`, DIST);
}

/** Source of the recorder of `conform --live`, which is compiled where it runs. */
export function recorderSourceUrl(): URL {
  return new URL('live/recorder.c', DIST);
}
