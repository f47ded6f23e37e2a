import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_VMA, type MmPtr } from '../../src/layout/ids.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { vmaEndRead, vmaStartWrite } from '../../src/locks/vmaLock.ts';
import { lockVmaUnderRcu } from '../../src/mm/vma.ts';
import { vmaLookup } from '../../src/mm/vmaTree.ts';
import { scenario } from './scenario.ts';
import { newProcess, pageAt, touch, type Stage } from './stage.ts';

interface Shared {
  readonly mm: MmPtr;
}

export const vmaWriterWaits = scenario<Shared>({
  id: 'vma-writer-waits',
  title: 'a writer of a VMA waits for its last reader',
  reference: '__vma_enter_locked() in mm/mmap_lock.c; set_current_state() in rcuwait_wait_event()',
  bug: null,
  shows:
    'the reader that leaves last sees the writer that waits, or the writer sees that it left; also with store buffers',
  expected: [],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 1);
    touch(stage.task(1), 0);
    return { mm };
  },
  roles: [
    {
      name: 'write-locks the VMA',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        mmapWriteLock(task, mm);
        const vma = vmaLookup(task, mm, pageAt(0));
        assert(vma !== NO_VMA, 'no VMA there');
        vmaStartWrite(task, mm, vma);
        mmapWriteUnlock(task, mm);
      },
    },
    {
      name: 'read-locks it for a moment',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        const vma = lockVmaUnderRcu(task, mm, pageAt(0));
        if (vma !== NO_VMA) vmaEndRead(task, vma);
      },
    },
  ],
});
