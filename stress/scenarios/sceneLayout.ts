/**
 * From the scene of a finding to the start of a scenario: a cast of operations (sceneCast.ts), the processes as they were
 * before (sceneBefore.ts), and pages counted from 0.
 */

import type { Scene, SceneOperation, SceneProcess, SceneProt } from '../../src/report/sceneDocument.ts';
import { beforeOf, type BeforePage } from './sceneBefore.ts';
import { castsOf, isByFrame } from './sceneCast.ts';

/** Free pages between what is mapped and a place that an mremap moves to, if that is far away. */
const GAP = 2;
/** Pages beyond the range of an operation that are kept: what a split leaves on either side. */
const MARGIN = 1;
const MOST_LAYOUTS = 12;
const PROT_READ = 1;
const PROT_WRITE = 2;

/** A page at the start; `touched`: somebody has written to it. A page that is not in the list is not mapped. */
export interface LayoutPage {
  readonly page: number;
  readonly prot: SceneProt;
  readonly touched: boolean;
  /** A child that has the frame of its parent. */
  readonly shared: boolean;
}

export interface LayoutProcess {
  readonly number: number;
  /** Index of its parent among the processes, -1 for none. */
  readonly parent: number;
  readonly isStarting: boolean;
  readonly pages: readonly LayoutPage[];
}

/** An operation in flight; pages counted from 0. */
export interface LayoutOperation {
  readonly op: SceneOperation['op'];
  /** Index of its process. */
  readonly process: number;
  readonly page: number;
  readonly pages: number;
  /** mmap, mprotect: protection bits. */
  readonly prot?: number | undefined;
  /** mremap: where to, may be below 0; or the new size. */
  readonly moveTo?: number | undefined;
  readonly newPages?: number | undefined;
  /** exec: pages that the stack moves down. */
  readonly shift?: number | undefined;
}

export interface Layout {
  readonly processes: readonly LayoutProcess[];
  readonly operations: readonly LayoutOperation[];
  /** The page that the finding is about, and its process. */
  readonly place: { readonly process: number; readonly page: number };
}

/**
 * The layouts of a scene, the likeliest first: it can be torn, and it does not say for certain who took part. Some of them will
 * show nothing.
 */
export function layoutsOf(scene: Scene): Layout[] {
  const layouts = [true, false].flatMap((mend) => castsOf(scene).map((cast) => layoutOf(scene, cast, mend)));
  const distinct = new Map(layouts.map((layout) => [JSON.stringify(layout), layout]));
  return [...distinct.values()].slice(0, MOST_LAYOUTS);
}

function layoutOf(scene: Scene, cast: readonly SceneOperation[], mend: boolean): Layout {
  const processes = scene.processes.filter(
    ({ number }) =>
      number === scene.place.process || cast.some(({ op, process }) => !isByFrame(op) && process === number),
  );
  const window = windowOf(scene.place.page, cast);
  const before = processes.map((process) => beforeOf(process, cast, scene.place, mend));
  const place = { process: indexOf(processes, scene.place.process), page: scene.place.page - window.base };
  return {
    place,
    processes: processes.map((process, index): LayoutProcess => {
      const parent = indexOf(processes, process.parent);
      const hasParent = parent >= 0 && parent < index;
      return {
        number: process.number,
        parent: hasParent ? parent : -1,
        isStarting: process.isStarting,
        pages: pagesOf(before[index], hasParent ? before[parent] : undefined, window),
      };
    }),
    operations: cast.map((operation) => operationOf(processes, operation, place, window)),
  };
}

function indexOf(processes: readonly SceneProcess[], number: number): number {
  return processes.findIndex((process) => process.number === number);
}

/** Pages of the layout: `base` is page 0 of it, `last` its last one; only `near` ones have contents. */
interface Window {
  readonly base: number;
  readonly last: number;
  readonly near: ReadonlySet<number>;
}

/** The place, the ranges of the operations, a margin, and what lies between them. */
function windowOf(place: number, operations: readonly SceneOperation[]): Window {
  const near = new Set<number>([place]);
  for (const { op, page, pages } of operations) {
    if (page === undefined || isByFrame(op)) continue;
    for (let at = page - MARGIN; at < page + pages + MARGIN; at++) near.add(at);
  }
  const base = Math.max(0, Math.min(...near));
  return { near, base, last: Math.max(...near) - base };
}

function pagesOf(
  before: ReadonlyMap<number, BeforePage>,
  parent: ReadonlyMap<number, BeforePage> | undefined,
  { base, last, near }: Window,
): LayoutPage[] {
  const pages: LayoutPage[] = [];
  for (const [page, { prot, pfn }] of before) {
    if (page < base || page > base + last) continue;
    const shared = pfn !== 0 && parent?.get(page)?.pfn === pfn;
    pages.push({ page: page - base, prot, touched: pfn !== 0 && near.has(page), shared });
  }
  return pages.sort((a, b) => a.page - b.page);
}

function operationOf(
  processes: readonly SceneProcess[],
  { op, process, page, pages, detail }: SceneOperation,
  place: Layout['place'],
  window: Window,
): LayoutOperation {
  if (isByFrame(op) || page === undefined) {
    // A kernel thread goes by frames, and the frame of interest is that of the place.
    const own = isByFrame(op) ? place.process : indexOf(processes, process);
    return { op, process: own, page: place.page, pages: 1 };
  }
  const operation = { op, process: indexOf(processes, process), page: page - window.base, pages };
  if (detail === undefined) return operation;
  if (op === 'exec') return { ...operation, shift: detail };
  if (op !== 'mremap') return { ...operation, prot: detail };
  return detail < 0
    ? { ...operation, newPages: -1 - detail }
    : { ...operation, moveTo: targetOf(page, pages, detail, window) };
}

/** Where an mremap moves to: as it was if that is near, else beyond all pages on the same side. */
function targetOf(page: number, pages: number, to: number, { base, last }: Window): number {
  if (to >= base && to <= base + last) return to - base;
  return to < page ? -pages - GAP : last + GAP;
}

/** `PROT_*` bits of a protection. */
export function protBits(prot: SceneProt): number {
  if (prot === 'none') return 0;
  return prot === 'r' ? PROT_READ : PROT_READ | PROT_WRITE;
}
