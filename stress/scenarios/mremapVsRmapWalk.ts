import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr, Pfn } from '../../src/layout/ids.ts';
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/mm/syscallFlags.ts';
import { sysMremap } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import { scenario, type Report } from './scenario.ts';
import { addressOf, compactFrame, frameOf, newProcess, pageAt, readBack, touch, type Stage } from './stage.ts';

const NEW_PLACE = 4;
const VALUE = 5;

interface Shared {
  readonly mm: MmPtr;
  readonly pfn: Pfn;
}

export const mremapVsRmapWalk = scenario<Shared>({
  id: 'mremap-vs-rmap-walk',
  title: 'mremap moves a page down in the tree of its anon_vma while it migrates',
  reference: 'move_ptes() in mm/mremap.c, need_rmap_locks of copy_vma(); 38a76013ad80 (3.7)',
  bug: null,
  shows: 'a walk meets the page at its old place, at its new one, or waits: never neither',
  expected: [],
  setup: (stage: Stage): Sim<Shared> => {
    const mm = newProcess(stage, 1);
    touch(stage.task(1), 0, VALUE);
    const pfn = frameOf(stage.task(1), pageAt(0));
    return { mm, pfn };
  },
  roles: [
    {
      name: 'mremap moves page 0 and reads it there',
      act: (task: Task, { mm }: Shared, report: Report): Sim<void> => {
        task.mm = mm;
        const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
        const at = sysMremap(task, addressOf(0), PAGE_SIZE, PAGE_SIZE, flags, addressOf(NEW_PLACE));
        assert(at === addressOf(NEW_PLACE), 'mremap failed');
        readBack(task, NEW_PLACE, 0, VALUE, report);
      },
    },
    {
      name: 'compaction migrates the page',
      act: (task: Task, { pfn }: Shared): Sim<void> => {
        compactFrame(task, pfn);
      },
    },
  ],
});
