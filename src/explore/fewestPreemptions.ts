/**
 * A schedule with the fewest preemptions that the finding needs, looked for without regard to the one that was found:
 * cutting that one down ends where no single cut leaves a failure, which may be well above what another order needs.
 *
 * Depth first with the bound 0, then 1, so that what it finds is the least; drawn pairs of preemptions, which get far
 * behind the first steps soon; and depth first with the bounds that are left.
 */

import { dfsStrategy } from './dfsStrategy.ts';
import type { Failing, FailureSearch } from './failureSearch.ts';
import { polish } from './minimiseSchedule.ts';
import { preemptTwiceStrategy } from './preemptTwiceStrategy.ts';
import type { Strategy } from './strategy.ts';
import type { World } from './world.ts';

/** More preemptions than this are not searched for: their number of schedules outgrows any budget. */
const MAX_BOUND = 3;
/** Preemptions of a drawn pair. */
const PAIR = 2;
/** Pairs drawn: few, for most of them are drawn in vain. */
const DRAWN = 500;
/** Steps that one search may make, in executions as long as the failing one: long programs take their time. */
const STEPS = 1_500_000;

/** An execution with the finding and fewer preemptions, if one is met; or the same one. */
export function fewestPreemptions<T, W extends World<T>>(search: FailureSearch<T, W>, failing: Failing): Failing {
  let best = failing;
  const tryStrategy = (strategy: Strategy, executions: number): void => {
    const most = Math.min(executions, Math.ceil(STEPS / Math.max(1, best.effort.steps)));
    const found = search.explore(strategy, most);
    if (found !== null && found.effort.preemptions < best.effort.preemptions) best = polish(search, found);
  };
  const faults = failing.picks.flat().filter((picked) => picked !== 0).length;
  if (best.effort.preemptions > 1) tryStrategy(dfsStrategy({ preemptions: 1, faults }), Infinity);
  if (best.effort.preemptions > PAIR) tryStrategy(preemptTwiceStrategy(), DRAWN);
  const bound = Math.min(best.effort.preemptions - 1, MAX_BOUND);
  if (bound > 1) tryStrategy(dfsStrategy({ preemptions: bound, faults }), Infinity);
  return best;
}
