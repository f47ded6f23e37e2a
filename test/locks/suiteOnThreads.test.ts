/** The suite on worker threads, more of them than cores: plain, and with random delays between the shared accesses. */
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { restoreArena, snapshotArena } from '../../src/arena/arena.ts';
import { requestAbort, userBase } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { createTask } from '../../src/cpu/task.ts';
import { LOCK_CLASSES } from '../../src/layout/lockClass.ts';
import { TASK, allTaskIds, taskAt } from '../../src/layout/task.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { testWorker } from '../support/testWorker.ts';
import type { SuiteAnswer, SuiteOrder } from './suite.worker.ts';
import { LOCK_PROGRAMS } from './suite/all.ts';
import { GROUND_WORDS } from './suite/program.ts';

const MAX_THREADS = 4;
/**
 * A program that takes longer hangs: a lock that was never dropped. A sleeper looks up now and then by itself, so a single
 * lost wake-up only costs time here; it is the explorer to which it is a deadlock.
 */
const PATIENCE_MS = 10_000;

const FLAVOURS = [
  { flavour: 'threads', rounds: 600, repeats: 6, delays: 0 },
  { flavour: 'perturbed', rounds: 60, repeats: 6, delays: 0.05 },
] as const;

describe.each(FLAVOURS)('$flavour', ({ flavour, rounds, repeats, delays }) => {
  const workers: Worker[] = [];
  beforeAll(() => {
    for (let i = 0; i < MAX_THREADS; i++) workers.push(new Worker(testWorker('locks/suite', flavour)));
  });
  afterAll(() => Promise.all(workers.map((worker) => worker.terminate())));

  test.each(LOCK_PROGRAMS.map((program, index) => ({ name: program.name, program, index })))(
    '$name',
    async ({ program, index }) => {
      const heap = createMachine({ ...SMALL_MACHINE, userWords: GROUND_WORDS + 1, ...program.size });
      const ground = { at: userBase(heap), rounds };
      const task = createTask({ heap, id: 1, rules: LINUX_7_0, seed: 0 });
      program.setUp(task, ground);
      const snapshot = snapshotArena(heap);
      for (let repeat = 0; repeat < (program.directed === true ? repeats : 1); repeat++) {
        restoreArena(heap, snapshot);
        const orders = program.threads.map((_, thread) => {
          return { buffer: heap.buffer, program: index, thread, ground, gate: ground.at + GROUND_WORDS, delays };
        });
        const watch = setTimeout(() => requestAbort(heap), PATIENCE_MS);
        const answers = await runOn(workers, orders);
        clearTimeout(watch);
        expect(answers, describeWaits(heap)).toEqual(orders.map(() => null));
        program.check(task, ground);
      }
    },
  );
});

function runOn(workers: Worker[], orders: SuiteOrder[]): Promise<SuiteAnswer[]> {
  return Promise.all(
    orders.map((order, i) => {
      const answer = new Promise<SuiteAnswer>((resolve) => workers[i].once('message', resolve));
      workers[i].postMessage(order);
      return answer;
    }),
  );
}

/** What each task waits for: for the report of a program that hung. Aborted tasks leave their words as they were. */
function describeWaits(heap: Heap): string {
  return allTaskIds(heap)
    .map((id) => {
      const task = taskAt(heap, id);
      const what = heap[task + TASK.blockedOn] === 0 ? 'runs' : LOCK_CLASSES[heap[task + TASK.blockedClass]].name;
      return `task ${id}: ${what}`;
    })
    .join(', ');
}
