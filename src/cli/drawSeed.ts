/** A seed for a run that was given none; it is printed, so that the run can be repeated. */
import { randomInt } from 'node:crypto';

const SEED_LIMIT = 2 ** 32;

export function drawSeed(): number {
  return randomInt(SEED_LIMIT);
}
