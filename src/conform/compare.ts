/** The first difference between the recorded state and the simulated one. */

import type { Aspect } from './kernelRule.ts';
import { pageRow, vmaRow } from './describe.ts';
import type { PageState, ProcessState, Result, TraceState, VmaState } from './traceFormat.ts';

export interface Difference {
  readonly aspect: Aspect;
  /** Process and first page concerned, where the difference has them. */
  readonly process: number | null;
  readonly page: number | null;
  /** Both sides as JSON values: results, process numbers, VMAs or pages that differ. */
  readonly expected: unknown;
  readonly actual: unknown;
}

/** Compares in the order in which a reader wants to know: result, processes, VMAs, pages. Null when all agrees. */
export function findDifference(
  expected: { readonly result: Result; readonly state: TraceState },
  actual: { readonly result: Result; readonly state: TraceState },
): Difference | null {
  if (expected.result !== actual.result) {
    return { aspect: 'result', process: null, page: null, expected: expected.result, actual: actual.result };
  }
  const numbers = [...expected.state.keys()].sort((a, b) => a - b);
  const actualNumbers = [...actual.state.keys()].sort((a, b) => a - b);
  if (numbers.join() !== actualNumbers.join()) {
    return { aspect: 'processes', process: null, page: null, expected: numbers, actual: actualNumbers };
  }
  // All VMAs before any page: a page in the wrong place is mostly a consequence of a VMA in the wrong place.
  for (const p of numbers) {
    const difference = compareVmas(p, expected.state.get(p)!, actual.state.get(p)!);
    if (difference !== null) return difference;
  }
  for (const p of numbers) {
    const difference = comparePages(p, expected.state.get(p)!, actual.state.get(p)!);
    if (difference !== null) return difference;
  }
  return null;
}

function compareVmas(process: number, expected: ProcessState, actual: ProcessState): Difference | null {
  const differing = differingKeys(expected.vmas, actual.vmas, sameVma);
  if (differing.length === 0) return null;
  const rows = (vmas: ReadonlyMap<number, VmaState>) =>
    differing.filter((start) => vmas.has(start)).map((start) => vmaRow(vmas.get(start)!));
  const sides = { expected: rows(expected.vmas), actual: rows(actual.vmas) };
  return { aspect: 'vmas', process, page: differing[0], ...sides };
}

function comparePages(process: number, expected: ProcessState, actual: ProcessState): Difference | null {
  const differing = differingKeys(expected.pages, actual.pages, samePage);
  if (differing.length === 0) return null;
  const rows = (pages: ReadonlyMap<number, PageState>) =>
    differing.filter((page) => pages.has(page)).map((page) => pageRow(page, pages.get(page)!));
  const sides = { expected: rows(expected.pages), actual: rows(actual.pages) };
  return { aspect: 'pages', process, page: differing[0], ...sides };
}

function differingKeys<Value>(
  expected: ReadonlyMap<number, Value>,
  actual: ReadonlyMap<number, Value>,
  same: (a: Value, b: Value) => boolean,
): number[] {
  const keys: number[] = [];
  for (const [key, value] of expected) {
    const other = actual.get(key);
    if (other === undefined || !same(value, other)) keys.push(key);
  }
  for (const key of actual.keys()) if (!expected.has(key)) keys.push(key);
  return keys.sort((a, b) => a - b);
}

function sameVma(a: VmaState, b: VmaState): boolean {
  return (
    a.end === b.end && a.perms === b.perms && a.flags === b.flags && a.object === b.object && a.offset === b.offset
  );
}

function samePage(a: PageState, b: PageState): boolean {
  return a.frame === b.frame && a.mapcount === b.mapcount && a.letters === b.letters && a.stamp === b.stamp;
}
