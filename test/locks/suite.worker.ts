/** A simulated CPU of the suite on a thread of its own: runs its part of one program after the other. */
import { parentPort } from 'node:worker_threads';
import { attachArena } from '../../src/arena/arena.ts';
import type { Heap } from '../../src/arena/heap.ts';
import type { Sim } from '../../src/base/sim.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import { P, callSim } from '../../src/instrument/runtime.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { LOCK_PROGRAMS } from './suite/all.ts';
import type { Ground } from './suite/program.ts';

export interface SuiteOrder {
  readonly buffer: SharedArrayBuffer;
  readonly program: number;
  readonly thread: number;
  readonly ground: Ground;
  /** Word at which the threads of the program meet before they begin. */
  readonly gate: number;
  /** Share of the points with a delay (perturbed build). */
  readonly delays: number;
}

/** Null, or what went wrong. */
export type SuiteAnswer = string | null;

interface Part {
  readonly order: SuiteOrder;
  readonly task: Task;
}

const runPart = (part: Part): Sim<void> => {
  const { program, thread, ground } = part.order;
  LOCK_PROGRAMS[program].threads[thread](part.task, ground);
};

function meetAtGate(heap: Heap, gate: number, threads: number): void {
  Atomics.add(heap, gate, 1);
  while (Atomics.load(heap, gate) < threads) Atomics.wait(heap, gate, -1, 0.01);
}

function obey(order: SuiteOrder): SuiteAnswer {
  const heap = attachArena(order.buffer);
  const task = createTask({ heap, id: order.thread + 1, rules: LINUX_7_0, seed: order.program });
  P.configure(1000 * order.program + order.thread, order.delays);
  try {
    meetAtGate(heap, order.gate, LOCK_PROGRAMS[order.program].threads.length);
    callSim(runPart, { order, task });
    return null;
  } catch (error) {
    return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
  }
}

parentPort?.on('message', (order: SuiteOrder) => parentPort?.postMessage(obey(order)));
