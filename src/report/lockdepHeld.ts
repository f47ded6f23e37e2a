/** The list of locks a task holds, oldest first, as the kernel prints it with every report and for hung tasks. */

import type { Heap } from '../arena/heap.ts';
import type { TaskId } from '../layout/ids.ts';
import { LOCK_CLASSES } from '../layout/lockClass.ts';
import { TASK, taskAt } from '../layout/task.ts';
import { heldLines } from '../lockdep/describe.ts';
import type { LockLine } from '../lockdep/report.ts';
import { attachSection, hasLockdep } from '../lockdep/section.ts';
import { fitLine, lockText, taskName, type OpNames } from './lockdepLines.ts';

/** The list for one task. */
export function heldList(held: readonly LockLine[], who: string, rcuNesting: number): string[] {
  const count = held.reduce((sum, { more }) => sum + 1 + more, 0);
  const rcu = rcuNesting > 0 ? [`RCU read side held by ${who}, nest depth ${rcuNesting}.`] : [];
  if (count === 0) return [`no locks held by ${who}.`, ...rcu];
  const lines = held.map((line, i) => {
    const others = line.more === 0 ? '' : ` and ${line.more} more of the class`;
    return ` #${i}: ${lockText(line)}${others}`;
  });
  return [`${count} ${count === 1 ? 'lock' : 'locks'} held by ${who}:`, ...lines, ...rcu];
}

/** The list for a task of a running machine, from any thread; nothing when lockdep is off. */
export function describeHeldLocks(heap: Heap, id: TaskId, opNames?: OpNames): string[] {
  if (!hasLockdep(heap)) return [];
  const task = taskAt(heap, id);
  const held = heldLines({ section: attachSection(heap), classes: LOCK_CLASSES }, task);
  const who = taskName(id, heap[task + TASK.op], opNames);
  return heldList(held, who, heap[task + TASK.rcuNesting]).map(fitLine);
}
