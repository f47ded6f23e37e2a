/** From a report of lockdep to the form that all detectors share. */

import { assertNever } from '../base/assert.ts';
import type { FindingKind, Violation } from '../base/finding.ts';
import type { LockdepKind, LockdepReport } from '../lockdep/report.ts';
import { callerFunctions } from '../lockdep/trace.ts';
import type { OpNames } from './lockdepLines.ts';
import { lockdepBody } from './lockdepText.ts';

const FINDING_KIND: Record<LockdepKind, FindingKind> = {
  circular: 'lock-order',
  'instance-order': 'lock-order',
  recursive: 'lock-recursion',
  'nested-lock': 'lock-balance',
  'wait-context': 'sleep-in-atomic',
  'sleeping-function': 'sleep-in-atomic',
  'unlock-imbalance': 'lock-balance',
  'held-lock-freed': 'lock-balance',
  'user-return': 'lock-balance',
  capacity: 'assertion',
};

/**
 * The violation of a report. Its signature is the kind and the classes: which end of a cycle is seen last, and by which
 * function, depends on the schedule. Orders of instances have one class only, so there the functions count.
 */
export function lockdepViolation(report: LockdepReport, opNames?: OpNames): Violation {
  return {
    kind: FINDING_KIND[report.kind],
    title: titleOf(report),
    signature: `${report.kind}: ${signatureOf(report)}`,
    evidence: lockdepBody(report, opNames),
  };
}

function titleOf(report: LockdepReport): string {
  const lock = report.lock?.name ?? '';
  const other = report.other?.name ?? report.detail ?? '';
  switch (report.kind) {
    case 'circular':
      return `possible circular locking: ${cycleText(report)}`;
    case 'instance-order':
      return `two locks of class ${report.cycle![0].from} are taken in either order`;
    case 'recursive':
      return `possible recursive locking: ${lock} is taken while ${other} is held`;
    case 'nested-lock':
      return `${lock} is taken under a nest lock that is not held`;
    case 'wait-context':
      return `${lock} sleeps, and is taken ${report.other === undefined ? other : `inside ${other}`}`;
    case 'sleeping-function':
      return `${report.detail} may sleep, and is called ${report.other === undefined ? 'in atomic context' : `inside ${other}`}`;
    case 'unlock-imbalance':
      return `bad unlock balance: ${report.detail} of ${lock}, which the task does not hold that way`;
    case 'held-lock-freed':
      return `memory is freed with ${lock} held in it`;
    case 'user-return':
      return `an operation ends with ${heldNames(report)} still held`;
    case 'capacity':
      return `lockdep turned itself off: ${report.detail} too low`;
    default:
      return assertNever(report.kind);
  }
}

function signatureOf(report: LockdepReport): string {
  if (report.kind === 'circular') return cycleText(report);
  if (report.kind === 'instance-order') {
    const traces = report.cycle!.map(({ trace }) => trace);
    return [report.cycle![0].from, ...callerFunctions(traces)].join(', ');
  }
  const parts = [report.other?.name, report.lock?.name, report.kind === 'held-lock-freed' ? undefined : report.detail];
  const held = report.kind === 'user-return' ? [heldNames(report)] : [];
  return [...parts.filter((part) => part !== undefined), ...held].join(', ');
}

function heldNames({ held, rcuNesting }: LockdepReport): string {
  const names = [...held.map(({ name }) => name), ...(rcuNesting > 0 ? ['the RCU read side'] : [])];
  return names.join(', ');
}

/** The classes of a cycle in order, beginning with the first by name: the same from wherever it was closed. */
function cycleText({ cycle = [] }: LockdepReport): string {
  const names = cycle.map(({ from }) => from);
  const first = names.indexOf(names.toSorted()[0]);
  const rotated = [...names.slice(first), ...names.slice(0, first)];
  return [...rotated, rotated[0]].join(' -> ');
}
