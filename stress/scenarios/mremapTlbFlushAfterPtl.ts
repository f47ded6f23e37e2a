import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/mm/syscallFlags.ts';
import { sysMremap } from '../../src/mm/syscalls.ts';
import { userRead } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import { scenario } from './scenario.ts';
import { addressOf, compactFrame, frameOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

/** Where the page goes. */
const NEW_PLACE = 4;

interface Shared {
  readonly mm: MmPtr;
  readonly pfn: Pfn;
}

export const mremapTlbFlushAfterPtl = scenario<Shared>({
  id: 'mremap-tlb-flush-after-ptl',
  title: 'mremap moves a page that migrates, while another CPU reads it at its old address',
  reference: 'CVE-2018-18281, eb66ae030829 (4.19)',
  bug: 'mremap-tlb-flush-after-ptl',
  shows: 'whoever finds the page at its new address flushes that alone: a CPU still reaches the frame by the old one',
  expected: ['stale-tlb', 'lost-write', 'use-after-free', 'cow-isolation'],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 1);
    touch(stage.task(1), 0);
    const pfn = frameOf(stage.task(1), pageAt(0));
    // The third CPU has the page in its TLB.
    stage.task(3).mm = mm;
    touch(stage.task(3), 0, 2);
    return { mm, pfn };
  },
  roles: [
    {
      name: 'mremap moves page 0',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
        const at = sysMremap(task, addressOf(0), PAGE_SIZE, PAGE_SIZE, flags, addressOf(NEW_PLACE));
        assert(at === addressOf(NEW_PLACE), 'mremap failed');
      },
    },
    {
      name: 'compaction migrates the page',
      act: (task: Task, { pfn }: Shared): Sim<void> => {
        compactFrame(task, pfn);
      },
    },
    {
      name: 'reads page 0 at its old address',
      act: (task: Task, { mm }: Shared): Sim<void> => {
        task.mm = mm;
        userRead(task, pageAt(0), 0);
      },
    },
  ],
});
