import type { Sim } from '../../src/base/sim.ts';
import { assert } from '../../src/base/assert.ts';
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

export const vmaAdjustUnlocked = scenario<Shared>({
  id: 'vma-adjust-unlocked',
  title: 'mprotect moves the start of a VMA while one of its pages migrates',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk); fixed by 012f18004da3 (2.6.36)',
  bug: 'vma-adjust-unlocked',
  shows:
    'an rmap walk that computes an address from a new vm_start and an old vm_pgoff leaves a migration entry behind',
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
      name: 'mprotect of page 1',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        const error = sysMprotect(task, addressOf(1), PAGE_SIZE, PROT_READ);
        assert(error === 0, 'mprotect failed');
      },
    },
  ],
});
