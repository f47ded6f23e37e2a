import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { scenario } from './scenario.ts';
import { FAMILY, compactFrame, forkOf, frameOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

interface Shared {
  readonly parent: MmPtr;
  readonly child: MmPtr;
  readonly pfn: Pfn;
}

export const exitVsMigration = scenario<Shared>({
  id: 'exit-vs-migration',
  title: 'parent and child exit while the page they share migrates',
  reference: 'folio_get_anon_vma() in mm/rmap.c; dc386d4d1e98, 76545066c852',
  bug: null,
  shows:
    'migration keeps the anon_vma and its root until it has found the way back, though nobody maps the page any more',
  expected: [],
  size: FAMILY,
  setup: (stage: Stage): Sim<Shared> => {
    const task = stage.task(1);
    const parent = newProcess(stage, 1);
    touch(task, 0);
    const child = forkOf(task);
    const pfn = frameOf(task, pageAt(0));
    return { parent, child, pfn };
  },
  roles: [
    {
      name: 'parent and child exit',
      act: (task: Task, { parent, child }: Shared): Sim<void> => {
        mmput(task, parent);
        mmput(task, child);
      },
    },
    {
      name: 'compaction migrates the shared page',
      act: (task: Task, { pfn }: Shared): Sim<void> => {
        compactFrame(task, pfn);
      },
    },
  ],
});
