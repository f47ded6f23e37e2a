/**
 * Optimistic spinning of writers: the holder is probably about to leave, and sleeping costs a hundred times a short
 * section. Bounded by rounds, one spinner at a time, never while the holder sleeps. A spinner takes the lock past the
 * queue; the handoff bit stops it.
 *
 * With no rounds at all (explored build) one try remains: the schedules in which a writer steals stay reachable.
 *
 * Kernel: rwsem_can_spin_on_owner(), rwsem_optimistic_spin(), rwsem_spin_on_owner().
 */

import { cas, readOnce, writeOnce } from '../arena/access.ts';
import type { Heap } from '../arena/heap.ts';
import type { Sim } from '../base/sim.ts';
import { SPIN_ROUNDS, cpuRelax } from '../cpu/platform.ts';
import type { Task } from '../cpu/task.ts';
import type { RwSemPtr, TaskId } from '../layout/ids.ts';
import {
  RWSEM,
  RWSEM_HANDOFF,
  RWSEM_HELD,
  RWSEM_NO_SPIN,
  RWSEM_OWNER_SHIFT,
  RWSEM_READER_OWNED,
  RWSEM_WRITER,
  rwSemOwnerWord,
  setRwSemNoSpin,
} from '../layout/lockWords.ts';
import { taskAt, taskBlockedOn } from '../layout/task.ts';

/** Spins for the lock if that may pay. @returns true when the lock is now held for write */
export function spinForWrite(task: Task, sem: RwSemPtr): Sim<boolean> {
  const { heap } = task;
  if (!mayPay(heap, sem)) return false;
  if (cas(heap, sem + RWSEM.spinner, 0, 1) !== 0) return false;
  const got = spin(task, sem);
  writeOnce(heap, sem + RWSEM.spinner, 0);
  return got;
}

/** The queue's head has asked for handoff: waits a bounded time for the holders to leave. @returns true when they did */
export function spinUntilFree(task: Task, sem: RwSemPtr): Sim<boolean> {
  for (let round = 0; round < SPIN_ROUNDS && mayPay(task.heap, sem); round++) {
    if ((readOnce(task.heap, sem + RWSEM.count) & RWSEM_HELD) === 0) return true;
    cpuRelax(task);
  }
  return false;
}

function spin(task: Task, sem: RwSemPtr): Sim<boolean> {
  const { heap } = task;
  for (let round = 0; ; round++) {
    const count = readOnce(heap, sem + RWSEM.count);
    if ((count & RWSEM_HANDOFF) !== 0) return false;
    if ((count & RWSEM_HELD) === 0 && cas(heap, sem + RWSEM.count, count, count | RWSEM_WRITER) === count) return true;
    if (round >= SPIN_ROUNDS) {
      // Readers that stay this long will stay longer: nobody spins on them until they are gone.
      setRwSemNoSpin(heap, sem, true);
      return false;
    }
    if (!mayPay(heap, sem)) return false;
    cpuRelax(task);
  }
}

/** False when the owner sleeps or spinning on these readers was given up. */
function mayPay(heap: Heap, sem: RwSemPtr): boolean {
  const owner = rwSemOwnerWord(heap, sem);
  if ((owner & RWSEM_NO_SPIN) !== 0) return false;
  const holder = owner >> RWSEM_OWNER_SHIFT;
  if (holder === 0 || (owner & RWSEM_READER_OWNED) !== 0) return true;
  return taskBlockedOn(heap, taskAt(heap, holder as TaskId)) === 0;
}
