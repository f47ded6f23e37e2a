/** The machine of a stress run: sized, allocated, booted. */

import type { Heap } from '../../src/arena/heap.ts';
import { STRESS_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { LOCKDEP_LARGE, initLockdep, lockdepWords } from '../../src/lockdep/section.ts';
import { bootMachine } from '../../src/mm/boot.ts';
import { sectionWords, type SectionShape } from '../section.ts';

/** Frames per process of the table: enough that memory runs out only where failures are injected. */
const FRAMES_PER_PROCESS = 1536;

export interface StressMachine {
  readonly heap: Heap;
  readonly shape: SectionShape;
}

/** @param inputWords words behind the section, for a recorded program. @throws UsageError when it does not fit */
export function createStressMachine(cpus: number, processes: number, lockdep: boolean, inputWords = 0): StressMachine {
  const shape: SectionShape = { frames: FRAMES_PER_PROCESS * (processes + 1), cpus, processes };
  const heap = createMachine({
    ...STRESS_MACHINE,
    cpus,
    frames: shape.frames,
    pageWords: Math.max(4, cpus),
    lockdepWords: lockdep ? lockdepWords(cpus, LOCKDEP_LARGE) : 0,
    userWords: sectionWords(shape) + inputWords,
  });
  bootMachine(heap);
  if (lockdep) initLockdep(heap, LOCKDEP_LARGE);
  return { heap, shape };
}
