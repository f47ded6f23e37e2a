/**
 * Where all CPUs of a run meet: nobody is inside an operation while one of them looks at the whole machine. Waits are
 * sliced and look at the abort word, so that a CPU that never arrives cannot hang the others.
 */

import { abortRequested } from '../src/arena/header.ts';
import type { Heap } from '../src/arena/heap.ts';
import { MachineAborted } from '../src/cpu/machineAborted.ts';
import { CONTROL, type StressSection } from './section.ts';

const SLICE_MS = 20;

/** Asks every CPU to come to the barrier. */
export function wantBarrier(heap: Heap, section: StressSection): void {
  Atomics.store(heap, section.control + CONTROL.barrierWanted, 1);
}

/** True when a CPU between two operations shall come. */
export function barrierWanted(heap: Heap, section: StressSection): boolean {
  return Atomics.load(heap, section.control + CONTROL.barrierWanted) !== 0;
}

/**
 * Waits until all `cpus` CPUs are here; the last one to come runs `inside` alone, then all go on.
 * @throws MachineAborted when the run is aborted meanwhile
 */
export function meet(heap: Heap, section: StressSection, cpus: number, inside: () => void): void {
  const roundAt = section.control + CONTROL.barrierRound;
  const round = Atomics.load(heap, roundAt);
  if (Atomics.add(heap, section.control + CONTROL.barrierArrived, 1) === cpus - 1) {
    inside();
    Atomics.store(heap, section.control + CONTROL.barrierArrived, 0);
    Atomics.store(heap, section.control + CONTROL.barrierWanted, 0);
    Atomics.store(heap, roundAt, round + 1);
    Atomics.notify(heap, roundAt);
    return;
  }
  while (Atomics.load(heap, roundAt) === round) {
    if (abortRequested(heap)) throw new MachineAborted();
    Atomics.wait(heap, roundAt, round, SLICE_MS);
  }
}
