/** A task for whose page-table locks others seem to wait. */
import type { Heap } from '../../src/arena/heap.ts';
import type { CheckHook, LockStatsHook } from '../../src/cpu/hooks.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { CLASS_PTE_LOCK } from '../../src/layout/lockClass.ts';
import { SPIN } from '../../src/layout/lockWords.ts';
import { MM } from '../../src/layout/mm.ts';
import { TABLE } from '../../src/layout/pageTable.ts';

/** What the lock word says when somebody may sleep for it. */
const CONTENDED = 2;

/** `task`, counting the ptls it takes; if `contended`, each looks waited for once an entry below it was set. */
export function contendedTask(task: Task, counts: { ptls: number }, contended: boolean): Task {
  const acquired: LockStatsHook['acquired'] = (_task, _lock, cls) => {
    if (cls === CLASS_PTE_LOCK) counts.ptls++;
  };
  const check = task.check!;
  const pteSet: CheckHook['pteSet'] = (setter, mm, ...change) => {
    const { heap } = setter;
    check.pteSet(setter, mm, ...change);
    if (contended) heap[firstPteTable(heap, mm) + TABLE.lock + SPIN.state] = CONTENDED;
  };
  return { ...task, lockStats: { acquired, released: () => undefined }, check: { ...check, pteSet } };
}

function firstPteTable(heap: Heap, mm: MmPtr): number {
  let table = heap[mm + MM.pgd];
  for (let level = 0; level < 3; level++) table = heap[table + TABLE.entries];
  return table;
}
