/** Operations that the simulated kernel does not have yet. A case that needs one is not run at all. */

import type { Action, TraceCase } from './traceFormat.ts';

export interface MissingOperation {
  readonly op: string;
  readonly reason: string;
}

/** None at present. */
const MISSING_OPS: Partial<Record<Action['op'], string>> = {};

/** The first operation of a case that is missing, or null when the case can be run. */
export function findMissingOperation({ steps }: TraceCase): MissingOperation | null {
  for (const { action } of steps) {
    const reason = missingReason(action);
    if (reason !== null) return { op: action.op, reason };
  }
  return null;
}

/** Why an action cannot be simulated, or null. */
export function missingReason(action: Action): string | null {
  return MISSING_OPS[action.op] ?? null;
}
