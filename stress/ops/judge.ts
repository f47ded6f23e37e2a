/** An access whose outcome is not the one the lane's owner must get. */

import type { Violation } from '../../src/base/finding.ts';
import { processNumber, type ProcessTable, type Slot } from '../processTable.ts';
import { NO_ACCESS, READABLE, READ_ONLY, UNMAPPED, type PageState } from '../shadow.ts';

/** A fault where there must be none, or none where there must be one. */
export function accessViolation(
  table: ProcessTable,
  slot: Slot,
  page: number,
  state: PageState,
  result: number,
): Violation {
  const outcome = result === 0 ? 'an access succeeds' : 'an access faults';
  return {
    kind: 'vma-tree',
    title: `page ${page} of process ${processNumber(table, slot)} is ${describeState(state)}, but ${outcome}`,
    signature: `${outcome} in a page that is ${describeState(state)}`,
    evidence: [],
  };
}

function describeState(state: PageState): string {
  if (state === UNMAPPED) return 'unmapped';
  if (state === NO_ACCESS) return 'mapped without access';
  if (state === READABLE) return 'mapped readable';
  return state === READ_ONLY ? 'mapped read-only' : 'mapped writable';
}
