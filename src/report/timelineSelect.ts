/**
 * Which accesses of a trace tell the story. A CPU influences another only where both touch a word and one writes, so these
 * meetings are the candidates; those weigh most that make a task see one half of a change: it touched an object, another
 * task changed it, and then it touched the object again. What the finding names weighs more, counts and statistics less.
 */

import type { WordKind, WordPlace } from '../check/wordNames.ts';
import { meetingsOf, type Meeting } from './traceFacts.ts';
import type { AccessEvent, Trace, TraceEvent } from './trace.ts';

const WEIGHT_OF_KIND: Readonly<Record<WordKind, number>> = {
  state: 10,
  range: 10,
  contents: 10,
  detail: 2,
  lock: 0,
  internal: 0,
};
/** Who moves an object away from under a walk leaves nothing there for the walk to meet. */
const RANGE_MOVED = 14;
const TORN = 30;
const TORN_FAR = 8;
/** Accesses of a task between which it counts on an object staying as it is. */
const NEAR = 16;
const NAMED = 12;
const NAMED_ENTRY = 24;
const NAMED_OBJECT = 5;
const AT_THE_VIOLATION = 100;
const LAST_ACCESSES = 3;
/** Read of an object beside something that another task has changed: the two may not belong together. */
const SEEN_TOGETHER = 12;
const SEEN_NEAR = 2;

/** Indexes of the events that tell the story, each with its weight; what is not in it tells nothing. */
export function weighEvents(trace: Trace): Map<number, number> {
  const weights = new Map<number, number>();
  const add = (index: number, weight: number): void => {
    if (weight > 0) weights.set(index, Math.max(weights.get(index) ?? 0, weight));
  };
  const meetings = meetingsOf(trace);
  const torn = tornWeights(trace, meetings);
  const named = namedPlaces(trace);
  for (const meeting of meetings) {
    const extra = torn.get(meeting) ?? 0;
    for (const index of [meeting.first, meeting.second]) {
      const { place, writes, before, after } = accessAt(trace, index);
      const base = writes && before === after ? Math.min(1, WEIGHT_OF_KIND[place.kind]) : WEIGHT_OF_KIND[place.kind];
      if (WEIGHT_OF_KIND[place.kind] > 0) add(index, base + extra + (named(place) ? NAMED / 2 : 0));
    }
  }
  const victim = trace.events.find(({ type }) => type === 'violation')?.task;
  trace.events.forEach((event, index) => {
    if (event.type === 'pick' && event.picked !== 0) add(index, AT_THE_VIOLATION);
    if (event.type !== 'access' || !event.writes || event.before === event.after) return;
    const { kind } = event.place;
    if (kind === 'range' && event.task !== victim && isLive(event)) add(index, RANGE_MOVED);
    if (WEIGHT_OF_KIND[kind] >= WEIGHT_OF_KIND.state && named(event.place)) {
      add(index, isEntry(event.place) ? NAMED_ENTRY : NAMED_OBJECT);
    }
  });
  for (const { first, second } of meetings) {
    const [from, to] = [accessAt(trace, first), accessAt(trace, second)];
    if (!from.writes || isIdle(from) || to.writes) continue;
    const beside = besides(trace, second);
    for (const index of beside) add(index, SEEN_TOGETHER);
    if (beside.length > 0) add(second, SEEN_TOGETHER + 1);
  }
  for (const index of failingAccesses(trace)) add(index, AT_THE_VIOLATION);
  return weights;
}

/** What the task read of the same object, just before or after an access. */
export function besides({ events }: Trace, index: number): number[] {
  const { task, place } = events[index] as AccessEvent;
  if (WEIGHT_OF_KIND[place.kind] < WEIGHT_OF_KIND.state || place.object === '' || isEntry(place)) return [];
  const found: number[] = [];
  for (const direction of [-1, 1]) {
    let seen = 0;
    for (let other = index + direction; seen < SEEN_NEAR && other >= 0 && other < events.length; other += direction) {
      const event = events[other];
      if (event.type !== 'access' || event.task !== task) continue;
      seen++;
      const { kind, object } = event.place;
      if (object === place.object && !event.writes && WEIGHT_OF_KIND[kind] >= WEIGHT_OF_KIND.state) found.push(other);
    }
  }
  return found;
}

/** Whether the object had a range before: the first one of a new object moves nothing away. */
function isLive({ before, was }: AccessEvent): boolean {
  return before !== 0 && was !== 'poison';
}

function accessAt({ events }: Trace, index: number): AccessEvent {
  return events[index] as AccessEvent;
}

/** For each event, how many accesses its task had made before it. */
function ownCounts({ events, tasks }: Trace): number[] {
  const made = tasks.map(() => 0);
  return events.map((event) => (event.type === 'access' ? made[event.task]++ : 0));
}

/** Extra weight of the meetings in which a task is shown two states of one object. */
function tornWeights(trace: Trace, meetings: readonly Meeting[]): Map<Meeting, number> {
  const weights = new Map<Meeting, number>();
  const raise = (meeting: Meeting, weight: number): void => {
    weights.set(meeting, Math.max(weights.get(meeting) ?? 0, weight));
  };
  for (const { away, back, isNear } of tornPairs(trace, meetings)) {
    const weight = isNear ? TORN : TORN_FAR;
    raise(away, weight);
    raise(back, weight);
  }
  return weights;
}

/** Two meetings by which a task touches an object before and after another task did. */
export interface TornPair {
  readonly away: Meeting;
  readonly back: Meeting;
  /** Few accesses lie between the task's own two. */
  readonly isNear: boolean;
}

/** All such pairs. */
export function tornPairs(trace: Trace, meetings: readonly Meeting[]): TornPair[] {
  const own = ownCounts(trace);
  const byObject = new Map<string, Meeting[]>();
  for (const meeting of meetings) {
    const { place } = accessAt(trace, meeting.first);
    if (WEIGHT_OF_KIND[place.kind] < WEIGHT_OF_KIND.state) continue;
    const key = isEntry(place) ? `${place.object} ${place.field}` : place.object;
    byObject.set(key, [...(byObject.get(key) ?? []), meeting]);
  }
  const pairs: TornPair[] = [];
  for (const ofObject of byObject.values()) {
    for (const away of ofObject) {
      for (const back of ofObject) {
        const isNear = own[back.second] - own[away.first] <= NEAR;
        if (isRoundTrip(trace, away, back)) pairs.push({ away, back, isNear });
      }
    }
  }
  return pairs;
}

/** From a task to another one and back to it, over words that were not all only read. */
function isRoundTrip(trace: Trace, away: Meeting, back: Meeting): boolean {
  const [leaves, arrives] = [accessAt(trace, away.first), accessAt(trace, away.second)];
  const [returns, again] = [accessAt(trace, back.first), accessAt(trace, back.second)];
  if (isIdle(leaves) || isIdle(arrives) || isIdle(returns) || isIdle(again)) return false;
  if (leaves.task !== again.task || arrives.task !== returns.task || away.first >= back.second) return false;
  return away.second < back.second && back.first > away.first;
}

/** A write that changed nothing. */
function isIdle({ writes, before, after }: AccessEvent): boolean {
  return writes && before === after;
}

/** Entries of page tables: one object each, though they lie in one table. */
function isEntry(place: WordPlace): boolean {
  return place.field.includes(' of vpn ');
}

/** Whether the finding speaks of what lies there. */
function namedPlaces({ violations }: Trace): (place: WordPlace) => boolean {
  const text = violations.flatMap(({ title, evidence }) => [title, ...evidence]).join('\n');
  const names = (what: string): boolean => new RegExp(`\\b${what.replace(/[^\w ]/g, '\\$&')}(?![\\w])`).test(text);
  return (place) => {
    const vpn = /^pte of vpn (\d+)/.exec(place.field)?.[1];
    if (vpn !== undefined) return names(`page ${vpn} of`) || names(`vpn ${vpn}`);
    return place.object !== '' && names(place.object.replace(/^page /, ''));
  };
}

/** What a task touched last before a detector spoke: in that step, and of objects that another task has changed. */
function failingAccesses({ events }: Trace): number[] {
  const found: number[] = [];
  events.forEach((violation, at) => {
    if (violation.type !== 'violation' || violation.task < 0) return;
    const { task, step } = violation;
    const own = events.flatMap((event, index) => (event.type === 'access' && event.task === task ? [index] : []));
    const matters = own.filter((index) => WEIGHT_OF_KIND[(events[index] as AccessEvent).place.kind] > 0);
    found.push(...matters.filter((index) => events[index].step === step).slice(-2));
    const last = own.filter((index) => index < at).slice(-LAST_ACCESSES);
    found.push(...last.filter((index) => isChangedByOthers(events, events[index] as AccessEvent)));
  });
  return found;
}

function isChangedByOthers(events: readonly TraceEvent[], { task, place }: AccessEvent): boolean {
  if (WEIGHT_OF_KIND[place.kind] < WEIGHT_OF_KIND.state) return false;
  return events.some(
    (event) => event.type === 'access' && event.task !== task && event.writes && event.place.object === place.object,
  );
}
