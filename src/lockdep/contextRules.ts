/**
 * Rules that look at one moment: what the task is inside of, what it holds when it may not hold anything, what it gives back
 * that it never took. Nothing of this is learned.
 */

import type { Task } from '../cpu/task.ts';
import { CLASS_NONE } from '../layout/lockClass.ts';
import { TASK } from '../layout/task.ts';
import { WAIT_CONFIG, className, heldLines, lockLine, waitTypeOf } from './describe.ts';
import { heldLocks, type HeldLock } from './heldStack.ts';
import type { LockdepReport } from './report.ts';
import {
  reportOnce,
  unknownLine,
  wantedLine,
  withSection,
  type Acquire,
  type LazyTrace,
  type Validator,
} from './validator.ts';

/** True where the task must not sleep: RCU read side, preemption or interrupts off. */
export function isAtomic(task: Task): boolean {
  return task.preemptCount > 0 || task.irqsOff || task.heap[task.ptr + TASK.rcuNesting] !== 0;
}

/** A sleeping lock taken where the task must not sleep. Inside a held spinlock the chain's own check speaks. */
export function checkContext(validator: Validator, acquire: Acquire, trace: LazyTrace): LockdepReport | null {
  const { task, cls, mode } = acquire;
  if (innermostSpinning(validator, task) !== undefined) return null;
  const detail = contextOf(task);
  const classes = [detail, className(validator, cls, mode.subclass)];
  return withSection(validator.section, () =>
    reportOnce(validator, task, 'wait-context', classes, trace, (stack) => ({
      lock: wantedLine(validator, acquire, stack),
      detail,
    })),
  );
}

/** Something that may sleep (`what`) inside a spinlock or where the task must not sleep at all. */
export function checkSleep(validator: Validator, task: Task, what: string, trace: LazyTrace): LockdepReport | null {
  const spinning = innermostSpinning(validator, task);
  const inside = spinning === undefined ? contextOf(task) : className(validator, spinning.cls, spinning.subclass);
  return withSection(validator.section, () =>
    reportOnce(validator, task, 'sleeping-function', [what, inside], trace, () => ({
      detail: what,
      ...(spinning !== undefined && { other: lockLine(validator, spinning) }),
    })),
  );
}

/** A release or downgrade of a lock that the task does not hold, or not that way. */
export function checkImbalance(
  validator: Validator,
  task: Task,
  lock: number,
  what: 'release' | 'downgrade',
  trace: LazyTrace,
): LockdepReport | null {
  const name = className(validator, validator.identity.classAt(lock), 0);
  return withSection(validator.section, () =>
    reportOnce(validator, task, 'unlock-imbalance', [what, name], trace, (stack) => ({
      lock: unknownLine(validator, task, lock, stack),
      detail: what,
    })),
  );
}

/** Memory [start, start + words) is freed with the held lock of entry `index` inside. */
export function checkFreed(
  validator: Validator,
  task: Task,
  index: number,
  range: { readonly start: number; readonly words: number },
  trace: LazyTrace,
): LockdepReport | null {
  return withSection(validator.section, () => {
    const lock = lockLine(validator, heldLocks(validator.section, task.ptr)[index]);
    const detail = `${hex(range.start)}-${hex(range.start + range.words - 1)}`;
    return reportOnce(validator, task, 'held-lock-freed', [lock.name], trace, () => ({ lock, detail }));
  });
}

/** The operation is over and something is still held. */
export function checkUserReturn(validator: Validator, task: Task, trace: LazyTrace): LockdepReport | null {
  return withSection(validator.section, () => {
    const classes = heldLines(validator, task.ptr).map(({ name }) => name);
    return reportOnce(validator, task, 'user-return', classes, trace, () => ({}));
  });
}

function innermostSpinning(validator: Validator, task: Task): HeldLock | undefined {
  const held = heldLocks(validator.section, task.ptr);
  return held.findLast(({ cls }) => cls !== CLASS_NONE && waitTypeOf(validator, cls) === WAIT_CONFIG);
}

function contextOf(task: Task): string {
  if (task.heap[task.ptr + TASK.rcuNesting] !== 0) return 'inside an RCU read-side critical section';
  return task.irqsOff ? 'with interrupts disabled' : 'with preemption disabled';
}

function hex(address: number): string {
  return `0x${address.toString(16).padStart(8, '0')}`;
}
