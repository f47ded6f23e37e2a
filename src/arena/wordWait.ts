/**
 * Sleeping on a word, waking, waiting one spin round: the futex, for programs that have memory and nothing else. Simulated
 * kernel code does this through src/cpu/platform.ts, which knows tasks and machines that are to be stopped.
 */

import type { Sim } from '../base/sim.ts';
import type { Heap } from './heap.ts';

/** Sleeps until somebody wakes the word; returns at once if it is not `expected`. Callers loop over their condition. */
export function parkWord(heap: Heap, at: number, expected: number): Sim<void> {
  Atomics.wait(heap, at, expected);
}

/** Wakes up to `count` sleepers on a word. */
export function unparkWord(heap: Heap, at: number, count: number): Sim<void> {
  Atomics.notify(heap, at, count);
}

/** One round of a spin or retry loop: others are to go on. */
export function relax(): Sim<void> {
  // On threads they do.
}

/** One of `options`, from 0: explored, every one of them is tried; on threads it is 0, which stands for nothing unusual. */
export function chooseOption(_options: number): Sim<number> {
  return 0;
}
