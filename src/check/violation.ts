/** What all detectors at hooks share: how a violation is made, where it goes, what is counted. */

import type { Violation } from '../base/finding.ts';

/** Receives what a hook found, at the moment it is true. */
export type ViolationSink = (violation: Violation) => void;

/** Counts that a check ran. */
export type Count = (name: string) => void;

/** A violation without evidence. */
export function simple(kind: Violation['kind'], title: string, signature: string): Violation {
  return { kind, title, signature, evidence: [] };
}

/** Passes each signature on once: for checks that would say the same thing at every write. */
export function onceEach(sink: ViolationSink): ViolationSink {
  const said = new Set<string>();
  return (violation) => {
    if (said.has(violation.signature)) return;
    said.add(violation.signature);
    sink(violation);
  };
}
