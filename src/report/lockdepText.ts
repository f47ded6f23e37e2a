/**
 * Lockdep's reports in the kernel's layout, so that whoever has read one in a kernel log can read ours: headline between
 * rules, who wants what and holds what, the chain in reverse, the unsafe scenario, held locks, stack. A place is
 * `function (file:line)`; the numbers in front of locks are word indexes into the arena.
 */

import { CLASS_NONE, LOCK_CLASSES } from '../layout/lockClass.ts';
import type { DependencyLine, LockLine, LockdepReport } from '../lockdep/report.ts';
import { callerFrame } from '../lockdep/trace.ts';
import { heldList } from './lockdepHeld.ts';
import { fitLine, framePlace, lockText, taskName, type OpNames } from './lockdepLines.ts';

export interface LockdepTextOptions {
  /** What ran: version, kernel preset, seed. */
  readonly banner: string;
  readonly opNames?: OpNames;
}

/** The whole report, no line longer than 120 columns. */
export function lockdepText(report: LockdepReport, options: LockdepTextOptions): string[] {
  const headline = headlineOf(report);
  const rule = (character: string): string => character.repeat(headline.length);
  const body = lockdepBody(report, options.opNames);
  return ['', rule('='), headline, options.banner, rule('-'), ...body].map(fitLine);
}

/** The report without its head: what a finding carries as evidence. */
export function lockdepBody(report: LockdepReport, opNames?: OpNames): string[] {
  const who = taskName(report.task, report.op, opNames);
  const held = heldList(report.held, who, report.rcuNesting);
  // The kernel leaves the stack out when it returns to user space: it would show nothing but that.
  const stack = report.kind === 'user-return' ? [] : ['', 'stack backtrace:', ...indented(report.stack, 1)];
  return [...particulars(report, who), ...held, ...stack].map(fitLine);
}

function headlineOf(report: LockdepReport): string {
  switch (report.kind) {
    case 'circular':
      return 'WARNING: possible circular locking dependency detected';
    case 'instance-order':
      return 'WARNING: possible circular locking dependency between locks of one class';
    case 'recursive':
      return 'WARNING: possible recursive locking detected';
    case 'nested-lock':
      return 'WARNING: Nested lock was not taken';
    case 'wait-context':
      return '[ BUG: Invalid wait context ]';
    case 'sleeping-function':
      return `BUG: sleeping function called from invalid context at ${placeOf(report.stack)}`;
    case 'unlock-imbalance':
      return 'WARNING: bad unlock balance detected!';
    case 'held-lock-freed':
      return 'WARNING: held lock freed!';
    case 'user-return':
      return 'WARNING: lock held when returning to user space!';
    case 'capacity':
      return `BUG: ${report.detail} too low!`;
  }
}

/** What stands between the head and the list of held locks. */
function particulars(report: LockdepReport, who: string): string[] {
  const lock = report.lock === undefined ? [] : [lockText(report.lock)];
  const other = report.other === undefined ? [] : [lockText(report.other)];
  const otherInfo = ['', 'other info that might help us debug this:'];
  switch (report.kind) {
    case 'circular':
    case 'instance-order':
      return circular(report, who);
    case 'recursive':
      return [
        `${who} is trying to acquire lock:`,
        ...lock,
        '',
        `but task is already holding ${report.detail ?? 'lock'}:`,
        ...other,
        ...otherInfo,
        ...recursionScenario(report.other!, report.lock!),
      ];
    case 'nested-lock':
      return [
        `${who} is trying to lock:`,
        ...lock,
        '',
        'but this task is not holding:',
        lockName(report.other!),
        '',
        'stack backtrace:',
        ...indented(report.stack, 1),
        ...otherInfo,
      ];
    case 'wait-context':
      return [`${who} is trying to lock:`, ...lock, ...otherInfo, contextLine(report)];
    case 'sleeping-function':
      return [
        `${who} calls ${report.detail}, which may sleep`,
        `preempt_count: ${report.preemptCount}, expected: 0`,
        `RCU nest depth: ${report.rcuNesting}, expected: 0`,
      ];
    case 'unlock-imbalance':
      return [
        `${who} is trying to ${report.detail} lock (${lockName(report.lock!)}) at:`,
        placeOf(report.stack),
        'but there are no more locks to release!',
        ...otherInfo,
      ];
    case 'held-lock-freed':
      return [`${who} is freeing memory ${report.detail}, with a lock still held there!`, ...lock];
    case 'user-return':
      return [`${who} is leaving the kernel with locks still held!`];
    case 'capacity':
      return ['turning off the locking correctness validator.'];
  }
}

function contextLine(report: LockdepReport): string {
  const context = report.other === undefined ? 3 : report.other.wait;
  return `context-{${context}:${context}}${report.detail === undefined ? '' : ` ${report.detail}`}`;
}

/** The cycle: #0 is the lock wanted now, the last one the lock held now. */
function circular(report: LockdepReport, who: string): string[] {
  const cycle = report.cycle!;
  const chain = cycle.map((dependency, i) => chainEntry(dependency, i)).reverse();
  const between = cycle.slice(1, -1).map(({ to }) => to);
  const path = [report.lock!.name, ...between, report.other!.name].join(' --> ');
  return [
    `${who} is trying to acquire lock:`,
    lockText(report.lock!),
    '',
    'but task is already holding lock:',
    ...(report.other === undefined ? [] : [lockText(report.other)]),
    '',
    'which lock already depends on the new lock.',
    '',
    '',
    'the existing dependency chain (in reverse order) is:',
    ...chain.flat(),
    '',
    'other info that might help us debug this:',
    ...(cycle.length > 2 ? ['', 'Chain exists of:', `  ${path}`] : []),
    ...circularScenario(report, cycle),
  ];
}

function chainEntry(
  { to, usage, wait, trace, toLock, from, fromLock, heldTrace, task }: DependencyLine,
  i: number,
): string[] {
  const name = toLock === undefined ? to : `${to} ${hexOf(toLock)}`;
  const held = fromLock === undefined ? from : `${from} ${hexOf(fromLock)}`;
  const holding = `       while holding ${held}, taken at ${placeOf(heldTrace)} (task ${task})`;
  return ['', `-> #${i} (${name}){${usage}}-{${wait}:${wait}}:`, ...indented(trace, 7), holding];
}

const SECOND_CPU = 31;
const SCENARIO_HEAD = ['', ' Possible unsafe locking scenario:', ''];
const DEADLOCK = ['', ' *** DEADLOCK ***', ''];

function circularScenario(report: LockdepReport, cycle: readonly DependencyLine[]): string[] {
  const [wanted, held] = [report.lock!, report.other!];
  const isInstances = report.kind === 'instance-order';
  const name = (line: LockLine): string => (isInstances ? `${line.name} ${hexOf(line.lock)}` : line.name);
  const next = cycle[cycle.length - 1];
  const middle = isInstances ? `${next.from} ${hexOf(next.fromLock!)}` : next.from;
  const right = ' '.repeat(SECOND_CPU);
  return [
    ...SCENARIO_HEAD,
    '       CPU0                    CPU1',
    '       ----                    ----',
    `  ${verb(held)}(${name(held)});`,
    `${right}lock(${middle});`,
    `${right}lock(${name(held)});`,
    `  ${verb(wanted)}(${name(wanted)});`,
    ...DEADLOCK,
  ];
}

function recursionScenario(held: LockLine, wanted: LockLine): string[] {
  return [
    ...SCENARIO_HEAD,
    '       CPU0',
    '       ----',
    `  ${verb(held)}(${held.name});`,
    `  ${verb(wanted)}(${wanted.name});`,
    ...DEADLOCK,
    ' May be due to missing lock nesting notation',
    '',
  ];
}

function verb({ read }: LockLine): string {
  return read === 0 ? 'lock' : 'rlock';
}

/** Class of a lock of which only the address may be known. */
function lockName({ name, lock }: LockLine): string {
  return name === LOCK_CLASSES[CLASS_NONE].name ? hexOf(lock) : name;
}

function hexOf(address: number): string {
  return `0x${address.toString(16).padStart(8, '0')}`;
}

function placeOf(trace: readonly string[]): string {
  const frame = callerFrame(trace);
  return frame === undefined ? '(place unknown)' : framePlace(frame);
}

function indented(trace: readonly string[], columns: number): string[] {
  return (trace.length === 0 ? ['(place unknown)'] : trace.map(framePlace)).map((line) => ' '.repeat(columns) + line);
}
