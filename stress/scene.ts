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
import type { Scene, SceneOperation, ScenePage, SceneProcess, SceneProt } from '../src/report/sceneDocument.ts';
import { PROCESS, PROCESS_WORDS, type StressSection } from './section.ts';
import { NO_DETAIL, readTrail, type TrailRecord } from './trail.ts';

/** Pages on either side of the place that belong to the scene; a lane has 32. */
const NEAR = 40;
/** Most pages of a process in a scene. */
const MOST_PAGES = 96;

/** Takes the scene of a finding about `place`. @param processes slots of the process table */
export function takeScene(heap: Heap, section: StressSection, processes: number, place: Place): Scene {
  const operations = Array.from({ length: nrCpus(heap) }, (_, cpu) => readTrail(heap, section, cpu, 1))
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
  const frames = new Map<number, number>();
  forEachPte(heap, mm, (vpn, value) => void frames.set(vpn, ptePfn(value)));
  const pages: ScenePage[] = [];
  let isStarting = false;
  for (const { start, end, vma } of treeRanges(heap, mm)) {
    const flags = heap[vma + VMA.flags];
    const from = Math.max(start, place - NEAR);
    const to = Math.min(end, place + NEAR + 1);
    if (from < to && (flags & VM_STACK_INCOMPLETE_SETUP) !== 0) isStarting = true;
    for (let page = from; page < to && pages.length < MOST_PAGES; page++) {
      pages.push({ page, prot: protOf(flags), pfn: frames.get(page) ?? 0 });
    }
  }
  return { number, parent: parents.get(number) ?? 0, isStarting, pages };
}

function protOf(flags: number): SceneProt {
  if ((flags & VM_WRITE) !== 0) return 'rw';
  return (flags & VM_READ) !== 0 ? 'r' : 'none';
}
