/**
 * From the scene of a finding to the start of a scenario: what the processes looked like before the operations in flight
 * began, as small as it can be, with pages counted from 0.
 *
 * The scene was taken in the middle of those operations. What one of them takes apart is put together again: the range of a
 * munmap is mapped, as its neighbours are, and so are the pages on either side; that of an mprotect has another
 * protection than it is about to get; that of an mremap is where it comes from.
 */

import type { Scene, SceneOperation, SceneProcess, SceneProt } from '../../src/report/sceneDocument.ts';

/** Free pages between what is mapped and a place that an mremap moves to, if that is far away. */
const GAP = 2;
/** Pages beyond the range of an operation that are kept: what a split leaves on either side. */
const MARGIN = 1;
/** VMA operations move pages at most so far apart that they still concern the place. */
const RELATED = 40;
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

const CHANGES_VMAS = ['munmap', 'mprotect', 'mremap', 'mmap'];
const BY_FRAME = ['compact', 'reclaim'];

/** The layout of a scene. */
export function layoutOf(scene: Scene): Layout {
  const related = relatedOperations(scene);
  const processes = scene.processes.filter(
    ({ number }) =>
      number === scene.place.process || related.some(({ op, process }) => !isByFrame(op) && process === number),
  );
  const window = windowOf(scene.place.page, related);
  const before = processes.map((process) => beforeOf(process, related));
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
    operations: related.map((operation) => operationOf(processes, operation, place, window)),
  };
}

/** What can have to do with the place: each kind of kernel thread once, for they go to the same frame. */
function relatedOperations(scene: Scene): SceneOperation[] {
  const related = scene.operations.filter((operation) => isRelated(scene, operation));
  return related.filter(({ op }, index) => !isByFrame(op) || related.findIndex((other) => other.op === op) === index);
}

function isByFrame(op: string): boolean {
  return BY_FRAME.includes(op);
}

function indexOf(processes: readonly SceneProcess[], number: number): number {
  return processes.findIndex((process) => process.number === number);
}

/** Whether an operation can have to do with the place. */
function isRelated(scene: Scene, { op, process, page }: SceneOperation): boolean {
  if (isByFrame(op)) return true;
  if (indexOf(scene.processes, process) < 0) return false;
  // The last one out takes the address space down: an exit waits for everybody else who works there.
  if (op === 'exit') return scene.operations.filter((other) => other.process === process).length === 1;
  return page === undefined || Math.abs(page - scene.place.page) <= RELATED;
}

interface BeforePage {
  prot: SceneProt;
  pfn: number;
}

/** The process before the operations began. */
function beforeOf(process: SceneProcess, operations: readonly SceneOperation[]): Map<number, BeforePage> {
  const pages = new Map<number, BeforePage>();
  for (const { page, prot, pfn } of process.pages) pages.set(page, { prot, pfn });
  for (const operation of operations) {
    const { op, page, pages: count, detail } = operation;
    if (operation.process !== process.number || page === undefined || !CHANGES_VMAS.includes(op)) continue;
    const range = Array.from({ length: count }, (_, i) => page + i);
    if (op === 'munmap') join([page - 1, ...range, page + count], pages);
    else if (op === 'mprotect') {
      join([page - 1, ...range, page + count], pages);
      for (const at of range) pages.set(at, { prot: otherProt(detail), pfn: pages.get(at)?.pfn ?? 0 });
    } else if (op === 'mremap' && detail !== undefined && detail >= 0) moveBack(range, detail - page, pages);
  }
  return pages;
}

/** Maps what is not mapped, writable like most. */
function join(range: readonly number[], pages: Map<number, BeforePage>): void {
  for (const page of range) if (!pages.has(page)) pages.set(page, { prot: 'rw', pfn: 0 });
}

/** A protection that is not the one that mprotect is about to set. */
function otherProt(detail: number | undefined): SceneProt {
  const isWritable = detail !== undefined && (detail & PROT_WRITE) !== 0;
  return isWritable ? 'r' : 'rw';
}

function moveBack(range: readonly number[], by: number, pages: Map<number, BeforePage>): void {
  for (const page of range) {
    const [here, there] = [pages.get(page), pages.get(page + by)];
    pages.set(page, here ?? there ?? { prot: 'rw', pfn: 0 });
    if (here?.pfn === 0 && there !== undefined && there.pfn !== 0) pages.set(page, { ...here, pfn: there.pfn });
    pages.delete(page + by);
  }
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
