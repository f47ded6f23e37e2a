/** The changes from one state to the next in the notation of a trace file (format, section 5): the inverse of readDelta. */

import { vmaRow } from './describe.ts';
import type { PageState, ProcessState, TraceState, VmaState } from './traceFormat.ts';

type Row = readonly (number | string)[];

/** Changes of one process; keys without change are absent. */
interface DeltaRecord {
  gone?: 1;
  like?: number;
  vd?: number[];
  va?: Row[];
  pd?: Row[];
  pa?: Row[];
}

/** The delta of a step, or undefined when nothing changed. A new process was forked from `parent`. */
export function writeDelta(
  before: TraceState,
  after: TraceState,
  parent: number,
): Record<string, DeltaRecord> | undefined {
  const delta: Record<string, DeltaRecord> = {};
  for (const p of [...new Set([...before.keys(), ...after.keys()])].sort((a, b) => a - b)) {
    const now = after.get(p);
    if (now === undefined) {
      delta[p] = { gone: 1 };
      continue;
    }
    const isNew = !before.has(p);
    const base = isNew ? after.get(parent)! : before.get(p)!;
    const changes = { ...(isNew ? { like: parent } : {}), ...processDelta(base, now) };
    if (Object.keys(changes).length > 0) delta[p] = changes;
  }
  return Object.keys(delta).length === 0 ? undefined : delta;
}

function processDelta(before: ProcessState, after: ProcessState): DeltaRecord {
  const vd = goneKeys(before.vmas, after.vmas);
  const va = sortedEntries(after.vmas)
    .filter(([start, vma]) => !sameVma(before.vmas.get(start), vma))
    .map(([, vma]) => vmaRow(vma));
  const pd = runsOf(goneKeys(before.pages, after.pages));
  const pa = pageRuns(sortedEntries(after.pages).filter(([index, page]) => !samePage(before.pages.get(index), page)));
  return {
    ...(vd.length > 0 ? { vd } : {}),
    ...(va.length > 0 ? { va } : {}),
    ...(pd.length > 0 ? { pd } : {}),
    ...(pa.length > 0 ? { pa } : {}),
  };
}

function goneKeys(before: ReadonlyMap<number, unknown>, after: ReadonlyMap<number, unknown>): number[] {
  return [...before.keys()].filter((key) => !after.has(key)).sort((a, b) => a - b);
}

function sortedEntries<Value>(map: ReadonlyMap<number, Value>): [number, Value][] {
  return [...map].sort(([a], [b]) => a - b);
}

function sameVma(a: VmaState | undefined, b: VmaState): boolean {
  return a !== undefined && vmaRow(a).join() === vmaRow(b).join();
}

function samePage(a: PageState | undefined, b: PageState): boolean {
  if (a === undefined) return false;
  return a.frame === b.frame && a.mapcount === b.mapcount && a.letters === b.letters && a.stamp === b.stamp;
}

function runsOf(indexes: readonly number[]): Row[] {
  const runs: [number, number][] = [];
  for (const index of indexes) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === index) last[1]++;
    else runs.push([index, 1]);
  }
  return runs;
}

/** Neighbouring pages whose labels count up, or that are all the zero page, and that are else alike, as one row. */
function pageRuns(pages: readonly (readonly [number, PageState])[]): Row[] {
  const runs: { start: number; count: number; first: PageState }[] = [];
  for (const [index, page] of pages) {
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.count === index && samePage(nth(last.first, last.count), page)) {
      last.count++;
    } else runs.push({ start: index, count: 1, first: page });
  }
  return runs.map(({ start, count, first: { frame, mapcount, letters, stamp } }) => {
    return [start, count, frame, mapcount, letters, stamp];
  });
}

function nth(page: PageState, k: number): PageState {
  return page.frame === 'z' ? page : { ...page, frame: page.frame + k };
}
