/**
 * Every operation of the mm against every other, itself included: two threads in one address space whose pages are partly
 * shared with a child. The scenarios are made by name: `pair-fork-migrate`.
 */

import type { Sim } from '../../src/base/sim.ts';
import type { MachineSize } from '../../src/cpu/machine.ts';
import type { Task } from '../../src/cpu/task.ts';
import { mmget } from '../../src/mm/mmStruct.ts';
import { KERNEL_THREADS, OPERATION_ACTS, type OperationAct, type PairShared } from './operationActs.ts';
import { scenario, type Role, type Scenario } from './scenario.ts';
import { forkOf, frameOf, newProcess, pageAt, touch, type Stage } from './stage.ts';

const PREFIX = 'pair-';
const PAGES = 5;
const SIZE: Partial<MachineSize> = {
  frames: 20,
  pageTables: 16,
  mms: 5,
  vmas: 24,
  anonVmas: 12,
  anonVmaChains: 48,
  vmaNodes: [16, 0, 0, 0],
};

/** Names of all pairs, in the order of the operations. */
export const PAIRS: readonly string[] = Object.keys(OPERATION_ACTS).flatMap((first, i, names) =>
  names.slice(i).map((second) => `${PREFIX}${first}+${second}`),
);

/** The scenario of a pair's name, or undefined for any other name. */
export function findPair(id: string): Scenario | undefined {
  if (!PAIRS.includes(id)) return undefined;
  const [first, second] = id.slice(PREFIX.length).split('+') as [string, string];
  const names = [first, second];
  const exits = names.filter((name) => name === 'exit').length;
  const holds = exits > 0 && names.some((name) => KERNEL_THREADS.includes(name)) ? 0 : exits;
  return scenario<PairShared>({
    id,
    title: `${first} against ${second} in one address space`,
    reference: 'every operation against every other',
    bug: null,
    shows: 'the two may meet anywhere',
    expected: [],
    size: SIZE,
    setup: (stage: Stage): Sim<PairShared> => setUp(stage, holds),
    roles: [roleOf(first, OPERATION_ACTS[first]), roleOf(second, OPERATION_ACTS[second])],
  });
}

/** Pages 0 to 3 written and shared with a child, page 2 written again, page 4 never touched. */
function setUp(stage: Stage, holds: number): Sim<PairShared> {
  const task = stage.task(1);
  const mm = newProcess(stage, PAGES);
  for (let page = 0; page < PAGES - 1; page++) touch(task, page);
  forkOf(task);
  touch(task, 2, 2);
  const pfn = frameOf(task, pageAt(1));
  // Who works in the address space holds it until the end; if nobody does, exit takes it down.
  for (let i = 0; i < holds; i++) mmget(task, mm);
  return { mm, pfn };
}

function roleOf(name: string, act: OperationAct): Role<PairShared> {
  return {
    name,
    act: (task: Task, shared: PairShared): Sim<void> => {
      task.mm = shared.mm;
      act(task, shared);
    },
  };
}
