/** The builds of a real worker thread: the source as it is, and perturbed. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { testWorker } from '../support/testWorker.ts';
import type { CounterData } from './counter.worker.ts';

/** Runs the worker. @returns what it counted, and how often it paused */
async function run(flavour: 'threads' | 'perturbed', rate: number): Promise<{ counted: number; pauses: number }> {
  const buffer = new SharedArrayBuffer(4);
  const workerData: CounterData = { buffer, rate };
  const worker = new Worker(testWorker('instrument/counter', flavour), { workerData });
  // Both at once: the worker's exit may follow its message within the same turn.
  const [[pauses]] = (await Promise.all([once(worker, 'message'), once(worker, 'exit')])) as [[number], unknown];
  return { counted: new Int32Array(buffer)[0], pauses };
}

it('threads: no point, no pause', async () => {
  expect(await run('threads', 1)).toEqual({ counted: 1000, pauses: 0 });
});

it('perturbed: a pause at each point at rate 1, none at rate 0', async () => {
  expect(await run('perturbed', 1)).toEqual({ counted: 1000, pauses: 1000 });
  expect(await run('perturbed', 0)).toEqual({ counted: 1000, pauses: 0 });
});
