/**
 * Places in the source for what a detector found: the schedule is run once more, explained, and the accesses that prove the
 * violation are looked up in what happened. Detectors themselves know tasks and steps only.
 */

import type { AccessSite, Violation } from '../base/finding.ts';
import { explain, type ExplainOptions } from '../explore/explain.ts';
import type { Program } from '../explore/explore.ts';
import type { Schedule } from '../explore/schedule.ts';
import type { World } from '../explore/world.ts';
import { ACCESS } from '../instrument/runtime.ts';
import type { AccessEvent, Frame, TraceEvent } from '../report/trace.ts';

/** An access with where it was made, null if the replay does not have it. */
export interface NamedSite extends AccessSite {
  readonly frame: Frame | null;
}

/** The accesses of a violation with their places. */
export function nameSites<T, W extends World<T>>(
  program: Program<T, W>,
  schedule: Schedule,
  accesses: readonly AccessSite[],
  options: ExplainOptions = {},
): NamedSite[] {
  const { events } = explain(program, schedule, options);
  return accesses.map((site) => ({ ...site, frame: eventOf(events, site)?.stack().at(0) ?? null }));
}

/**
 * The violation with its places in the evidence, and with the functions instead of the kinds of access in its signature: the same
 * bug is the same pair of functions at the same field.
 */
export function withSites<T, W extends World<T>>(
  program: Program<T, W>,
  schedule: Schedule,
  violation: Violation,
  options: ExplainOptions = {},
): Violation {
  const { accesses = [], kind, signature, evidence } = violation;
  if (accesses.length === 0) return violation;
  const sites = nameSites(program, schedule, accesses, options);
  if (sites.some(({ frame }) => frame === null)) return violation;
  const functions = sites.map(({ frame }) => frame!.name).sort();
  const places = sites.map(
    ({ frame }, index) => `${evidence[index]} in ${frame!.name} (${frame!.file}:${frame!.line})`,
  );
  // An invariant that broke is the same one whoever broke it.
  const [what, field] = signature.split(' ');
  return {
    ...violation,
    signature: what === kind ? `${kind} ${field} ${functions.join(' / ')}` : signature,
    evidence: [...places, ...evidence.slice(sites.length)],
  };
}

/** An object's allocation and free stand in the log at its first word, whichever word is concerned. */
function eventOf(events: readonly TraceEvent[], { task, step, at, kind }: AccessSite): AccessEvent | undefined {
  const whole = kind === ACCESS.alloc || kind === ACCESS.free;
  for (const event of events) {
    if (event.type !== 'access' || event.task !== task || event.step !== step) continue;
    if (ACCESS[event.access] === kind && (whole || event.at === at)) return event;
  }
  return undefined;
}
