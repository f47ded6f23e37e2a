import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { mmDropAllLocks, mmTakeAllLocks } from '../../src/mm/mmTakeAllLocks.ts';
import { scenario } from './scenario.ts';
import { FAMILY, compactFrame, forkOf, frameOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

interface Shared {
  readonly child: MmPtr;
  /** Frame that parent and child share. */
  readonly pfn: Pfn;
}

export const mmTakeAllLocksOrder = scenario<Shared>({
  id: 'mm-take-all-locks-order',
  title: 'an MMU notifier is registered in a child while a page of its parent migrates',
  reference: 'linux-mm, May 2010 (vma_adjust versus rmap_walk): the patch reverses the walk of mm_take_all_locks',
  bug: 'mm-take-all-locks-order',
  shows: 'one takes the anon_vma of the child and wants the root, the other holds the root and wants that of the child',
  expected: ['lock-order', 'deadlock'],
  size: FAMILY,
  setup: (stage: Stage): Sim<Shared> => {
    const task = stage.task(1);
    newProcess(stage, 1);
    touch(task, 0);
    const child = forkOf(task);
    const pfn = frameOf(task, pageAt(0));
    return { child, pfn };
  },
  roles: [
    {
      name: 'mm_take_all_locks of the child',
      act: (task: Task, { child }: Shared): Sim<void> => {
        task.mm = child;
        mmapWriteLock(task, child);
        const error = mmTakeAllLocks(task, child);
        assert(error === 0, 'take all locks failed');
        mmDropAllLocks(task, child);
        mmapWriteUnlock(task, child);
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
