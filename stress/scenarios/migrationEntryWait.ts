import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { scenario, type Report } from './scenario.ts';
import { compactFrame, frameOf, newProcess, pageAt, readBack, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
  readonly pfn: Pfn;
}

const VALUE = 9;

export const migrationEntryWait = scenario<Shared>({
  id: 'migration-entry-wait',
  title: 'a thread writes to a page that migrates',
  reference: 'migration_entry_wait() in mm/migrate.c: queued under the page-table lock, asleep without it',
  bug: null,
  shows: 'who meets a migration entry sleeps until the page is unlocked and is always woken',
  expected: [],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 1);
    touch(stage.task(1), 0);
    const pfn = frameOf(stage.task(1), pageAt(0));
    return { mm, pfn };
  },
  roles: [
    {
      name: 'compaction migrates page 0',
      act: (task: Task, { pfn }: Shared): Sim<void> => {
        compactFrame(task, pfn);
      },
    },
    {
      name: 'writes page 0 and reads it',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        touch(task, 0, VALUE);
        readBack(task, 0, 0, VALUE, report);
      },
    },
  ],
});
