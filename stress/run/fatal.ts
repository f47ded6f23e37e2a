/** Which findings end a stress run. */

import type { FindingKind } from '../../src/base/finding.ts';

/** What lockdep says, or a write without its lock, is a prediction; the machine is still sound and the run goes on. */
const PREDICTIONS: readonly FindingKind[] = [
  'lock-order',
  'lock-recursion',
  'sleep-in-atomic',
  'lock-held',
  'data-race',
];

/** True when the state of the machine is wrong once this was found. */
export function isFatal(kind: FindingKind): boolean {
  return !PREDICTIONS.includes(kind);
}
