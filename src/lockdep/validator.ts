/** What the parts of lockdep share for one thread: the section, names, and how reports are made, once each. */

import { stableHash } from '../base/stableHash.ts';
import type { AcquireMode } from '../cpu/hooks.ts';
import type { Task } from '../cpu/task.ts';
import type { LockClassId } from '../layout/ids.ts';
import { TASK } from '../layout/task.ts';
import { NO_CHAIN } from './chainCache.ts';
import { heldLines, lockLine, type Names } from './describe.ts';
import type { LockIdentity } from './lockIdentity.ts';
import type { LockLine, LockdepKind, LockdepReport } from './report.ts';
import { MAX_REPORTS, SECTION, lockSection, unlockSection, type LockdepSection } from './section.ts';

export interface Validator extends Names {
  readonly identity: LockIdentity;
  /** Whether orders between instances of one class are checked, which the kernel does not do. */
  readonly instances: boolean;
}

/** One acquire on its way through the rules. */
export interface Acquire {
  readonly task: Task;
  readonly lock: number;
  readonly cls: LockClassId;
  readonly mode: AcquireMode;
  /** Chain below, and code of the nest lock (chainCache.ts). */
  readonly below: number;
  readonly nest: number;
}

/** Runs `body` under the raw lock. Reports are made inside and handed out by the caller afterwards. */
export function withSection<Result>(section: LockdepSection, body: () => Result): Result {
  lockSection(section);
  try {
    return body();
  } finally {
    unlockSection(section);
  }
}

/** True once a limit was hit. */
export function isOff({ heap, base }: LockdepSection): boolean {
  return heap[base + SECTION.off] !== 0;
}

/** The lock an acquire wants, as a report shows it. */
export function wantedLine(validator: Validator, acquire: Acquire, trace: readonly string[]): LockLine {
  const { lock, cls, mode, task } = acquire;
  return lockLine(validator, { lock, cls, ...mode, op: currentOp(task), chain: NO_CHAIN, more: 0 }, trace);
}

/** A lock of which only the address is known, as a report shows it. */
export function unknownLine(validator: Validator, task: Task, lock: number, trace: readonly string[]): LockLine {
  const mode: AcquireMode = { subclass: 0, read: 0, trylock: false, nestLock: 0 };
  const cls = validator.identity.classAt(lock);
  return lockLine(validator, { lock, cls, ...mode, op: currentOp(task), chain: NO_CHAIN, more: 0 }, trace);
}

function currentOp(task: Task): number {
  return task.heap[task.ptr + TASK.op];
}

type Particulars = Pick<LockdepReport, 'lock' | 'other' | 'cycle' | 'detail'>;

/** Where the task is. Captured only for a report that is made. */
export type LazyTrace = () => readonly string[];

/**
 * The report, unless its like was made before by any thread: the same kind about the same classes.
 * @locked the section
 */
export function reportOnce(
  validator: Validator,
  task: Task,
  kind: LockdepKind,
  classes: readonly string[],
  trace: LazyTrace,
  particulars: (stack: readonly string[]) => Particulars,
): LockdepReport | null {
  if (!isFirst(validator.section, [kind, ...classes].join('\n'))) return null;
  const stack = trace();
  return {
    kind,
    task: task.id,
    op: currentOp(task),
    rcuNesting: task.heap[task.ptr + TASK.rcuNesting],
    preemptCount: task.preemptCount,
    held: heldLines(validator, task.ptr),
    stack,
    ...particulars(stack),
  };
}

/** Turns lockdep off because `limit` was reached, and says so once. @locked the section */
export function turnOff(validator: Validator, task: Task, limit: string, trace: LazyTrace): LockdepReport | null {
  const { heap, base } = validator.section;
  if (isOff(validator.section)) return null;
  heap[base + SECTION.off] = 1;
  return reportOnce(validator, task, 'capacity', [limit], trace, () => ({ detail: limit }));
}

/** Remembers a signature by its hash. False when it is known, or when no more reports are taken. */
function isFirst({ heap, base, reports }: LockdepSection, signature: string): boolean {
  const hash = Number.parseInt(stableHash(signature), 16) | 0;
  const count = heap[base + SECTION.reportCount];
  if (count === MAX_REPORTS || heap.subarray(reports, reports + count).includes(hash)) return false;
  heap[reports + count] = hash;
  heap[base + SECTION.reportCount] = count + 1;
  return true;
}
