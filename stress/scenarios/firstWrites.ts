import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { scenario, type Report } from './scenario.ts';
import { newProcess, readBack, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
}

export const firstWrites = scenario<Shared>({
  id: 'first-writes',
  title: 'two threads make the first two writes into one VMA',
  reference: '__anon_vma_prepare() in mm/rmap.c: NULL to non-NULL under mmap_lock(read) and page_table_lock',
  bug: null,
  shows: 'one of two anon_vmas wins, the other is given back; tables are not allocated twice',
  expected: [],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 2);
    return { mm };
  },
  roles: [
    {
      name: 'writes page 0',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        touch(task, 0, 1);
        readBack(task, 0, 0, 1, report);
      },
    },
    {
      name: 'writes page 1',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        touch(task, 1, 2);
        readBack(task, 1, 0, 2, report);
      },
    },
  ],
});
