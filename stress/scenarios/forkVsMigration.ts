import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { scenario, type Report } from './scenario.ts';
import { FAMILY, compactFrame, forkOf, frameOf, newProcess, pageAt, readBack, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
  readonly pfn: Pfn;
}

const OLD = 1;
const NEW = 2;

export const forkVsMigration = scenario<Shared>({
  id: 'fork-vs-migration',
  title: 'a process forks while its page migrates; parent and child write to it',
  reference: 'copy_nonpresent_pte() in mm/memory.c: a writable migration entry becomes a readable one in both',
  bug: null,
  shows: 'an entry that is copied in mid-migration loses neither the page nor its isolation',
  expected: [],
  size: FAMILY,
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 1);
    touch(stage.task(1), 0, OLD);
    const pfn = frameOf(stage.task(1), pageAt(0));
    return { mm, pfn };
  },
  roles: [
    {
      name: 'fork; the child writes page 0',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        const child = forkOf(task);
        task.mm = child;
        touch(task, 0, NEW);
        task.mm = mm;
        readBack(task, 0, 0, OLD, report);
        task.mm = child;
        readBack(task, 0, 0, NEW, report);
      },
    },
    {
      name: 'compaction migrates page 0',
      act: (task: Task, { pfn }: Shared): Sim<void> => {
        compactFrame(task, pfn);
      },
    },
  ],
});
