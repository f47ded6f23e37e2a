/**
 * Who uses an anon_vma: numActiveVmas counts the VMAs whose own it is, numChildren its live children (a root is its own
 * child). Before 6.0 there was only their sum, `degree`. All are kept under every rule; the reuse test of fork reads the
 * ones that its rule names.
 *
 * Guard: the anon_vma's lock for write.
 */

import type { Heap } from '../arena/heap.ts';
import type { Access, Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import {
  anonVmaDegree,
  anonVmaNumActiveVmas,
  anonVmaNumChildren,
  setAnonVmaDegree,
  setAnonVmaNumActiveVmas,
  setAnonVmaNumChildren,
} from '../layout/anonVma.ts';
import type { AnonVmaPtr } from '../layout/ids.ts';
import type { Rules } from '../rules/rules.ts';
import { anonVmaLockWrite, anonVmaUnlockWrite } from './anonVmaLock.ts';

/** A VMA made the anon_vma its own (1) or gave it up (-1). */
export function addActiveVma(task: Task, anonVma: AnonVmaPtr, delta: number): Access<void> {
  const { heap } = task;
  task.check?.guardedWrite(task, 'anonVma', anonVma);
  setAnonVmaNumActiveVmas(heap, anonVma, anonVmaNumActiveVmas(heap, anonVma) + delta);
  setAnonVmaDegree(heap, anonVma, anonVmaDegree(heap, anonVma) + delta);
}

/** A child was linked (1), or its tree became empty (-1). */
export function addChild(task: Task, parent: AnonVmaPtr, delta: number): Access<void> {
  const { heap } = task;
  task.check?.guardedWrite(task, 'anonVma', parent);
  setAnonVmaNumChildren(heap, parent, anonVmaNumChildren(heap, parent) + delta);
  setAnonVmaDegree(heap, parent, anonVmaDegree(heap, parent) + delta);
}

/** addChild() where each anon_vma has its own lock: takes the parent's. The caller keeps the parent. */
export function addChildLocked(task: Task, parent: AnonVmaPtr, delta: number): Sim<void> {
  anonVmaLockWrite(task, parent);
  addChild(task, parent, delta);
  anonVmaUnlockWrite(task, parent);
}

/**
 * True if a forked VMA may make this ancestor of its parent's anon_vma its own: nobody uses it, and it has at most one
 * child. That keeps a chain of forks from growing with each generation (7a3ef208e662).
 */
export function anonVmaIsReusable(heap: Heap, anonVma: AnonVmaPtr, rules: Rules): Access<boolean> {
  switch (rules.anonVma.reuseTest) {
    case 'splitCounters':
      return anonVmaNumActiveVmas(heap, anonVma) === 0 && anonVmaNumChildren(heap, anonVma) <= 1;
    case 'degree':
      return anonVmaDegree(heap, anonVma) < 2;
    case 'never':
      return false;
  }
}
