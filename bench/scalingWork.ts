/** What one thread of the scaling benchmark does, for a fixed time, counted in rounds. */

import { attachArena } from '../src/arena/arena.ts';
import { createTask } from '../src/cpu/task.ts';
import type { MmPtr } from '../src/layout/ids.ts';
import { LINUX_7_0 } from '../src/rules/presets.ts';
import { mapRange, touch, type World } from './world.ts';
import { sysMunmap } from '../src/mm/syscalls.ts';
import { PAGE_SIZE, vpnToAddr } from '../src/mm/userSpace.ts';

/** Pages mapped, written and unmapped in one round. */
export const ROUND_PAGES = 32;
const RAW_PAIRS = 2000;
const LINE_WORDS = 64;
const START_SLICE_MS = 100;

export interface ScalingData {
  readonly kind: 'raw' | 'mm';
  /** Arena for `mm`, any shared words for `raw`. */
  readonly buffer: SharedArrayBuffer;
  /** Words where the threads of one phase meet before they start. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
  readonly id: number;
  readonly mm: number;
  readonly durationMs: number;
}

/** Runs rounds until the time is over; returns rounds per second. */
export function scalingWork(data: ScalingData): number {
  const round = data.kind === 'raw' ? rawRound(data) : mmRound(data);
  for (let i = 0; i < 50; i++) round();
  meetAtGate(data);
  const start = performance.now();
  let rounds = 0;
  let now = start;
  while (now - start < data.durationMs) {
    for (let i = 0; i < 10; i++) round();
    rounds += 10;
    now = performance.now();
  }
  return (rounds * 1000) / (now - start);
}

function meetAtGate({ gate, threads }: ScalingData): void {
  const words = new Int32Array(gate);
  Atomics.add(words, 0, 1);
  Atomics.notify(words, 0);
  for (let here = Atomics.load(words, 0); here < threads; here = Atomics.load(words, 0)) {
    Atomics.wait(words, 0, here, START_SLICE_MS);
  }
}

function rawRound({ buffer, id }: ScalingData): () => void {
  const words = new Int32Array(buffer);
  const at = id * LINE_WORDS;
  return () => {
    for (let i = 0; i < RAW_PAIRS; i++) {
      Atomics.compareExchange(words, at, 0, 1);
      Atomics.store(words, at, 0);
    }
  };
}

/** Maps, writes and unmaps a range; threads on one mm use ranges of their own. */
function mmRound({ buffer, id, mm }: ScalingData): () => void {
  const heap = attachArena(buffer);
  const task = createTask({ heap, id: id + 1, rules: LINUX_7_0, seed: 1 });
  task.mm = mm as MmPtr;
  const world: World = { heap, task, mm: task.mm };
  const start = id * 1024;
  return () => {
    mapRange(world, start, ROUND_PAGES);
    touch(world, start, ROUND_PAGES);
    sysMunmap(task, vpnToAddr(start), ROUND_PAGES * PAGE_SIZE);
  };
}
