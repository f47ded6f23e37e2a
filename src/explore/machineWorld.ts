/** A simulated machine as the world of an exploration: one arena, put back from a snapshot, one task per CPU. */

import { restoreArena, snapshotArena } from '../arena/arena.ts';
import type { Heap } from '../arena/heap.ts';
import type { Task } from '../cpu/task.ts';
import { LOCK_CLASSES } from '../layout/lockClass.ts';
import { taskBlockedClass, taskBlockedOn } from '../layout/task.ts';
import type { WaitDescription, World } from './world.ts';

export class MachineWorld implements World<Task> {
  readonly heap: Heap;
  /** Tasks of the execution that runs, by thread. */
  tasks: Task[] = [];
  private readonly snapshot: Int32Array;
  private readonly makeTask: (index: number) => Task;

  /** Takes the machine as it is now for the start. @param makeTask the task of a thread, made anew for each execution */
  constructor(heap: Heap, makeTask: (index: number) => Task) {
    this.heap = heap;
    this.snapshot = snapshotArena(heap);
    this.makeTask = makeTask;
  }

  restore(): void {
    restoreArena(this.heap, this.snapshot);
    this.tasks = [];
  }

  task(index: number): Task {
    return (this.tasks[index] ??= this.makeTask(index));
  }

  describeWait(index: number, word: number): WaitDescription {
    const { ptr, id } = this.task(index);
    const lock = taskBlockedOn(this.heap, ptr);
    const name = LOCK_CLASSES[taskBlockedClass(this.heap, ptr)]?.name ?? 'an unknown lock';
    const text =
      lock === 0 ? `task ${id} sleeps on word ${word}` : `task ${id} waits for ${name} (lock at word ${lock})`;
    return { text, signature: lock === 0 ? 'a word' : name };
  }
}
