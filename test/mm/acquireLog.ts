/** A lockdep hook that only writes down what is acquired, in order. */
import type { AcquireMode, LockdepHook } from '../../src/cpu/hooks.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { LockClassId } from '../../src/layout/ids.ts';

export class AcquireLog implements LockdepHook {
  readonly acquired: { lock: number; subclass: number }[] = [];

  acquire(_task: Task, lock: number, _cls: LockClassId, mode: AcquireMode): void {
    this.acquired.push({ lock, subclass: mode.subclass });
  }
  release(): void {}
  downgrade(): void {}
  mightSleep(): void {}
  freeRange(): void {}
  returnToUser(): void {}
}
