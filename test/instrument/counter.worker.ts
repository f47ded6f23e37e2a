/** Counts in shared memory as simulated code does, with the delays it was told to make. */
import { parentPort, workerData } from 'node:worker_threads';
import { fetchAdd } from '../../src/arena/access.ts';
import { attachHeap, type Heap } from '../../src/arena/heap.ts';
import type { Sim } from '../../src/base/sim.ts';
import { P, callSim } from '../../src/instrument/runtime.ts';

export interface CounterData {
  readonly buffer: SharedArrayBuffer;
  readonly rate: number;
}

const ROUNDS = 1000;

function count(heap: Heap): Sim<void> {
  for (let i = 0; i < ROUNDS; i++) fetchAdd(heap, 0, 1);
}

const { buffer, rate } = workerData as CounterData;
P.configure(1, rate);
callSim(count, attachHeap(buffer));
parentPort?.postMessage(P.pauses);
