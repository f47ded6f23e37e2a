/**
 * Programs over plain shared memory: what `mmstorm/explore` offers to code that knows nothing of simulated machines. The
 * memory is put back as the set-up left it before each execution.
 */

import { createHeap, type Heap } from '../arena/heap.ts';
import type { Sim } from '../base/sim.ts';
import { UsageError } from '../base/usageError.ts';
import {
  DEFAULT_MAX_STEPS,
  Explorer,
  replay,
  type Exploration,
  type ExploreOptions,
  type Program,
  type Replayed,
  type RunOptions,
  type SetUpOptions,
} from './explore.ts';
import { decodeSchedule, type Schedule } from './schedule.ts';
import type { Thread, World } from './world.ts';

const DEFAULT_WORDS = 64;
const SHORT = 64;

/** A program of threads that share memory. Set-up, threads and check are functions that the pass rewrites. */
export interface MemoryProgram<Shared> {
  /** The memory, or the number of its words; 64 by default. */
  readonly heap?: Heap | number;
  /** Prepares the memory, once, alone. What it returns is given to each thread and to the check. */
  readonly setup: (memory: Heap) => Sim<Shared>;
  /** At most 31; they run as tasks 1, 2, ... */
  readonly threads: readonly Thread<Shared>[];
  /** Judges, alone, the end of each execution in which all threads finished: it throws. */
  readonly check?: (shared: Shared) => Sim<void>;
  /** Called before each execution: puts back what the program keeps outside of the memory. */
  readonly fresh?: () => void;
}

export type MemoryExploreOptions = Omit<ExploreOptions, 'executions'> & {
  /** Number of executions; 10,000 by default. The strategy may end the exploration before. */
  readonly executions?: number;
};

const DEFAULT_EXECUTIONS = 10_000;

/** Runs a program under many schedules; stops at the first failure unless told to go on. */
export function exploreMemory<Shared>(program: MemoryProgram<Shared> & MemoryExploreOptions): Exploration {
  return prepareMemory(program).explore(program);
}

export type MemoryRunOptions = Omit<MemoryExploreOptions, keyof SetUpOptions>;

/** A program that is set up. */
export interface PreparedMemory {
  /** What exploring the program alone gives, without the cost of its set-up. */
  explore(options?: MemoryRunOptions): Exploration;
}

/** Sets a program up once, to be explored as often as wanted: for little programs the set-up costs more than an exploration. */
export function prepareMemory<Shared>(program: MemoryProgram<Shared> & SetUpOptions): PreparedMemory {
  const explorer = new Explorer(programOf(program), program);
  return {
    explore: ({ executions = DEFAULT_EXECUTIONS, seed, strategy, keepGoing, confirm = true } = {}) =>
      explorer.explore({ executions, seed, strategy, keepGoing, confirm } satisfies RunOptions),
  };
}

/** Runs a program once under a schedule, or the text of one; with the options of the exploration that it is from. */
export function replayMemory<Shared>(
  program: MemoryProgram<Shared> & Pick<ExploreOptions, 'memory' | 'maxSteps'>,
  schedule: Schedule | string,
): Replayed {
  const { memory = 'sc', maxSteps = DEFAULT_MAX_STEPS } = program;
  const runs = typeof schedule === 'string' ? decodeSchedule(schedule) : schedule;
  return replay(programOf(program), runs, { memory, maxSteps });
}

class MemoryWorld<Shared> implements World<Shared> {
  readonly heap: Heap;
  readonly shared: Shared;
  private readonly snapshot: Int32Array;
  private readonly fresh: (() => void) | undefined;

  constructor(heap: Heap, shared: Shared, fresh: (() => void) | undefined) {
    this.heap = heap;
    this.shared = shared;
    this.snapshot = heap.slice();
    this.fresh = fresh;
  }

  restore(): void {
    const { heap, snapshot } = this;
    // Little memories are the rule, and a call that copies many words at once costs as much as an execution.
    if (heap.length > SHORT) heap.set(snapshot);
    else for (let at = 0; at < heap.length; at++) heap[at] = snapshot[at];
    if (this.fresh !== undefined) this.fresh();
  }

  task(): Shared {
    return this.shared;
  }
}

function programOf<Shared>(program: MemoryProgram<Shared>): Program<Shared, MemoryWorld<Shared>> {
  const { heap: given = DEFAULT_WORDS, setup, threads, check, fresh } = program;
  if (typeof given === 'number' && !(Number.isSafeInteger(given) && given > 0)) {
    throw new UsageError(`the memory has ${given} words: at least one is needed`);
  }
  const heap = typeof given === 'number' ? createHeap(given) : given;
  const before = heap.slice();
  const setUpWorld = (): Sim<MemoryWorld<Shared>> => {
    heap.set(before);
    return new MemoryWorld(heap, setup(heap), fresh);
  };
  if (check === undefined) return { setup: setUpWorld, threads };
  return { setup: setUpWorld, threads, check: (world: MemoryWorld<Shared>): Sim<void> => check(world.shared) };
}
