import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { setPageContent } from '../../src/layout/page.ts';
import { pinUserPagesFast, unpinUserPages } from '../../src/mm/gup.ts';
import { sysMunmap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import { scenario } from './scenario.ts';
import { addressOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
}

export const munmapVsGup = scenario<Shared>({
  id: 'munmap-vs-gup',
  title: 'munmap takes a page away while it is pinned for a device',
  reference: 'gup_fast() in mm/gup.c: tables are read with interrupts off, the entry is looked at again after the grab',
  bug: null,
  shows: 'a lockless pin gets a page that stays, or none; tables are not freed under its feet',
  expected: [],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 1);
    touch(stage.task(1), 0);
    return { mm };
  },
  roles: [
    {
      name: 'munmap of page 0',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        const error = sysMunmap(task, addressOf(0), PAGE_SIZE);
        assert(error === 0, 'munmap failed');
      },
    },
    {
      name: 'pins page 0 without locks, lets a device store to it, unpins it',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        const pages: Pfn[] = [];
        if (pinUserPagesFast(task, pageAt(0), 1, true, pages) !== 1) return;
        setPageContent(task.heap, pages[0], 1, 1);
        unpinUserPages(task, pages);
      },
    },
  ],
});
