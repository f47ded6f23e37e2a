/**
 * The simplest schedule of a program that has the finding. First segments are taken out as long as the finding stays
 * (delta debugging); then all schedules with fewer preemptions than that are tried, where a preemption comes before a
 * step at which the threads meet: anywhere else it changes nothing.
 */

import { compareEffort, type Failing, type FailureSearch } from './failureSearch.ts';
import { TO_THE_END, type Picks, type Segment, type Touched } from './segmentStrategy.ts';
import type { World } from './world.ts';

/** More preemptions than this are not searched for: their number of schedules outgrows any budget. */
const MAX_SEARCHED = 2;

/** A simpler execution with the finding, or the same one. */
export function minimiseSchedule<T, W extends World<T>>(search: FailureSearch<T, W>, failing: Failing): Failing {
  const merged = mergeSegments(search, failing);
  const fewer = searchBelow(search, merged, merged.effort.preemptions);
  return fewer === null ? shorten(search, merged) : polish(search, fewer);
}

/** The execution with fewer switches and steps, where taking segments out or moving their ends gives one. */
export function polish<T, W extends World<T>>(search: FailureSearch<T, W>, failing: Failing): Failing {
  return shorten(search, mergeSegments(search, failing));
}

/** Any execution with the finding that has at most `preemptions`, fewest first; null if none is met. */
export function searchUpTo<T, W extends World<T>>(
  search: FailureSearch<T, W>,
  picks: Picks,
  preemptions: number,
): Failing | null {
  const touched: Touched[] = [];
  for (let task = 0; task < search.threads; task++) {
    const found = search.attempt([{ task, until: TO_THE_END }], picks, touched);
    if (found !== null) return found;
  }
  return searchPoints(search, picks, search.meetingPoints(touched), preemptions);
}

/** Takes segments out, many at once and then fewer, as long as that makes it simpler. */
function mergeSegments<T, W extends World<T>>(search: FailureSearch<T, W>, failing: Failing): Failing {
  let best = failing;
  for (let size = best.segments.length >> 1; size >= 1;) {
    const simpler = removeChunk(search, best, size);
    if (simpler !== null) best = simpler;
    else size >>= 1;
    size = Math.min(size, best.segments.length - 1);
  }
  return best;
}

function removeChunk<T, W extends World<T>>(
  search: FailureSearch<T, W>,
  { segments, picks, effort }: Failing,
  size: number,
): Failing | null {
  for (let from = 0; from < segments.length && !search.isExhausted; from += size) {
    const rest = segments.filter((_, index) => index < from || index >= from + size);
    const found = search.attempt(rest, picks);
    if (found !== null && compareEffort(found.effort, effort) < 0) return found;
  }
  return null;
}

function searchBelow<T, W extends World<T>>(
  search: FailureSearch<T, W>,
  { segments, picks }: Failing,
  preemptions: number,
): Failing | null {
  if (preemptions === 0) return null;
  const touched: Touched[] = [];
  search.attempt(segments, picks, touched);
  return searchPoints(search, picks, search.meetingPoints(touched), Math.min(preemptions - 1, MAX_SEARCHED));
}

function searchPoints<T, W extends World<T>>(
  search: FailureSearch<T, W>,
  picks: Picks,
  points: readonly (readonly number[])[],
  preemptions: number,
): Failing | null {
  for (let count = 0; count <= preemptions; count++) {
    for (const segments of schedulesWith(count, points, search.threads)) {
      if (search.isExhausted) return null;
      const found = search.attempt(segments, picks);
      if (found !== null) return found;
    }
  }
  return null;
}

/** All ways to interrupt the threads `count` times at their points; behind that whoever was interrupted goes on in turn. */
function* schedulesWith(count: number, points: readonly (readonly number[])[], threads: number): Generator<Segment[]> {
  const made = points.map(() => 0);
  const behind = function* (last: number): Generator<Segment[]> {
    for (let task = 0; task < threads; task++) if (task !== last) yield [{ task, until: TO_THE_END }];
  };
  const extend = function* (left: number, last: number): Generator<Segment[]> {
    if (left === 0) {
      yield* behind(last);
      return;
    }
    for (let task = 0; task < threads; task++) {
      if (task === last) continue;
      const before = made[task];
      for (const until of points[task]) {
        if (until <= before) continue;
        made[task] = until;
        for (const rest of extend(left - 1, task)) yield [{ task, until }, ...rest];
      }
      made[task] = before;
    }
  };
  yield* extend(count, -1);
}

/** Moves the ends of segments to earlier meeting points as long as the whole gets shorter. */
function shorten<T, W extends World<T>>(search: FailureSearch<T, W>, failing: Failing): Failing {
  const touched: Touched[] = [];
  search.attempt(failing.segments, failing.picks, touched);
  const points = search.meetingPoints(touched);
  let best = failing;
  for (let index = 0; index < best.segments.length; index++) {
    const { task, until } = best.segments[index];
    for (const point of points[task]) {
      if (point >= until || search.isExhausted) break;
      const moved = best.segments.map((segment, i) => (i === index ? { task, until: point } : segment));
      const found = search.attempt(moved, best.picks);
      if (found === null || compareEffort(found.effort, best.effort) >= 0) continue;
      best = found;
      break;
    }
  }
  return best;
}
