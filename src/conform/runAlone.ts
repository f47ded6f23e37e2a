/**
 * Simulated code as the only task of its machine, in either build: on threads it is a call; explored it is a coroutine
 * that is resumed at each of its scheduling points until it is done.
 */

import { fail } from '../base/assert.ts';
import type { Sim } from '../base/sim.ts';
import { REQUEST, S, callSim, type Coroutine } from '../instrument/runtime.ts';

/** Points between two looks at the coroutine: a coroutine that never had to yield would leave resuming untested. */
const BUDGET = 100;

/** Runs `body` to its end. @throws AssertionError when it waits for what only another task could bring */
export function runAlone<Argument>(body: (argument: Argument) => Sim<void>, argument: Argument): void {
  S.budget = BUDGET;
  const started: unknown = callSim(body, argument);
  if (isCoroutine(started)) finish(started);
}

function finish(coroutine: Coroutine): void {
  let carried: unknown;
  for (;;) {
    S.budget = BUDGET;
    const { done, value } = coroutine.next(carried);
    if (done === true) return;
    if (S.request === REQUEST.park) fail('the only task waits for a lock that nobody will release');
    S.request = REQUEST.none;
    carried = value;
  }
}

function isCoroutine(value: unknown): value is Coroutine {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}
