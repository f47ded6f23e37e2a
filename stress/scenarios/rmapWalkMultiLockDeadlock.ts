import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { Pfn } from '../../src/layout/ids.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { scenario } from './scenario.ts';
import { FAMILY, compactFrame, forkOf, frameOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

interface Shared {
  /** A page of the second process's anon_vma, which the fourth uses again, and one of the third's. */
  readonly inherited: Pfn;
  readonly own: Pfn;
}

export const rmapWalkMultiLockDeadlock = scenario<Shared>({
  id: 'rmap-walk-multi-lock-deadlock',
  title: 'two pages of one family migrate at once, each linked to an anon_vma that the walk of the other visits',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk); superseded by 5c341ee1dfc8 and 012f18004da3 (2.6.36)',
  bug: 'rmap-walk-multi-lock-deadlock',
  shows: 'walks that lock the anon_vma of each VMA they meet take two of them in either order',
  expected: ['lock-order', 'deadlock'],
  size: { ...FAMILY, pageTables: 20, mms: 4 },
  setup: (stage: Stage): Sim<Shared> => {
    const task = stage.task(1);
    newProcess(stage, 2);
    touch(task, 0);
    const second = forkOf(task);
    task.mm = second;
    touch(task, 0);
    const third = forkOf(task);
    const inherited = frameOf(task, pageAt(0));
    task.mm = third;
    mmput(task, second);
    touch(task, 1);
    // Nobody uses the second's anon_vma any more, so the fourth takes it.
    forkOf(task);
    const own = frameOf(task, pageAt(1));
    return { inherited, own };
  },
  roles: [
    {
      name: 'compaction migrates page 0',
      act: (task: Task, { inherited }: Shared): Sim<void> => {
        compactFrame(task, inherited);
      },
    },
    {
      name: 'compaction migrates page 1',
      act: (task: Task, { own }: Shared): Sim<void> => {
        compactFrame(task, own);
      },
    },
  ],
});
