import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { sysMunmap } from '../../src/mm/syscalls.ts';
import { userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import { scenario } from './scenario.ts';
import { addressOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
}

export const munmapVsFault = scenario<Shared>({
  id: 'munmap-vs-fault',
  title: 'munmap takes a VMA away while a thread writes into it',
  reference: 'lock_vma_under_rcu() in mm/mmap_lock.c; vms_complete_munmap_vmas() in mm/vma.c downgrades mmap_lock',
  bug: null,
  shows: 'a fault works on the VMA while it is there or not at all; nothing is mapped behind the zapping',
  expected: [],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 2);
    touch(stage.task(1), 0);
    return { mm };
  },
  roles: [
    {
      name: 'munmap of both pages',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        const error = sysMunmap(task, addressOf(0), 2 * PAGE_SIZE);
        assert(error === 0, 'munmap failed');
      },
    },
    {
      name: 'writes page 1, which may be gone',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        userWrite(task, pageAt(1), 0, 1);
      },
    },
  ],
});
