import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { mmput } from '../../src/mm/mmStruct.ts';
import { PROT_READ } from '../../src/mm/syscallFlags.ts';
import { sysMprotect } from '../../src/mm/syscalls.ts';
import { PAGE_SIZE } from '../../src/mm/userSpace.ts';
import { scenario } from './scenario.ts';
import { FAMILY, addressOf, forkOf, newProcess, touch, type Stage } from './stage.ts';

interface Shared {
  /** Processes of the first, third, fourth and fifth generation; the second has exited. */
  readonly first: MmPtr;
  readonly third: MmPtr;
  readonly fourth: MmPtr;
  readonly fifth: MmPtr;
}

export const degreeDoubleReuse = scenario<Shared>({
  id: 'degree-double-reuse',
  title: 'a family forks on while older generations exit',
  reference: 'CVE-2022-42703, 2555283eb40d (6.0); introduced by 7a3ef208e662 (3.19)',
  bug: 'degree-double-reuse',
  shows: 'two VMAs of one process get the same anon_vma with different chains, which a merge would make one',
  expected: ['rmap-miss', 'use-after-free', 'count-mismatch'],
  size: { ...FAMILY, pageTables: 30, mms: 7, vmas: 16, anonVmas: 8, anonVmaChains: 48, vmaNodes: [16, 0, 0, 0] },
  setup: (stage: Stage): Sim<Shared> => {
    const task = stage.task(1);
    const first = newProcess(stage, 2);
    touch(task, 0);
    const second = forkOf(task);
    task.mm = second;
    const third = forkOf(task);
    task.mm = third;
    mmput(task, second);
    const fourth = forkOf(task);
    task.mm = fourth;
    const fifth = forkOf(task);
    return { first, third, fourth, fifth };
  },
  roles: [
    {
      name: 'the fourth generation splits its VMA and forks, the child forks again',
      act: (task: Task, { fourth }: Shared): Sim<void> => {
        task.mm = fourth;
        const error = sysMprotect(task, addressOf(1), PAGE_SIZE, PROT_READ);
        assert(error === 0, 'mprotect failed');
        task.mm = forkOf(task);
        forkOf(task);
      },
    },
    {
      name: 'the first, third and fifth generation exit',
      act: (task: Task, { first, third, fifth }: Shared): Sim<void> => {
        mmput(task, first);
        mmput(task, third);
        mmput(task, fifth);
      },
    },
  ],
});
