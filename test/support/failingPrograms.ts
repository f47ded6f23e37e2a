/** Small programs that fail under some schedules: what explanations, timelines and the minimiser are tested on. */
import type { Heap } from '../../src/arena/heap.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc } from '../../src/cpu/alloc.ts';
import { CACHES } from '../../src/arena/header.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { Program } from '../../src/explore/explore.ts';
import type { Kept } from '../../src/explore/reduceProgram.ts';
import { CLASS_MMAP_LOCK } from '../../src/layout/lockClass.ts';
import type { MmPtr, RwSemPtr, VmaPtr, Vpn } from '../../src/layout/ids.ts';
import { MM_WORDS, mmMmapLock } from '../../src/layout/mm.ts';
import { setVmaEnd, setVmaMm, setVmaPgoff, setVmaStart, vmaEnd, vmaPgoff, vmaStart } from '../../src/layout/vma.ts';
import { downWrite, rwSemInit, upWrite } from '../../src/locks/rwSem.ts';
import type { Kernel } from './kernel.ts';
import { programOf, type ConcurrentWorld, type Lane } from './simConcurrent.ts';

export interface MovingVma {
  readonly mm: MmPtr;
  readonly vma: VmaPtr;
}

export type MovingVmaProgram = Program<Lane<MovingVma>, ConcurrentWorld<MovingVma>>;

function oneVma(kernel: Kernel): Sim<MovingVma> {
  const { task, heap } = kernel;
  const mm = kmemCacheAlloc(task, CACHES.mm) as MmPtr;
  const vma = kmemCacheAlloc(task, CACHES.vma) as VmaPtr;
  heap.fill(0, mm, mm + MM_WORDS);
  rwSemInit(heap, mmMmapLock(mm), CLASS_MMAP_LOCK);
  setVmaMm(heap, vma, mm);
  setRange(heap, vma, 16);
  return { mm, vma };
}

function setRange(heap: Heap, vma: VmaPtr, start: number): Sim<void> {
  setVmaStart(heap, vma, start as Vpn);
  setVmaEnd(heap, vma, 18 as Vpn);
  setVmaPgoff(heap, vma, start);
}

/** Moves the start of the VMA, under the lock that the walker does not take. */
function moveStart(task: Task, { mm, vma }: MovingVma, start: number): Sim<void> {
  downWrite(task, mmMmapLock(mm));
  setRange(task.heap, vma, start);
  upWrite(task, mmMmapLock(mm));
}

function move(task: Task, shared: MovingVma): Sim<void> {
  moveStart(task, shared, 17);
}

/** Computes the address of page offset 17, which is always 17. */
function addressOf17({ heap }: Task, { vma }: MovingVma): Sim<void> {
  const pgoff = vmaPgoff(heap, vma);
  assert(vmaStart(heap, vma) + 17 - pgoff === 17, 'a walk computes a wrong address');
}

/** Looks at the VMA and changes nothing. */
function lookAt({ heap }: Task, { vma }: MovingVma): Sim<void> {
  vmaEnd(heap, vma);
}

/** The range of a VMA changes in three stores while a walk without its lock reads two of them. */
export function movingVma(): MovingVmaProgram {
  return programOf({ setup: oneVma, threads: [move, addressOf17] });
}

type OperationName = 'look' | 'move' | 'moveBack' | 'walk';

/** Operations of each thread of the crowded program. */
const CROWD: readonly (readonly OperationName[])[] = [
  ['look', 'look'],
  ['look', 'move', 'moveBack', 'look'],
  ['look', 'walk', 'look'],
];

function runOperation(name: OperationName, task: Task, shared: MovingVma): Sim<void> {
  if (name === 'walk') addressOf17(task, shared);
  else if (name === 'look') lookAt(task, shared);
  else moveStart(task, shared, name === 'move' ? 17 : 16);
}

function runsOperations(names: readonly OperationName[]): (task: Task, shared: MovingVma) => Sim<void> {
  return (task: Task, shared: MovingVma): Sim<void> => {
    for (const name of names) runOperation(name, task, shared);
  };
}

/** The same among threads and operations that have nothing to do with it. */
export function crowdedVma(operations = CROWD): MovingVmaProgram {
  const program = programOf({ setup: oneVma, threads: operations.map(runsOperations) });
  const keep = (kept: Kept): MovingVmaProgram =>
    crowdedVma(kept.map((indexes, thread) => indexes.map((index) => operations[thread][index])));
  return { ...program, variants: { operations: operations.map(({ length }) => length), keep } };
}

export interface TwoLocks {
  readonly a: RwSemPtr;
  readonly b: RwSemPtr;
}

function twoLocks(kernel: Kernel): Sim<TwoLocks> {
  const first = oneVma(kernel);
  const second = oneVma(kernel);
  return { a: mmMmapLock(first.mm), b: mmMmapLock(second.mm) };
}

function takeBoth(task: Task, first: RwSemPtr, second: RwSemPtr): Sim<void> {
  downWrite(task, first);
  downWrite(task, second);
  upWrite(task, second);
  upWrite(task, first);
}

function takeForward(task: Task, { a, b }: TwoLocks): Sim<void> {
  takeBoth(task, a, b);
}

function takeBackward(task: Task, { a, b }: TwoLocks): Sim<void> {
  takeBoth(task, b, a);
}

/** Two locks in either order. */
export function crossedLocks(): Program<Lane<TwoLocks>, ConcurrentWorld<TwoLocks>> {
  return programOf({ setup: twoLocks, threads: [takeForward, takeBackward] });
}
