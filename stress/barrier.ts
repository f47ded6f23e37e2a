/**
 * Where all CPUs of a run meet: nobody is inside an operation while one of them looks at the whole machine. Waits are
 * sliced and look at the abort word, so that a CPU that never arrives cannot hang the others.
 *
 * The meetings during the run and those of its end are counted apart: a CPU that has issued its last operation comes to no
 * further meeting of the first kind, and says so, so that nobody waits for it there.
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
  return Atomics.load(heap, section.control + CONTROL.barrierWanted) !== 0 && !somebodyLeft(heap, section);
}

/** The CPU has issued its last operation: there are no more meetings but those of the end. */
export function leaveBarrier(heap: Heap, section: StressSection): void {
  Atomics.store(heap, section.control + CONTROL.left, 1);
  Atomics.notify(heap, section.control + CONTROL.barrierRound);
}

function somebodyLeft(heap: Heap, section: StressSection): boolean {
  return Atomics.load(heap, section.control + CONTROL.left) !== 0;
}

/**
 * Waits until all `cpus` CPUs are here; the last one to come runs `inside` alone, then all go on. Without `inside` when one
 * of them has left: then it is only a short rest.
 * @throws MachineAborted when the run is aborted meanwhile
 */
export function meet(heap: Heap, section: StressSection, cpus: number, inside: () => void): void {
  const { control } = section;
  const runAlone = (): void => {
    inside();
    Atomics.store(heap, control + CONTROL.barrierWanted, 0);
  };
  // Everybody who arrived is still in the loop, so if all arrived nobody has left.
  const giveUp = (): boolean => somebodyLeft(heap, section);
  arrive(heap, control + CONTROL.barrierArrived, control + CONTROL.barrierRound, cpus, runAlone, giveUp);
}

/** One of the meetings of the end: all CPUs come. @throws MachineAborted when the run is aborted meanwhile */
export function meetAtEnd(heap: Heap, section: StressSection, cpus: number, inside: () => void): void {
  const { control } = section;
  arrive(heap, control + CONTROL.endArrived, control + CONTROL.endRound, cpus, inside, () => false);
}

function arrive(
  heap: Heap,
  arrivedAt: number,
  roundAt: number,
  cpus: number,
  inside: () => void,
  giveUp: () => boolean,
): void {
  const round = Atomics.load(heap, roundAt);
  if (Atomics.add(heap, arrivedAt, 1) === cpus - 1) {
    inside();
    Atomics.store(heap, arrivedAt, 0);
    Atomics.store(heap, roundAt, round + 1);
    Atomics.notify(heap, roundAt);
    return;
  }
  while (Atomics.load(heap, roundAt) === round && !giveUp()) {
    if (abortRequested(heap)) throw new MachineAborted();
    Atomics.wait(heap, roundAt, round, SLICE_MS);
  }
}
