/** Programs over a few bare words, without a machine: what the explorer itself is tested on. */
import { createHeap, type Heap } from '../../src/arena/heap.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { Program } from '../../src/explore/explore.ts';
import type { World } from '../../src/explore/world.ts';

/** Words free for tests start here: below lies the arena header, which the platform reads. */
export const X = 40;
export const Y = 41;
export const LOCK_A = 42;
export const LOCK_B = 43;
const WORDS = 64;

export type BareThread = (task: Task) => Sim<void>;

export class BareWorld implements World<Task> {
  readonly heap: Heap = createHeap(WORDS);
  /** What the threads write down; empty at the start of each execution. */
  readonly notes: number[] = [];
  private readonly tasks: Task[];

  constructor(threads: number) {
    const { heap } = this;
    // Locks and platform ask a task for its memory and its number only.
    this.tasks = Array.from({ length: threads }, (_, index) => ({ heap, id: index + 1, ptr: 0 }) as unknown as Task);
  }

  restore(): void {
    this.heap.fill(0);
    this.notes.length = 0;
  }

  task(index: number): Task {
    return this.tasks[index];
  }
}

/** A program of the given threads; `check` sees the world when all have finished. */
export function bareProgram(
  threads: readonly BareThread[],
  check: (world: BareWorld) => Sim<void> = (): Sim<void> => {},
): Program<Task, BareWorld> {
  return { setup: (): Sim<BareWorld> => new BareWorld(threads.length), threads, check };
}
