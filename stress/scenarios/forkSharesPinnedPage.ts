import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { setPageContent } from '../../src/layout/page.ts';
import { pinUserPagesFast, unpinUserPages } from '../../src/mm/gup.ts';
import { scenario, type Report } from './scenario.ts';
import { FAMILY, forkOf, newProcess, pageAt, readBack, touch, type Stage } from './stage.ts';

/** Word of the page that the device writes, and what. */
const DMA_WORD = 1;
const DMA_VALUE = 77;

interface Shared {
  readonly mm: MmPtr;
}

export const forkSharesPinnedPage = scenario<Shared>({
  id: 'fork-shares-pinned-page',
  title: 'a process forks while a device writes to one of its pages',
  reference: '70e806e4e645 (5.9), 6c287605fd56 (5.19)',
  bug: 'fork-shares-pinned-page',
  shows: 'once fork has shared a pinned page, the next store copies it away from under the device',
  expected: ['lost-write', 'cow-isolation', 'exclusive'],
  size: FAMILY,
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 1);
    touch(stage.task(1), 0);
    return { mm };
  },
  roles: [
    {
      name: 'pins page 0, stores to it, lets a device store to it, reads that',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        const pages: Pfn[] = [];
        const pinned = pinUserPagesFast(task, pageAt(0), 1, true, pages);
        assert(pinned === 1, 'pin failed');
        touch(task, 0, 2);
        setPageContent(task.heap, pages[0], DMA_WORD, DMA_VALUE);
        readBack(task, 0, DMA_WORD, DMA_VALUE, report);
        unpinUserPages(task, pages);
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
