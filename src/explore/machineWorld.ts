/** A simulated machine as the world of an exploration: one arena, put back from a snapshot, one task per CPU. */

import { restoreArena, snapshotArena } from '../arena/arena.ts';
import type { Heap } from '../arena/heap.ts';
import { machineNames } from '../check/machineNames.ts';
import type { WordNames } from '../check/wordNames.ts';
import { guardHook } from '../cpu/hookGuard.ts';
import type { LockStatsHook } from '../cpu/hooks.ts';
import type { Task } from '../cpu/task.ts';
import type { MutexPtr, RwSemPtr, SpinLockPtr } from '../layout/ids.ts';
import { LOCK_CLASSES, type LockFamily } from '../layout/lockClass.ts';
import {
  RWSEM_HELD,
  RWSEM_OWNER_SHIFT,
  peekMutexOwner,
  peekRwSemCount,
  rwSemOwnerWord,
  spinLockOwner,
} from '../layout/lockWords.ts';
import { taskBlockedClass, taskBlockedOn } from '../layout/task.ts';
import type { WaitDescription, World } from './world.ts';

export class MachineWorld implements World<Task> {
  readonly heap: Heap;
  /** Tasks of the execution that runs, by thread. */
  tasks: Task[] = [];
  private readonly snapshot: Int32Array;
  private readonly makeTask: (index: number) => Task;
  private lockHook: LockStatsHook | null = null;

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
    return (this.tasks[index] ??= this.newTask(index));
  }

  get names(): WordNames {
    return machineNames(this.heap);
  }

  waitsFor(index: number): number {
    return taskBlockedOn(this.heap, this.task(index).ptr);
  }

  watchLocks(hook: LockStatsHook | null): void {
    this.lockHook = hook === null ? null : guardHook(hook);
  }

  private newTask(index: number): Task {
    const task = this.makeTask(index);
    return this.lockHook === null ? task : { ...task, lockStats: this.lockHook };
  }

  describeWait(index: number, word: number): WaitDescription {
    const { heap } = this;
    const { ptr } = this.task(index);
    const lock = taskBlockedOn(heap, ptr);
    if (lock === 0) return { text: `sleeps on word ${word}`, signature: 'a word' };
    const { name, family } = LOCK_CLASSES[taskBlockedClass(heap, ptr)] ?? { name: 'an unknown lock', family: null };
    const holder = this.tasks.findIndex((task) => task?.id === holderOf(heap, family, lock));
    return {
      text: `waits for ${name} (lock at word ${lock})`,
      signature: name,
      holders: holder < 0 ? [] : [holder],
      lock: true,
    };
  }
}

/** Task that has a lock, 0 when nobody does or the lock does not know. Of several readers the last that came in. */
function holderOf(heap: Heap, family: LockFamily | null, lock: number): number {
  if (family === 'spinlock') return spinLockOwner(heap, lock as SpinLockPtr);
  if (family === 'mutex') return peekMutexOwner(heap, lock as MutexPtr);
  if (family !== 'rwsem') return 0;
  const isHeld = (peekRwSemCount(heap, lock as RwSemPtr) & RWSEM_HELD) !== 0;
  return isHeld ? rwSemOwnerWord(heap, lock as RwSemPtr) >> RWSEM_OWNER_SHIFT : 0;
}
