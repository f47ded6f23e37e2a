/**
 * Simulated code as the only task of its world, in every build: set-up, checks, single-task scripts. On threads it is a
 * call; explored it is a coroutine that is resumed until it is done.
 */

import { AssertionError } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import { REQUEST, S, callSim, isCoroutine } from './runtime.ts';

/** Points between two resumes: large enough to cost nothing, small enough that resuming is exercised. */
const BUDGET = 1000;

/**
 * Runs `body` to its end.
 * @param more a second argument, for a body that takes one
 * @throws AssertionError when it sleeps: nobody is there to wake it
 */
export function runAlone<A, R, B = undefined>(body: (argument: A, more: B) => Sim<R>, argument: A, more?: B): R {
  S.budget = BUDGET;
  const started: unknown = callSim(body, argument, more as B);
  if (!isCoroutine(started)) return started as R;
  let value: unknown;
  while (true) {
    S.budget = BUDGET;
    const result = started.next(value);
    const { request } = S;
    S.request = REQUEST.none;
    S.woken = 0;
    if (result.done === true) return result.value as R;
    const sleeps = request === REQUEST.park || request === REQUEST.await || request === REQUEST.awaitShared;
    if (sleeps) throw new AssertionError(`a lone task sleeps for ever on word ${S.at}`);
    value = result.value;
  }
}
