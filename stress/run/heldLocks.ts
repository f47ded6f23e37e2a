/** The locks that a task holds, for the watchdog: from lockdep's held stack, which lies in the task's own words. */

import type { Heap } from '../../src/arena/heap.ts';
import { LOCK_CLASSES } from '../../src/layout/lockClass.ts';
import { taskAt } from '../../src/layout/task.ts';
import type { TaskId } from '../../src/layout/ids.ts';
import { heldLocks } from '../../src/lockdep/heldStack.ts';
import { attachSection, hasLockdep } from '../../src/lockdep/section.ts';

const READ_MODES = ['for write', 'for read', 'for read (recursive)'] as const;

/** A line per held lock, oldest first; the last one may be the one it waits for. One line when lockdep is off. */
export function describeHeldLocks(heap: Heap, id: TaskId): string[] {
  if (!hasLockdep(heap)) return ['  held locks: unknown without lockdep'];
  const held = heldLocks(attachSection(heap), taskAt(heap, id));
  return held.map(({ cls, subclass, read }, i) => {
    const name = LOCK_CLASSES[cls]?.name ?? `class ${cls}`;
    return `  #${i}: ${name}${subclass === 0 ? '' : `/${subclass}`} ${READ_MODES[read]}`;
  });
}
