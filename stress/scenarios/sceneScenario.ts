/**
 * The scenario of a finding: its processes as they were just before (sceneLayout.ts) and the operations that were in flight,
 * a thread each. Which of their interleavings it was is for the explorer to find out.
 */

import { assert } from '../../src/base/assert.ts';
import { UsageError } from '../../src/base/usageError.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { MachineSize } from '../../src/cpu/machine.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, type MmPtr, type Pfn, type Vpn } from '../../src/layout/ids.ts';
import { mmapWriteLock, mmapWriteUnlock } from '../../src/locks/mmapLock.ts';
import { pinUserPagesFast, unpinUserPages } from '../../src/mm/gup.ts';
import { migrateRange } from '../../src/mm/migrate.ts';
import { mmAlloc, mmput } from '../../src/mm/mmStruct.ts';
import { mmDropAllLocks, mmTakeAllLocks } from '../../src/mm/mmTakeAllLocks.ts';
import { reclaimScan } from '../../src/mm/reclaim.ts';
import { createInitStackVma, execShiftStack } from '../../src/mm/relocateVma.ts';
import { sysFork } from '../../src/mm/fork.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/mm/syscallFlags.ts';
import { sysMmap, sysMprotect, sysMremap, sysMunmap } from '../../src/mm/syscalls.ts';
import { userRead, userWrite } from '../../src/mm/userAccess.ts';
import { PAGE_SIZE, vpnToAddr } from '../../src/mm/userSpace.ts';
import type { Scene } from '../../src/report/sceneDocument.ts';
import { layoutsOf, protBits, type Layout, type LayoutOperation, type LayoutProcess } from './sceneLayout.ts';
import { scenario, type Role, type Scenario } from './scenario.ts';
import { compactFrame, forkOf, frameOf, type Stage } from './stage.ts';

/** First page of the layout: all of it lies under one page table. */
const BASE = 128;
const ANYWHERE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

interface Shared {
  readonly mms: readonly MmPtr[];
  /** Frame of the place. */
  readonly pfn: Pfn;
}

/** How many scenarios a scene has: it does not say for certain what was there and who took part. */
export function countScenes(scene: Scene): number {
  return layoutsOf(scene).length;
}

/** One of the scenarios of a scene, `variant` of them, the likeliest first. @throws UsageError when there is none */
export function sceneScenario(scene: Scene, id: string, variant: number): Scenario {
  const layout = layoutsOf(scene).at(variant);
  if (layout === undefined) throw new UsageError(`the scene has no scenario number ${variant + 1}`);
  const { processes, place, operations } = layout;
  if (place.process < 0) throw new UsageError('the scene lacks the process that the finding is about');
  return scenario<Shared>({
    id,
    title: `page ${scene.place.page} of process ${scene.place.process}, as a stress run left it`,
    reference: 'a finding of mmstorm stress',
    bug: null,
    shows: 'what the operations in flight do to each other',
    expected: [],
    size: sizeOf(layout),
    setup: (stage: Stage): Sim<Shared> => setUp(stage, layout),
    roles: operations.map((operation) => roleOf(operation, processes)),
  });
}

/** Room for what is there, for a fork of each process, and for the copies of its pages. */
function sizeOf({ processes }: Layout): Partial<MachineSize> {
  const touched = processes.reduce((sum, { pages }) => sum + pages.filter((page) => page.touched).length, 0);
  const mms = 2 * processes.length + 1;
  return {
    frames: 12 + 2 * touched,
    pageTables: 5 * mms,
    mms,
    vmas: 12 * mms,
    anonVmas: 4 * mms,
    anonVmaChains: 24 * mms,
    vmaNodes: [4 * mms, 2 * mms, 0, 0],
  };
}

function setUp(stage: Stage, { processes, place }: Layout): Sim<Shared> {
  const task = stage.task(1);
  const mms: MmPtr[] = [];
  for (const process of processes) {
    const mm = process.parent < 0 ? startProcess(task, process) : forkFrom(task, mms[process.parent], process);
    mms.push(mm);
  }
  task.mm = mms[place.process];
  const pfn = frameOf(task, vpnAt(place.page));
  return { mms, pfn };
}

/** A process of its own: everything mapped at once, so that what can be one VMA is one. */
function startProcess(task: Task, { pages, isStarting }: LayoutProcess): Sim<MmPtr> {
  const mm = mmAlloc(task);
  assert(mm !== NO_MM, 'no memory for a process');
  task.mm = mm;
  if (pages.length === 0) return mm;
  const first = pages[0].page;
  const nr = pages[pages.length - 1].page - first + 1;
  if (isStarting) {
    const error = createInitStackVma(task, vpnAt(first + nr), nr);
    assert(error === 0, 'no stack');
  } else {
    const at = sysMmap(task, addressAt(first), nr * PAGE_SIZE, PROT_READ | PROT_WRITE, ANYWHERE);
    assert(at === addressAt(first), 'mmap failed');
  }
  for (const { page, touched } of pages) if (touched) store(task, page);
  if (!isStarting) shape(task, pages, first, nr);
  return mm;
}

/** A child: it has what its parent has, but for what it wrote since. */
function forkFrom(task: Task, parent: MmPtr, { pages }: LayoutProcess): Sim<MmPtr> {
  task.mm = parent;
  const child = forkOf(task);
  task.mm = child;
  for (const { page, touched, shared } of pages) if (touched && !shared) userWrite(task, vpnAt(page), 0, 2);
  return child;
}

/** Takes away what is not mapped and sets protections, run by run. */
function shape(task: Task, pages: LayoutProcess['pages'], first: number, nr: number): Sim<void> {
  const prots = new Map(pages.map(({ page, prot }) => [page, prot]));
  let from = first;
  while (from < first + nr) {
    const prot = prots.get(from);
    let to = from + 1;
    while (to < first + nr && prots.get(to) === prot) to++;
    const bytes = (to - from) * PAGE_SIZE;
    let error = 0;
    if (prot === undefined) error = sysMunmap(task, addressAt(from), bytes);
    else if (prot !== 'rw') error = sysMprotect(task, addressAt(from), bytes, protBits(prot));
    assert(error === 0, 'the layout cannot be made');
    from = to;
  }
}

function store(task: Task, page: number): Sim<void> {
  const error = userWrite(task, vpnAt(page), 0, 1);
  assert(error === 0, 'user write failed');
}

function roleOf(operation: LayoutOperation, processes: readonly LayoutProcess[]): Role<Shared> {
  const { op, process, page, pages } = operation;
  const many = pages === 1 ? `page ${page}` : `pages ${page} to ${page + pages - 1}`;
  return {
    name: `${op} of ${many} in process ${processes[process].number}`,
    act: (task: Task, { mms, pfn }: Shared): Sim<void> => {
      operate(task, operation, mms[process], pfn);
    },
  };
}

/** Runs an operation of stress; it may fail, as it may there. */
function operate(task: Task, operation: LayoutOperation, mm: MmPtr, pfn: Pfn): Sim<void> {
  const { op, page, pages, prot, shift = 1 } = operation;
  const at = addressAt(page);
  const bytes = pages * PAGE_SIZE;
  if (op !== 'compact' && op !== 'reclaim') task.mm = mm;
  switch (op) {
    case 'read':
      userRead(task, vpnAt(page), 0);
      return;
    case 'write':
      userWrite(task, vpnAt(page), 0, 3);
      return;
    case 'mmap':
      sysMmap(task, at, bytes, prot ?? PROT_READ | PROT_WRITE, ANYWHERE);
      return;
    case 'munmap':
      sysMunmap(task, at, bytes);
      return;
    case 'mprotect':
      sysMprotect(task, at, bytes, prot ?? PROT_READ);
      return;
    case 'mremap':
      remap(task, operation);
      return;
    case 'fork':
      sysFork(task);
      return;
    case 'migrate':
      migrateRange(task, mm, vpnAt(page), pages, 'sync');
      return;
    case 'exec':
      execShiftStack(task, vpnAt(page), shift);
      return;
    case 'compact':
      compactFrame(task, pfn);
      return;
    case 'reclaim':
      reclaimScan(task, pfn, 1);
      return;
    case 'pin':
    case 'unpin':
      pinAndUnpin(task, vpnAt(page));
      return;
    case 'exit':
      task.mm = NO_MM;
      mmput(task, mm);
      return;
    default:
      takeAllLocks(task, mm);
  }
}

function remap(task: Task, { page, pages, moveTo, newPages = pages }: LayoutOperation): Sim<void> {
  const bytes = pages * PAGE_SIZE;
  if (moveTo === undefined) sysMremap(task, addressAt(page), bytes, newPages * PAGE_SIZE, 0, 0);
  else sysMremap(task, addressAt(page), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, addressAt(moveTo));
}

function pinAndUnpin(task: Task, vpn: Vpn): Sim<void> {
  const frames: Pfn[] = [];
  if (pinUserPagesFast(task, vpn, 1, true, frames) === 1) unpinUserPages(task, frames);
}

function takeAllLocks(task: Task, mm: MmPtr): Sim<void> {
  mmapWriteLock(task, mm);
  if (mmTakeAllLocks(task, mm) === 0) mmDropAllLocks(task, mm);
  mmapWriteUnlock(task, mm);
}

function vpnAt(page: number): Vpn {
  return (BASE + page) as Vpn;
}

function addressAt(page: number): number {
  return vpnToAddr(BASE + page);
}
