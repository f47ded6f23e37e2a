/**
 * What the processes of a scene looked like before the operations in flight began. The scene was taken in their middle, so
 * what one of them takes apart is put together again: the range of a munmap is mapped, and so are the pages on either side;
 * that of an mprotect has another protection than it is about to get; what an mremap moves is where it comes from.
 */

import type { Place } from '../../src/base/finding.ts';
import type { SceneOperation, SceneProcess, SceneProt } from '../../src/report/sceneDocument.ts';

/** Of a page that is there: nobody knows any more in which frame it was. */
const UNKNOWN_FRAME = -1;
const PROT_WRITE = 2;

/** A mapped page; `pfn` is 0 while nobody has touched it. */
export interface BeforePage {
  readonly prot: SceneProt;
  readonly pfn: number;
}

type Pages = Map<number, BeforePage>;

/** The process before `operations`. @param mend put together what they take apart; else it is taken as it was seen */
export function beforeOf(
  process: SceneProcess,
  operations: readonly SceneOperation[],
  place: Place,
  mend: boolean,
): ReadonlyMap<number, BeforePage> {
  const own = operations.filter((operation) => operation.process === process.number);
  const pages = seenPages(process, own);
  if (mend) for (const operation of own) undo(operation, pages);
  // What the finding is about was there, wherever it is now.
  if (place.process === process.number) {
    const found = pages.get(place.page) ?? { prot: 'rw', pfn: 0 };
    pages.set(place.page, { prot: found.prot, pfn: found.pfn === 0 ? UNKNOWN_FRAME : found.pfn });
  }
  return pages;
}

function seenPages({ ranges, frames }: SceneProcess, operations: readonly SceneOperation[]): Pages {
  const exec = operations.find(({ op }) => op === 'exec');
  const there = new Map(frames.map(({ page, pfn }) => [page, pfn]));
  const pages: Pages = new Map();
  for (const { start, end, prot } of ranges) {
    for (let page = start; page < end; page++) {
      if (isStillThere(exec, page)) pages.set(page, { prot, pfn: there.get(page) ?? 0 });
    }
  }
  return pages;
}

/** A stack that exec is moving: before, it was where it was built. */
function isStillThere(exec: SceneOperation | undefined, page: number): boolean {
  if (exec?.page === undefined) return true;
  return page >= exec.page && page < exec.page + exec.pages;
}

function undo({ op, page, pages: count, detail }: SceneOperation, pages: Pages): void {
  if (page === undefined) return;
  const range = Array.from({ length: count }, (_, i) => page + i);
  const around = [page - 1, ...range, page + count];
  if (op === 'mmap') unmapOrJoin(range, around, pages);
  else if (op === 'munmap') join(around, pages);
  else if (op === 'mprotect') {
    join(around, pages);
    const prot = otherProt(detail);
    for (const at of range) pages.set(at, { prot, pfn: pages.get(at)?.pfn ?? 0 });
  } else if (op === 'mremap' && detail !== undefined && detail >= 0) moveBack(range, detail - page, pages);
}

/**
 * A mapping that is there is the new one, which has merged with its neighbours: it was not there before. A hole is what the
 * mmap has made to put itself into.
 */
function unmapOrJoin(range: readonly number[], around: readonly number[], pages: Pages): void {
  if (range.every((page) => pages.has(page))) for (const page of range) pages.delete(page);
  else join(around, pages);
}

/** Maps what is not mapped, writable like most. */
function join(around: readonly number[], pages: Pages): void {
  for (const page of around) if (page >= 0 && !pages.has(page)) pages.set(page, { prot: 'rw', pfn: 0 });
}

/** A protection that is not the one that mprotect is about to set. */
function otherProt(detail: number | undefined): SceneProt {
  const isWritable = detail !== undefined && (detail & PROT_WRITE) !== 0;
  return isWritable ? 'r' : 'rw';
}

function moveBack(range: readonly number[], by: number, pages: Pages): void {
  for (const page of range) {
    const { prot, pfn } = pages.get(page) ?? pages.get(page + by) ?? { prot: 'rw', pfn: 0 };
    pages.set(page, { prot, pfn: pfn === 0 ? (pages.get(page + by)?.pfn ?? 0) : pfn });
    pages.delete(page + by);
  }
}
