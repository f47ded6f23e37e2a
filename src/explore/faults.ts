/** Faults where a program may have them (an allocation that fails): drawn, for the strategies that sample. */

import type { Prng } from '../base/prng.ts';

/** How often something is made to go wrong where it may. */
const FAULT_RATE = 1 / 16;

/** One of `options`; 0, which means that nothing goes wrong, most of the time. */
export function drawFault(prng: Prng, options: number): number {
  return prng.chance(FAULT_RATE) ? 1 + prng.below(options - 1) : 0;
}
