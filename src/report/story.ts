/**
 * A failing run in a paragraph, made of what the trace shows and of nothing else: who was stopped where and with which
 * locks, what the others then did to the same objects, what was seen half done, and what broke.
 */

import { placeName } from '../check/wordNames.ts';
import { changeText } from './accessText.ts';
import { besides, tornPairs, weighEvents, type TornPair } from './timelineSelect.ts';
import { waitCycle } from './timelineRows.ts';
import {
  callOf,
  functionName,
  holdsOf,
  holdsOfFinding,
  lastAccess,
  lockText,
  meetingsOf,
  resumedFrame,
  segmentsOf,
  workingFrame,
  type Meeting,
  type Segment,
} from './traceFacts.ts';
import type { AccessEvent, Trace } from './trace.ts';
import { wrap } from './wrap.ts';

/** Accesses told of one stretch of a task. */
const FACTS_PER_SEGMENT = 3;
/** Weight from which an access is worth a clause. */
const MIN_WEIGHT = 10;
/** Stretches told one by one; of more, the last ones. */
const MAX_SEGMENTS = 8;

/** The run in sentences, each in lines of its own. */
export function storyLines(trace: Trace, columns = 100): string[] {
  return sentencesOf(trace).flatMap((sentence) => wrap(sentence, columns));
}

function sentencesOf(trace: Trace): string[] {
  const teller = new Teller(trace);
  const segments = segmentsOf(trace);
  const left = segments.length - MAX_SEGMENTS;
  const sentences = left > 0 ? [`After ${left} switches:`] : [];
  for (const segment of segments.slice(Math.max(left, 0))) sentences.push(teller.segment(segment));
  return [...sentences, ...teller.torn(), ...teller.ending()];
}

class Teller {
  private readonly trace: Trace;
  private readonly weights: Map<number, number>;
  private readonly meetings: readonly Meeting[];
  private readonly segments: readonly Segment[];

  constructor(trace: Trace) {
    this.trace = trace;
    this.weights = weighEvents(trace);
    this.meetings = meetingsOf(trace);
    this.segments = segmentsOf(trace);
  }

  segment(segment: Segment): string {
    const who = this.name(segment.task);
    const verb = lastAccess(this.trace, segment.from, segment.task) === undefined ? 'runs' : 'goes on in';
    const clauses = this.factsOf(segment).map((index) => this.clause(index, segment));
    const clausesOfLocks = this.locksOf(segment);
    return `${who} ${verb} ${this.where(segment, verb)}${sentenceOf([...clausesOfLocks, ...clauses, this.endOf(segment)])}`;
  }

  /** What a task saw, or showed, of a change that was half done. */
  torn(): string[] {
    let best = '';
    let shortest = Infinity;
    for (const pair of tornPairs(this.trace, this.meetings)) {
      const text = pair.isNear ? this.tornText(pair) : '';
      const length = pair.back.second - pair.away.first;
      if (text === '' || length >= shortest) continue;
      best = text;
      shortest = length;
    }
    return best === '' ? this.halfDone() : [best];
  }

  /** The last thing that a task saw of what another one had not finished doing. */
  private halfDone(): string[] {
    for (const { first, second } of this.meetings.toReversed()) {
      const [written, read] = [this.access(first), this.access(second)];
      if (!written.writes || read.writes || written.before === written.after) continue;
      if ((this.weights.get(second) ?? 0) < MIN_WEIGHT) continue;
      const writer = workingFrame(written.stack());
      const now = workingFrame(lastAccess(this.trace, second, written.task)?.stack() ?? []);
      if (writer === undefined || now?.name !== writer.name || !this.isStopped(written.task, second)) continue;
      const beside = besides(this.trace, second)
        .filter((index) => !this.meetings.some((meeting) => meeting.second === index))
        .map((index) => this.access(index))
        .map(({ place, is }) => `${placeName(place, false)} (${is})`);
      const others = beside.length === 0 ? '' : `, beside ${listOf([...new Set(beside)])}`;
      const what = `${placeName(read.place, false)} (${read.is}) from ${functionName(writer)}() of ${this.name(written.task)}`;
      return [`So ${this.name(read.task)} has ${what}, which is not over yet${others}.`];
    }
    return [];
  }

  /** Whether a task was preempted the last time it ran before an event. */
  private isStopped(task: number, before: number): boolean {
    return this.segments.findLast((segment) => segment.task === task && segment.to <= before)?.end === 'preempted';
  }

  ending(): string[] {
    const { trace } = this;
    const sentences = trace.waits.map(({ task, what, holders }) => {
      const by =
        holders.length === 0 ? '' : `, which ${holders.map((holder) => this.name(holder)).join(' and ')} holds`;
      return `${this.name(task)} waits for ${what}${by}.`;
    });
    const cycle = waitCycle(trace);
    if (cycle.length > 0) sentences.push(`They wait in a circle: ${cycle.map((task) => this.name(task)).join(' → ')}.`);
    const broken = trace.events.find((event) => event.type === 'violation');
    if (broken?.type !== 'violation') return sentences;
    const when = broken.task < 0 ? 'At the end' : `Then, at step ${broken.step}`;
    return [...sentences, `${when}: ${broken.violation.title}.`];
  }

  private name(task: number): string {
    return this.trace.tasks[task];
  }

  private where(segment: Segment, verb: string): string {
    const accesses = this.trace.events.slice(segment.from, segment.to).filter((event) => event.type === 'access');
    if (verb === 'runs' && accesses.length === 0) return 'nothing';
    const frame = verb === 'runs' ? callOf(accesses) : resumedFrame(this.trace, segment);
    return frame === undefined ? 'its code' : `${functionName(frame)}()`;
  }

  /** The weightiest accesses of a stretch, in their order. */
  private factsOf({ from, to }: Segment): number[] {
    const inside = [...this.weights].filter(([index, weight]) => index >= from && index < to && weight >= MIN_WEIGHT);
    inside.sort(([a, weightA], [b, weightB]) => weightB - weightA || a - b);
    const places = new Set<number>();
    const facts: number[] = [];
    for (const [index] of inside) {
      const event = this.trace.events[index];
      if (event.type !== 'access' || places.has(event.at) || facts.length === FACTS_PER_SEGMENT) continue;
      places.add(event.at);
      facts.push(index);
    }
    return facts.sort((a, b) => a - b);
  }

  /** Locks taken in a stretch, where the finding is about locks. */
  private locksOf({ from, to, task }: Segment): string[] {
    const holds = holdsOfFinding(this.trace).filter(
      (hold) => hold.task === task && hold.from >= from && hold.from < to,
    );
    const names = [...new Set(holds.map(lockText))];
    return names.length === 0 ? [] : [`takes ${listOf(names)}`];
  }

  private clause(index: number, { to }: Segment): string {
    const event = this.withLastChange(index, to);
    const name = placeName(event.place, false);
    const earlier = this.meetings.find(({ second }) => second === index);
    const other = earlier === undefined ? undefined : this.access(earlier.first);
    if (event.access === 'alloc' || event.access === 'free') {
      return `${event.access === 'alloc' ? 'allocates' : 'frees'} ${event.place.object}`;
    }
    if (!event.writes) {
      const from = other === undefined ? '' : ` from ${this.name(other.task)}`;
      return `reads ${name} (${event.is}${from})`;
    }
    const seen = other !== undefined && !other.writes ? `, which ${this.name(other.task)} has read as ${other.is}` : '';
    return `changes ${name} (${changeText(event)})${seen}`;
  }

  private endOf(segment: Segment): string {
    const { trace } = this;
    const holds = holdsOf(trace)
      .filter(
        ({ task, from, to, name }) =>
          task === segment.task && from < segment.to && to >= segment.to && name !== 'rcu_read_lock',
      )
      .map(lockText);
    const holding = holds.length === 0 ? '' : ` holding ${listOf(holds)}`;
    const last = trace.events
      .slice(segment.from, segment.to)
      .findLast(({ type }) => type === 'sleep' || type === 'relax');
    switch (segment.end) {
      case 'preempted': {
        const frame = workingFrame(lastAccess(trace, segment.to, segment.task)?.stack() ?? []);
        return `is preempted${frame === undefined ? '' : ` in ${functionName(frame)}()`}${holding}`;
      }
      case 'sleep':
      case 'relax':
        return `waits for ${last !== undefined && 'what' in last ? last.what : 'others'}${holding}`;
      case 'end':
        return 'is done';
      case 'over':
        return '';
    }
  }

  private tornText({ away, back }: TornPair): string {
    const [first, between] = [this.access(away.first), this.access(away.second)];
    const [other, last] = [this.access(back.first), this.access(back.second)];
    if (first.at === last.at) return '';
    const [one, two] = [placeName(first.place, false), placeName(last.place, false)];
    const changer = workingFrame(between.stack());
    const inside = changer === undefined ? '' : ` in ${functionName(changer)}()`;
    if (!first.writes && between.writes && other.writes && !last.writes) {
      return `So ${this.name(first.task)} has ${one} from before and ${two} from after what ${this.name(between.task)} did${inside}.`;
    }
    if (first.writes && !between.writes && !other.writes && last.writes) {
      return `So ${this.name(between.task)}${inside} has seen ${one} already changed and ${two} not yet.`;
    }
    return '';
  }

  /** The access, with what its word is after the task's last write to it in the stretch. */
  private withLastChange(index: number, to: number): AccessEvent {
    const event = this.access(index);
    if (!event.writes) return event;
    const later = this.trace.events
      .slice(index, to)
      .findLast((other) => other.type === 'access' && other.at === event.at && other.writes);
    return later?.type === 'access' ? { ...event, after: later.after, is: later.is } : event;
  }

  private access(index: number): AccessEvent {
    return this.trace.events[index] as AccessEvent;
  }
}

/** `, does this, does that and does the last.` */
function sentenceOf(clauses: readonly string[]): string {
  const said = clauses.filter((clause) => clause !== '');
  return said.length === 0 ? '.' : `, ${listOf(said)}.`;
}

function listOf(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items[items.length - 1]}`;
}
