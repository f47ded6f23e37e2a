import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { scenario, type Report } from './scenario.ts';
import { FAMILY, forkOf, newProcess, readBack, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
}

const OLD = 1;
const NEW = 2;

export const faultVsFork = scenario<Shared>({
  id: 'fault-vs-fork',
  title: 'a thread writes to its pages while another one forks',
  reference: 'dup_mmap() in mm/mmap.c: vma_start_write() of each VMA keeps faults under the per-VMA lock out (6.4)',
  bug: null,
  shows: 'a store lands before the copy or after it, never in the child alone',
  expected: [],
  size: FAMILY,
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 2);
    touch(stage.task(1), 0, OLD);
    return { mm };
  },
  roles: [
    {
      name: 'writes pages 0 and 1 and reads them',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        touch(task, 0, NEW);
        touch(task, 1, NEW);
        readBack(task, 0, 0, NEW, report);
        readBack(task, 1, 0, NEW, report);
      },
    },
    {
      name: 'fork',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        forkOf(task);
      },
    },
  ],
});
