/** The same program with fewer operations, or with threads that do nothing. */

import type { Sim } from '../base/sim.ts';
import type { Program } from './explore.ts';
import type { Thread, World } from './world.ts';

/** Which operations of each thread are kept, in order. A thread that is no list of operations is one. */
export type Kept = readonly (readonly number[])[];

/** Everything. */
export function keepAll<T, W extends World<T>>(program: Program<T, W>): Kept {
  const counts = program.variants?.operations ?? program.threads.map(() => 1);
  return counts.map((count) => Array.from({ length: count }, (_, index) => index));
}

/** The program with the operations that are kept. Threads keep their numbers; one without operations ends at once. */
export function reduceProgram<T, W extends World<T>>(program: Program<T, W>, kept: Kept): Program<T, W> {
  if (program.variants !== undefined) return program.variants.keep(kept);
  const threads = program.threads.map((thread, index): Thread<T> => (kept[index].length === 0 ? idle : thread));
  return { ...program, threads };
}

/** A thread that does nothing. */
function idle(): Sim<void> {}
