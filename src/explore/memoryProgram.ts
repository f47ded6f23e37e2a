/**
 * Programs over plain shared memory: what `mmstorm/explore` offers to code that knows nothing of simulated machines. The
 * memory is put back as the set-up left it before each execution.
 */

import { createHeap, type Heap } from '../arena/heap.ts';
import type { Sim } from '../base/sim.ts';
import { UsageError } from '../base/usageError.ts';
import { explore, replay, type Exploration, type ExploreOptions, type Program, type Replayed } from './explore.ts';
import { decodeSchedule, type Schedule } from './schedule.ts';
import type { Thread, World } from './world.ts';

const DEFAULT_WORDS = 64;

/** A program of threads that share memory. Set-up, threads and check are functions that the pass rewrites. */
export interface MemoryProgram<Shared> {
  /** The memory, or the number of its words; 64 by default. */
  readonly memory?: Heap | number;
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
  const { executions = DEFAULT_EXECUTIONS, seed, maxSteps, strategy, keepGoing } = program;
  return explore({ ...programOf(program), executions, seed, maxSteps, strategy, keepGoing });
}

/** Runs a program once under a schedule, or the text of one. */
export function replayMemory<Shared>(program: MemoryProgram<Shared>, schedule: Schedule | string): Replayed {
  return replay(programOf(program), typeof schedule === 'string' ? decodeSchedule(schedule) : schedule);
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
    this.heap.set(this.snapshot);
    if (this.fresh !== undefined) this.fresh();
  }

  task(): Shared {
    return this.shared;
  }
}

function programOf<Shared>(program: MemoryProgram<Shared>): Program<Shared, MemoryWorld<Shared>> {
  const { memory = DEFAULT_WORDS, setup, threads, check, fresh } = program;
  if (typeof memory === 'number' && !(Number.isSafeInteger(memory) && memory > 0)) {
    throw new UsageError(`the memory has ${memory} words: at least one is needed`);
  }
  const heap = typeof memory === 'number' ? createHeap(memory) : memory;
  const setUpWorld = (): Sim<MemoryWorld<Shared>> => new MemoryWorld(heap, setup(heap), fresh);
  if (check === undefined) return { setup: setUpWorld, threads };
  return { setup: setUpWorld, threads, check: (world: MemoryWorld<Shared>): Sim<void> => check(world.shared) };
}
