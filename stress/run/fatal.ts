/** Which findings end a stress run. */

import { isPrediction, type FindingKind } from '../../src/base/finding.ts';

/** True when the state of the machine is wrong once this was found; after a prediction the run goes on. */
export function isFatal(kind: FindingKind): boolean {
  return !isPrediction(kind);
}
