/**
 * The machines that traces run on: booted once, restored for each case. Restoring costs what the machine's size costs, so
 * there is a small one for the many small cases and one with room for four processes that fill their windows.
 */

import { restoreArena, snapshotArena } from '../arena/arena.ts';
import { CACHE_NAMES, CACHES, requestAbort, type CacheName } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { slabAllocatedCount } from '../arena/slab.ts';
import { createMachine, type MachineSize } from '../cpu/machine.ts';
import { createTask, type Task } from '../cpu/task.ts';
import type { Rules } from '../rules/rules.ts';
import { bootMachine } from '../mm/boot.ts';
import { MAX_PROCESSES, WINDOW_PAGES, type TraceCase } from './traceFormat.ts';

/** Frames beside the mapped ones that migration and copies need, as a factor. */
const SPARE = 1.5;

/** The pool that each hugetlb case was recorded with. */
const HUGE_PAGES_IN_POOL = 6;

const LARGE_MACHINE: MachineSize = {
  cpus: 1,
  frames: MAX_PROCESSES * WINDOW_PAGES * SPARE,
  pageTables: 256,
  mms: 16,
  vmas: 4096,
  anonVmas: 2048,
  anonVmaChains: 16384,
  vmaNodes: [64, 32, 32, 16],
  addressSpaces: 1024,
  xaNodes: 2048,
  hugePages: HUGE_PAGES_IN_POOL,
  rmapItems: MAX_PROCESSES * WINDOW_PAGES,
  stableNodes: WINDOW_PAGES,
  pageWords: 4,
  tlbEntries: 64,
  magazine: 0,
  alignWords: 1,
  waitBuckets: 4,
  lockdepWords: 0,
  userWords: 0,
};

/** A case is small if it never shows more than so many pages and VMAs, all processes together. */
const SMALL_PAGES = 256;
const SMALL_VMAS = 128;
const SMALL_MACHINE: MachineSize = {
  ...LARGE_MACHINE,
  frames: SMALL_PAGES * SPARE,
  pageTables: 96,
  vmas: 4 * SMALL_VMAS,
  anonVmas: 4 * SMALL_VMAS,
  anonVmaChains: 16 * SMALL_VMAS,
  vmaNodes: [64, 16, 4, 0],
  addressSpaces: 256,
  xaNodes: 512,
  rmapItems: SMALL_PAGES * SPARE,
  stableNodes: SMALL_PAGES,
};

/** Objects in use, by kind. */
export type ObjectCounts = Readonly<Record<CacheName, number>>;

export interface ConformMachine {
  readonly heap: Heap;
  readonly booted: Int32Array;
  /** What boot itself allocates. */
  readonly atBoot: ObjectCounts;
}

/** Both machines; each is made when a case first needs it. */
export interface ConformMachines {
  small: ConformMachine | null;
  large: ConformMachine | null;
}

/** A machine with room for the case. */
export function machineFor(machines: ConformMachines, trace: TraceCase): ConformMachine {
  if (isSmall(trace)) return (machines.small ??= createConformMachine(SMALL_MACHINE));
  return (machines.large ??= createConformMachine(LARGE_MACHINE));
}

/** Boots a machine of that size. */
export function createConformMachine(size: MachineSize): ConformMachine {
  const heap = createMachine(size);
  bootMachine(heap);
  return { heap, booted: snapshotArena(heap), atBoot: countObjects(heap) };
}

/** A frame that a step allocates and frees again is not in the recorded states; the spare ones are for that. */
function isSmall({ steps }: TraceCase): boolean {
  return steps.every(({ after }) => {
    let pages = 0;
    let vmas = 0;
    for (const process of after.values()) {
      pages += process.pages.size;
      vmas += process.vmas.size;
    }
    return pages <= SMALL_PAGES && vmas <= SMALL_VMAS;
  });
}

/** What the machine's one task is like; by default no allocation is made to fail. */
export interface ConformTask {
  readonly rules: Rules;
  readonly seed?: number;
  readonly failAlloc?: number;
}

/**
 * Puts the machine back to where it booted and makes the task of its one CPU. Nobody else will ever run, so a task that had
 * to wait would wait for ever: the machine counts as stopped, and a wait throws MachineAborted at once.
 */
export function resetMachine({ heap, booted }: ConformMachine, { rules, seed = 0, failAlloc = 0 }: ConformTask): Task {
  restoreArena(heap, booted);
  requestAbort(heap);
  return createTask({ heap, id: 1, rules, seed, failAlloc });
}

/** Objects in use now. */
export function countObjects(heap: Heap): ObjectCounts {
  return Object.fromEntries(CACHE_NAMES.map((name) => [name, slabAllocatedCount(heap, CACHES[name])])) as ObjectCounts;
}
