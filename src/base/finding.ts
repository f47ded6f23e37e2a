/**
 * What every detector raises. A finding is data: reports format it, the command line counts it, scripts compare ids.
 */

import { stableHash } from './stableHash.ts';

/** The kinds of bug the laboratory tells apart. */
export type FindingKind =
  | 'lock-order'
  | 'lock-recursion'
  | 'lock-balance'
  | 'sleep-in-atomic'
  | 'deadlock'
  | 'hung'
  | 'livelock'
  | 'dangling-migration-entry'
  | 'rmap-miss'
  | 'use-after-free'
  | 'count-mismatch'
  | 'stale-tlb'
  | 'cow-isolation'
  | 'lost-write'
  | 'exclusive'
  | 'data-race'
  | 'page-table'
  | 'vma-tree'
  | 'leak'
  | 'lock-held'
  | 'assertion'
  | 'crash';

/** One access of an execution: a replay of the schedule finds the place in the source that made it. */
export interface AccessSite {
  /** Index of the task. */
  readonly task: number;
  /** Steps of the execution before it. */
  readonly step: number;
  /** Word, and how it was touched (ACCESS of the runtime). */
  readonly at: number;
  readonly kind: number;
}

/** What lockdep says, or an access without its lock, foretells harm; the machine is still sound. */
const PREDICTIONS: readonly FindingKind[] = [
  'lock-order',
  'lock-recursion',
  'sleep-in-atomic',
  'lock-held',
  'data-race',
];

/** True for a finding of something that may do harm, false for harm that was done. */
export function isPrediction(kind: FindingKind): boolean {
  return PREDICTIONS.includes(kind);
}

/** A page of a process, by its virtual page number. */
export interface Place {
  readonly process: number;
  readonly page: number;
}

/** What a detector hands over. The harness adds who asked for the run and how to repeat it. */
export interface Violation {
  readonly kind: FindingKind;
  /** One line: what is wrong, in the kernel's words, with object names and without addresses. */
  readonly title: string;
  /**
   * What makes this the same bug as another report of it: invariant, lock classes, functions; never seeds, counts,
   * addresses or CPU numbers.
   */
  readonly signature: string;
  /** The page it is about, where it is about one. */
  readonly place?: Place;
  /** Lines that prove it: steps with source positions, held locks, states of the objects concerned. */
  readonly evidence: readonly string[];
  /** Accesses that prove it, explored runs only: the one that shows the bug last. */
  readonly accesses?: readonly AccessSite[];
}

export interface Finding extends Violation {
  /** Hash of kind and signature: the same bug has the same id on every machine. */
  readonly id: string;
  /** The catalogued bug whose rules were switched on and whose expected kind this is, with its reference. */
  readonly bug?: string;
  readonly reference?: string;
  /** One command that reproduces it. */
  readonly reproduce: string;
}

/** Id of a violation. */
export function findingId(violation: Violation): string {
  return stableHash(`${violation.kind}\n${violation.signature}`);
}

/** Turns a violation into a finding of a run. */
export function makeFinding(
  violation: Violation,
  run: { readonly reproduce: string; readonly bug?: string | undefined; readonly reference?: string | undefined },
): Finding {
  return {
    ...violation,
    id: findingId(violation),
    ...(run.bug === undefined ? {} : { bug: run.bug }),
    ...(run.reference === undefined ? {} : { reference: run.reference }),
    reproduce: run.reproduce,
  };
}
