/** The strategies by name, for command lines and for programs that take the name from somebody else. */

import { UsageError } from '../base/usageError.ts';
import { dfsStrategy } from './dfsStrategy.ts';
import { dporStrategy } from './dporStrategy.ts';
import { mixedStrategy } from './mixedStrategy.ts';
import { pctStrategy } from './pctStrategy.ts';
import { posStrategy } from './posStrategy.ts';
import { preemptTwiceStrategy } from './preemptTwiceStrategy.ts';
import { randomStrategy } from './randomStrategy.ts';
import { roundRobinStrategy } from './roundRobinStrategy.ts';
import { stallStrategy } from './stallStrategy.ts';
import type { Strategy } from './strategy.ts';
import { urwStrategy } from './urwStrategy.ts';

export interface StrategyOptions {
  /** Any safe integer; 0 by default. */
  readonly seed?: number | undefined;
  /** `pct`: depth of the bugs looked for; several in turn by default. */
  readonly depth?: number | undefined;
  /** `dfs`, `dpor`: most preemptions of a schedule. */
  readonly preemptions?: number | undefined;
  /** `dfs`, `dpor`: most faults of an execution; 1 by default. */
  readonly faults?: number | undefined;
}

interface StrategyEntry {
  readonly about: string;
  readonly make: (options: StrategyOptions) => Strategy;
}

/** Executions of uniform random walk with which a mix begins. */
const FIRST_WALKS = 48;

/** Every strategy that can be asked for. */
export const STRATEGIES = {
  mixed: { about: 'uniform random walks first, then all samplers in turn: the default', make: makeMix },
  urw: {
    about: 'uniform random walk: tasks by the steps they have left, so that interleavings are about equally likely',
    make: ({ seed = 0 }) => urwStrategy(seed),
  },
  random: { about: 'each task is as likely at every point', make: ({ seed = 0 }) => randomStrategy(seed) },
  pct: {
    about: 'priorities and few changes of them; states the chance that a bug of some depth was missed',
    make: ({ seed = 0, depth }) => pctStrategy(seed, depth),
  },
  pos: {
    about: 'partial-order sampling: orders of conflicting steps are about equally likely',
    make: ({ seed = 0 }) => posStrategy(seed),
  },
  stall: {
    about: 'one task stands still at a point while the others run: every task and point, then in drawn orders',
    make: ({ seed = 0 }) => stallStrategy({ seed, rounds: Infinity }),
  },
  'preempt-twice': {
    about: 'one task stands still inside the pause of another: at drawn points',
    make: ({ seed = 0 }) => preemptTwiceStrategy({ seed }),
  },
  'round-robin': { about: 'turns of equal length, from single steps up', make: () => roundRobinStrategy() },
  dfs: {
    about: 'every schedule, those with few preemptions first',
    make: ({ preemptions, faults }) => dfsStrategy({ preemptions, faults }),
  },
  dpor: {
    about: 'one schedule of each set of equivalent ones: dynamic partial-order reduction',
    make: ({ preemptions, faults }) => dporStrategy({ preemptions, faults }),
  },
} as const satisfies Record<string, StrategyEntry>;

export type StrategyName = keyof typeof STRATEGIES;

export const DEFAULT_STRATEGY: StrategyName = 'mixed';

/** The strategy of a name. @throws UsageError for a name that is none */
export function strategyNamed(name: string, options: StrategyOptions = {}): Strategy {
  if (!Object.hasOwn(STRATEGIES, name)) {
    throw new UsageError(`no strategy '${name}': ${Object.keys(STRATEGIES).join(', ')}`);
  }
  return STRATEGIES[name as StrategyName].make(options);
}

function makeMix({ seed = 0, depth }: StrategyOptions): Strategy {
  return mixedStrategy(FIRST_WALKS, [
    { strategy: urwStrategy(seed), executions: 4 },
    { strategy: stallStrategy({ seed: seed + 1, rounds: Infinity }), executions: 8 },
    { strategy: pctStrategy(seed + 2, depth), executions: 4 },
    { strategy: preemptTwiceStrategy({ seed: seed + 3 }), executions: 2 },
    { strategy: randomStrategy(seed + 4), executions: 1 },
    { strategy: posStrategy(seed + 5), executions: 1 },
  ]);
}
