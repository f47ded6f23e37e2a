import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { scenario, type Report } from './scenario.ts';
import { FAMILY, forkOf, newProcess, readBack, touch, type Stage } from './stage.ts';

interface Shared {
  readonly parent: MmPtr;
  readonly child: MmPtr;
}

const PARENT = 2;
const CHILD = 3;

export const copyOnWriteRace = scenario<Shared>({
  id: 'copy-on-write-race',
  title: 'parent and child write to the page they share',
  reference: 'do_wp_page() in mm/memory.c: the folio lock and the reference count decide who may keep it',
  bug: null,
  shows: 'each ends with a page of its own, and nothing is copied twice or lost',
  expected: [],
  size: FAMILY,
  setup: (stage: Stage): Sim<Shared> => {
    const parent = newProcess(stage, 1);
    touch(stage.task(1), 0);
    const child = forkOf(stage.task(1));
    return { parent, child };
  },
  roles: [
    {
      name: 'the parent writes page 0',
      act: (task: Task, { parent }: Shared, report: Report): Sim<void> => {
        task.mm = parent;
        touch(task, 0, PARENT);
        readBack(task, 0, 0, PARENT, report);
      },
    },
    {
      name: 'the child writes page 0',
      act: (task: Task, { child }: Shared, report: Report): Sim<void> => {
        task.mm = child;
        touch(task, 0, CHILD);
        readBack(task, 0, 0, CHILD, report);
      },
    },
  ],
});
