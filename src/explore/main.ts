/** `mmstorm/explore`: running a program of threads under a scheduler that decides every interleaving. */

export { exploreMemory as explore, prepareMemory as prepare, replayMemory as replay } from './memoryProgram.ts';
export type {
  MemoryExploreOptions as ExploreOptions,
  MemoryProgram as Program,
  MemoryRunOptions as RunOptions,
  PreparedMemory as Prepared,
} from './memoryProgram.ts';
export type { Exploration, Failure, Replayed } from './explore.ts';
export type { Thread, Verdict } from './world.ts';
export type { Coverage, MissProbability, SchedulerView, Strategy } from './strategy.ts';
export { STRATEGIES, strategyNamed, type StrategyName, type StrategyOptions } from './strategyNamed.ts';
export { dfsStrategy, type DfsOptions } from './dfsStrategy.ts';
export { dporStrategy, type DporOptions } from './dporStrategy.ts';
export { decodeSchedule, encodeSchedule, type Run, type Schedule } from './schedule.ts';
export type { Violation } from '../base/finding.ts';
