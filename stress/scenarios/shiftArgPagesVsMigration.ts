import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, type MmPtr, type Pfn } from '../../src/layout/ids.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { createInitStackVma, execShiftStack } from '../../src/mm/relocateVma.ts';
import { scenario } from './scenario.ts';
import { compactFrame, frameOf, pageAt, readBack, touch, type Stage } from './stage.ts';
import type { Report } from './scenario.ts';

/** Where exec builds the stack, and by how much it moves down. */
const TOP = 8;
const SHIFT = 4;
const ARGUMENTS = 7;

interface Shared {
  readonly mm: MmPtr;
  /** Frame of the stack's page. */
  readonly pfn: Pfn;
}

export const shiftArgPagesVsMigration = scenario<Shared>({
  id: 'shift-arg-pages-vs-migration',
  title: 'exec moves its temporary stack while the page in it migrates',
  reference: 'a8bef8ff6ea1 (2.6.35)',
  bug: 'shift-arg-pages-vs-migration',
  shows: 'between widening the stack and moving its entries the rmap leads to a place where nothing is yet',
  expected: ['dangling-migration-entry', 'rmap-miss'],
  setup: (stage: Stage): Sim<Shared> => {
    const task = stage.task(1);
    const mm = mmAlloc(task);
    assert(mm !== NO_MM, 'no memory for a process');
    task.mm = mm;
    const error = createInitStackVma(task, pageAt(TOP), 1);
    assert(error === 0, 'no stack');
    touch(task, TOP - 1, ARGUMENTS);
    const pfn = frameOf(task, pageAt(TOP - 1));
    return { mm, pfn };
  },
  roles: [
    {
      name: 'exec moves the stack down and reads the arguments',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        const error = execShiftStack(task, pageAt(TOP - 1), SHIFT);
        assert(error === 0, 'the stack did not move');
        readBack(task, TOP - 1 - SHIFT, 0, ARGUMENTS, report);
      },
    },
    {
      name: 'compaction migrates the page of the stack',
      act: (task: Task, { pfn }: Shared): Sim<void> => {
        compactFrame(task, pfn);
      },
    },
  ],
});
