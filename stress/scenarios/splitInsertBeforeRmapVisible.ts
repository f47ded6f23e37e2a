import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { PROT_READ } from '../../src/mm/syscallFlags.ts';
import { sysMprotect } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import { scenario } from './scenario.ts';
import { addressOf, compactFrame, frameOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
  /** Frame of the second page. */
  readonly pfn: Pfn;
}

export const splitInsertBeforeRmapVisible = scenario<Shared>({
  id: 'split-insert-before-rmap-visible',
  title: 'mprotect splits the upper half off a VMA while a page of it migrates',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk), rule b of the patch; fixed by 012f18004da3 (2.6.36)',
  bug: 'split-insert-before-rmap-visible',
  shows: 'a page that the old VMA no longer covers and the new one does not yet lead to keeps its migration entry',
  expected: ['dangling-migration-entry', 'rmap-miss'],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 2);
    touch(stage.task(1), 1);
    const pfn = frameOf(stage.task(1), pageAt(1));
    return { mm, pfn };
  },
  roles: [
    {
      name: 'compaction migrates page 1',
      act: (task: Task, { pfn }: Shared): Sim<void> => {
        compactFrame(task, pfn);
      },
    },
    {
      name: 'mprotect of page 0',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        const error = sysMprotect(task, addressOf(0), PAGE_SIZE, PROT_READ);
        assert(error === 0, 'mprotect failed');
      },
    },
  ],
});
