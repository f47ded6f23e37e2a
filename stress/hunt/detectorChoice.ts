/**
 * Which detectors watch the accesses of an exploration. Hooks of the mm, lockdep and the checks at the end are always on;
 * these cost time for every access, so they are chosen, and the choice is part of what a replay file records.
 */

import type { FindingKind } from '../../src/base/finding.ts';
import { UsageError } from '../../src/base/usageError.ts';
import type { Memory } from '../../src/explore/explore.ts';
import type { Rules } from '../../src/rules/rules.ts';

/**
 *   races      accesses that nothing orders
 *   guards     fields without the lock that guards them
 *   lifetimes  accesses to free objects
 *   steps      invariants that hold between any two steps
 */
export const DETECTORS = ['races', 'guards', 'lifetimes', 'steps'] as const;

export type DetectorName = (typeof DETECTORS)[number];

/** What a user asks for; null leaves it to the command. */
export type DetectorWish = readonly DetectorName[] | 'all' | null;

/** What an execution runs under, and which detectors watch it. */
export interface Conditions {
  readonly memory: Memory;
  readonly detect: readonly DetectorName[];
}

/** Kinds that only these detectors report: asked for by name, they are looked for. */
const KIND_OF: Readonly<Partial<Record<DetectorName, FindingKind>>> = { races: 'data-race', guards: 'lock-held' };

/** Reads `races,steps`, `all` or `none`. @throws UsageError for an unknown name */
export function parseDetectors(text: string): readonly DetectorName[] | 'all' {
  if (text === 'all') return 'all';
  if (text === 'none') return [];
  const names = text.split(',');
  const unknown = names.find((name) => !(DETECTORS as readonly string[]).includes(name));
  if (unknown === undefined) return DETECTORS.filter((name) => names.includes(name));
  throw new UsageError(`unknown detector '${unknown}' (known: ${DETECTORS.join(', ')}, all, none)`);
}

/**
 * The detectors that are wished for. `all` are those that can judge under this memory and these rules.
 * @throws UsageError for one by name that cannot
 */
export function chooseDetectors(wish: Exclude<DetectorWish, null>, memory: Memory, rules: Rules): DetectorName[] {
  if (wish === 'all') return DETECTORS.filter((name) => whyNot(name, memory, rules) === null);
  for (const name of wish) {
    const reason = whyNot(name, memory, rules);
    if (reason !== null) throw new UsageError(`--detect ${name}: ${reason}`);
  }
  return [...wish];
}

/** Kinds of finding that a wish by name adds to those looked for. */
export function kindsOf(wish: DetectorWish): FindingKind[] {
  const names = wish === 'all' ? DETECTORS : (wish ?? []);
  return names.flatMap((name) => KIND_OF[name] ?? []);
}

/** `detectors races lifetimes`, for the line that a command begins with. */
export function describeConditions({ memory, detect }: Conditions): string {
  return `memory ${memory}, detectors ${detect.length === 0 ? 'none' : detect.join(' ')}`;
}

/** Why a detector cannot judge, null when it can. */
function whyNot(name: DetectorName, memory: Memory, rules: Rules): string | null {
  const needsOrder = name === 'races' || name === 'guards';
  if (needsOrder && memory !== 'sc') return 'it judges under --memory sc only';
  const needsRoot = name === 'guards' && rules.anonVma.lock !== 'rootRwsem';
  return needsRoot ? 'the guards of fields are those of kernels with anonVma.lock=rootRwsem' : null;
}
