/**
 * The scene of a finding: the processes concerned as they were when it was seen, and what every CPU was doing. It is what a
 * small scenario is built from, in which the schedule can be searched (stress/scenarios/sceneScenario.ts).
 *
 * Taken while the other CPUs run on, so it may be torn; whoever builds on it knows that.
 */

import { nrCpus } from '../src/arena/header.ts';
import type { Heap } from '../src/arena/heap.ts';
import type { Place } from '../src/base/finding.ts';
import { forEachPte, liveMms, treeRanges } from '../src/check/view.ts';
import type { MmPtr } from '../src/layout/ids.ts';
import { MM } from '../src/layout/mm.ts';
import { VMA, VM_READ, VM_STACK_INCOMPLETE_SETUP, VM_WRITE } from '../src/layout/vma.ts';
import { ptePfn } from '../src/layout/pte.ts';
import type {
  Scene,
  SceneFrame,
  SceneOperation,
  SceneProcess,
  SceneProt,
  SceneRange,
} from '../src/report/sceneDocument.ts';
import { PROCESS, PROCESS_WORDS, type StressSection } from './section.ts';
import { NO_DETAIL, readTrail, type TrailRecord } from './trail.ts';

/** Pages on either side of the place that belong to the scene. */
const NEAR = 128;
/** Operations of each CPU: what did the damage may have ended before it was seen. */
const RECENT = 4;
/** Most VMAs and pages of a process in a scene. */
const MOST_RANGES = 64;
const MOST_FRAMES = 256;

/** Takes the scene of a finding about `place`. @param processes slots of the process table */
export function takeScene(heap: Heap, section: StressSection, processes: number, place: Place): Scene {
  const operations = Array.from({ length: nrCpus(heap) }, (_, cpu) => readTrail(heap, section, cpu, RECENT))
    .flat()
    .map(operationOf);
  const parents = parentsOf(heap, section, processes);
  const family = familyOf(place.process, parents);
  const concerned = liveMms(heap).filter((mm) => family.has(heap[mm + MM.process]));
  concerned.sort((a, b) => heap[a + MM.process] - heap[b + MM.process]);
  return {
    place,
    processes: concerned.map((mm) => processOf(heap, mm, parents, place.page)),
    operations,
  };
}

function operationOf({ cpu, op, running, process, page, pages, detail }: TrailRecord): SceneOperation {
  return {
    cpu,
    op,
    running,
    process,
    pages,
    ...(page < 0 ? {} : { page }),
    ...(detail === NO_DETAIL ? {} : { detail }),
  };
}

/** Parent of every process in the table, by number. */
function parentsOf(heap: Heap, section: StressSection, slots: number): Map<number, number> {
  const parents = new Map<number, number>();
  for (let slot = 0; slot < slots; slot++) {
    const at = section.processes + slot * PROCESS_WORDS;
    if (heap[at + PROCESS.holders] > 0) parents.set(heap[at + PROCESS.number], heap[at + PROCESS.parent]);
  }
  return parents;
}

/** A process, its parent if that still lives, and its children. */
function familyOf(process: number, parents: ReadonlyMap<number, number>): Set<number> {
  const family = new Set([process]);
  const parent = parents.get(process);
  if (parent !== undefined && parents.has(parent)) family.add(parent);
  for (const [child, itsParent] of parents) if (itsParent === process) family.add(child);
  return family;
}

function processOf(heap: Heap, mm: MmPtr, parents: ReadonlyMap<number, number>, place: number): SceneProcess {
  const number = heap[mm + MM.process];
  const [low, high] = [place - NEAR, place + NEAR + 1];
  const frames: SceneFrame[] = [];
  forEachPte(heap, mm, (vpn, value) => {
    if (vpn >= low && vpn < high && frames.length < MOST_FRAMES) frames.push({ page: vpn, pfn: ptePfn(value) });
  });
  const near = treeRanges(heap, mm).filter(({ start, end }) => start < high && end > low);
  const ranges = near.slice(0, MOST_RANGES).map(({ start, end, vma }): SceneRange => {
    return { start: Math.max(start, low), end: Math.min(end, high), prot: protOf(heap[vma + VMA.flags]) };
  });
  const isStarting = near.some(({ vma }) => (heap[vma + VMA.flags] & VM_STACK_INCOMPLETE_SETUP) !== 0);
  return { number, parent: parents.get(number) ?? 0, isStarting, ranges, frames };
}

function protOf(flags: number): SceneProt {
  if ((flags & VM_WRITE) !== 0) return 'rw';
  return (flags & VM_READ) !== 0 ? 'r' : 'none';
}
