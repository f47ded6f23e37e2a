/** The changes a step made (format, section 5), and the state they lead to. */

import { Malformed, arrayOf, child, integerOf, objectOf, tupleOf } from './malformed.ts';
import {
  FLAG_NAMES,
  MAX_PROCESSES,
  WINDOW_PAGES,
  type Delta,
  type PageState,
  type ProcessDelta,
  type ProcessState,
  type TraceState,
  type VmaState,
} from './traceFormat.ts';

/** Before the first step: process 0, whose window is empty. */
export const INITIAL_STATE: TraceState = new Map([[0, { vmas: new Map(), pages: new Map() }]]);

/** @throws Malformed */
export function readDelta(value: unknown, field: string): Delta {
  if (value === undefined) return new Map();
  const processes = Array.from({ length: MAX_PROCESSES }, (_, p) => String(p));
  const entries = Object.entries(objectOf(value, field, processes));
  return new Map(entries.map(([p, change]) => [Number(p), readProcessDelta(change, child(field, p))]));
}

function readProcessDelta(value: unknown, field: string): ProcessDelta {
  const change = objectOf(value, field, ['gone', 'like', 'vd', 'va', 'pd', 'pa']);
  const list = <Item>(key: string, read: (item: unknown, field: string) => Item): readonly Item[] => {
    const items = change[key] === undefined ? [] : arrayOf(change[key], child(field, key));
    return items.map((item, i) => read(item, `${child(field, key)}[${i}]`));
  };
  const { gone, like } = change;
  if (gone !== undefined && gone !== 1) throw new Malformed(child(field, 'gone'), 'expected 1');
  return {
    gone: gone === 1,
    like: like === undefined ? null : integerOf(like, child(field, 'like'), 0, MAX_PROCESSES - 1),
    removedVmas: list('vd', (item, at) => integerOf(item, at, 0, WINDOW_PAGES - 1)),
    addedVmas: list('va', readVma),
    removedPages: list('pd', (item, at) => readPageRun(tupleOf(item, at, 2), at)),
    addedPages: list('pa', (item, at) => {
      const row = tupleOf(item, at, 6);
      return { ...readPageRun(row, at), page: readPage(row, at) };
    }),
  };
}

function readVma(value: unknown, field: string): VmaState {
  const [start, end, perms, flags, object, offset] = tupleOf(value, field, 4, 6);
  if (typeof perms !== 'string' || !/^[r-][w-][x-][ps]$/.test(perms)) {
    throw new Malformed(`${field}[2]`, 'expected permissions such as rw-p');
  }
  if (typeof flags !== 'string' || !isFlagList(flags)) {
    throw new Malformed(`${field}[3]`, `expected some of '${FLAG_NAMES.join(' ')}', in this order`);
  }
  const first = integerOf(start, `${field}[0]`, 0, WINDOW_PAGES - 1);
  const isObject = object !== undefined;
  return {
    start: first,
    end: integerOf(end, `${field}[1]`, first + 1, WINDOW_PAGES),
    perms,
    flags,
    object: isObject ? integerOf(object, `${field}[4]`, 0, Number.MAX_SAFE_INTEGER) : null,
    offset: isObject ? integerOf(offset, `${field}[5]`, 0, Number.MAX_SAFE_INTEGER) : null,
  };
}

function isFlagList(text: string): boolean {
  if (text === '') return true;
  const places = text.split(' ').map((flag) => (FLAG_NAMES as readonly string[]).indexOf(flag));
  return places.every((place, i) => place > (places[i - 1] ?? -1));
}

function readPageRun(row: readonly unknown[], field: string): { start: number; count: number } {
  const start = integerOf(row[0], `${field}[0]`, 0, WINDOW_PAGES - 1);
  return { start, count: integerOf(row[1], `${field}[1]`, 1, WINDOW_PAGES - start) };
}

function readPage(row: readonly unknown[], field: string): PageState {
  const [, , frame, mapcount, letters, stamp] = row;
  if (typeof letters !== 'string' || !/^x?e?k?s?h?$/.test(letters)) {
    throw new Malformed(`${field}[4]`, 'expected some of the letters xeksh, in this order');
  }
  return {
    frame: frame === 'z' ? 'z' : integerOf(frame, `${field}[2]`, 0, Number.MAX_SAFE_INTEGER),
    mapcount: integerOf(mapcount, `${field}[3]`, 0, Number.MAX_SAFE_INTEGER),
    letters,
    stamp: integerOf(stamp, `${field}[5]`, 0, 255),
  };
}

/** The state after a step. What did not change is shared with `before`. @throws Malformed when the delta does not fit */
export function applyDelta(before: TraceState, delta: Delta, field: string): TraceState {
  if (delta.size === 0) return before;
  const after = new Map(before);
  const inOrder = [...delta].sort(([a, x], [b, y]) => Number(x.like !== null) - Number(y.like !== null) || a - b);
  for (const [p, change] of inOrder) {
    const at = child(field, String(p));
    if (change.gone) {
      if (!after.delete(p)) throw new Malformed(child(at, 'gone'), `process ${p} is not alive`);
      continue;
    }
    if (change.like !== null && after.has(p)) throw new Malformed(child(at, 'like'), `process ${p} exists already`);
    const base = after.get(change.like ?? p);
    if (base === undefined) {
      throw new Malformed(change.like === null ? at : child(at, 'like'), `process ${change.like ?? p} is not alive`);
    }
    after.set(p, applyToProcess(base, change, at));
  }
  return after;
}

function applyToProcess(before: ProcessState, change: ProcessDelta, field: string): ProcessState {
  const vmas = new Map(before.vmas);
  const pages = new Map(before.pages);
  for (const [i, start] of change.removedVmas.entries()) {
    if (!vmas.delete(start)) throw new Malformed(`${child(field, 'vd')}[${i}]`, `no VMA starts at ${start}`);
  }
  for (const vma of change.addedVmas) vmas.set(vma.start, vma);
  for (const [i, { start, count }] of change.removedPages.entries()) {
    for (let page = start; page < start + count; page++) {
      if (!pages.delete(page)) throw new Malformed(`${child(field, 'pd')}[${i}]`, `page ${page} is not present`);
    }
  }
  for (const { start, count, page } of change.addedPages) {
    for (let k = 0; k < count; k++) {
      pages.set(start + k, page.frame === 'z' ? page : { ...page, frame: page.frame + k });
    }
  }
  return { vmas, pages };
}
