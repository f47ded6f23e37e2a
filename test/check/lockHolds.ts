/** Locks of the forged world, taken word by word as a task would hold them. */
import type { Task } from '../../src/cpu/task.ts';
import { ANON_VMA } from '../../src/layout/anonVma.ts';
import { RWSEM, RWSEM_OWNER_SHIFT, RWSEM_WRITER, SPIN } from '../../src/layout/lockWords.ts';
import { MM } from '../../src/layout/mm.ts';
import { PAGE, PG_locked, pageAt } from '../../src/layout/page.ts';
import { TABLE } from '../../src/layout/pageTable.ts';
import { VMA } from '../../src/layout/vma.ts';
import type { ForgedWorld } from './forge.ts';

function spin({ heap, id }: Task, lock: number): void {
  heap[lock + SPIN.state] = 1;
  heap[lock + SPIN.owner] = id;
}

function write({ heap, id }: Task, sem: number): void {
  heap[sem + RWSEM.count] = RWSEM_WRITER;
  heap[sem + RWSEM.owner] = id << RWSEM_OWNER_SHIFT;
}

/** Ways to take one lock of the world each. */
export const HOLD = {
  ptl: (task: Task, { pteTable }: ForgedWorld): void => spin(task, pteTable + TABLE.lock),
  pageTableLock: (task: Task, { mm }: ForgedWorld): void => spin(task, mm + MM.pageTableLock),
  mmapWrite: (task: Task, { mm }: ForgedWorld): void => {
    write(task, mm + MM.mmapLock);
    task.heap[mm + MM.mmLockSeq] |= 1;
  },
  vmaWrite: ({ heap }: Task, { mm, vma }: ForgedWorld): void => {
    heap[vma + VMA.lockSeq] = heap[mm + MM.mmLockSeq];
  },
  anonVma: (task: Task, { anonVma }: ForgedWorld): void => write(task, anonVma + ANON_VMA.rwsem),
  anonVmaSpin: (task: Task, { anonVma }: ForgedWorld): void => spin(task, anonVma + ANON_VMA.lock),
  folio: ({ heap, id }: Task, { pfn }: ForgedWorld): void => {
    heap[pageAt(heap, pfn) + PAGE.flags] |= PG_locked;
    heap[pageAt(heap, pfn) + PAGE.locker] = id;
  },
} as const;

export type Hold = keyof typeof HOLD;
