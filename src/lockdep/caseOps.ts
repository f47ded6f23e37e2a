/**
 * The operations of lock-sequence cases: `["family.verb", lock, ...arguments]`. Four families are simulated; the others
 * are known by name, so that a case that uses them is told from one with a misspelt operation.
 */

/** One operation, ready to run. Locks are scoped by family: `spin:A` and `mutex:A` are two locks. */
export type CaseOp =
  | {
      readonly verb: 'lock';
      readonly lock: string;
      readonly access: 'exclusive' | 'reader' | 'rwlockReader';
      readonly trylock: boolean;
      readonly subclass: number;
      readonly nestLock: string | null;
    }
  | { readonly verb: 'unlock' | 'init' | 'downgrade'; readonly lock: string }
  | { readonly verb: 'failedTrylock' | 'returnToUser' }
  | { readonly verb: 'unsupported'; readonly feature: string };

/** What is wrong with an operation of a case. */
export class MalformedOp extends Error {
  override name = 'MalformedOp';
}

/** Families whose locks only have one way to be held, and those with readers. */
const EXCLUSIVE_FAMILIES = ['spin', 'mutex'];
const READER_FAMILIES = ['rwlock', 'rsem'];
const LOCK_FAMILIES: readonly string[] = [...EXCLUSIVE_FAMILIES, ...READER_FAMILIES];

/** Families of the kernel's self-tests that need state this validator does not keep. */
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ['irq', 'interrupt state'],
  ['bh', 'interrupt state'],
  ['hardirq', 'interrupt state'],
  ['softirq', 'interrupt state'],
  ['raw', 'raw spinlocks'],
  ['rtmutex', 'rt_mutex'],
  ['local', 'local_lock'],
  ['rcu', 'RCU pseudo-locks'],
  ['rcu_bh', 'RCU pseudo-locks'],
  ['rcu_sched', 'RCU pseudo-locks'],
  ['reclaim', 'the reclaim pseudo-lock'],
  ['ww', 'wound/wait mutexes'],
  ['dep', 'bare validator calls'],
]);

const VERB = /^(?:(read|write)_)?(lock|trylock|unlock|init|downgrade)(?:_(nested|nest))?$/;
const MAX_SUBCLASS = 7;

/** Reads one operation. @throws MalformedOp */
export function readOp(op: readonly unknown[]): CaseOp {
  const [name, ...rest] = op;
  if (typeof name !== 'string') throw new MalformedOp('the name of the operation is not text');
  const [family = '', verb = ''] = name.split('.', 2);
  const feature = UNSUPPORTED.get(family);
  if (feature !== undefined && /^\w+$/.test(verb)) return { verb: 'unsupported', feature };
  const { args, result } = splitResult(rest);
  if (name === 'task.return_to_user') {
    expectCount(name, args, 0);
    return { verb: 'returnToUser' };
  }
  return readLockOp(name, family, verb, args, result);
}

/** A trailing `{"ret": ...}` says what the operation returned. */
function splitResult(rest: readonly unknown[]): { args: readonly unknown[]; result: unknown } {
  const last = rest.at(-1);
  if (typeof last !== 'object' || last === null) return { args: rest, result: undefined };
  const { ret } = last as { ret?: unknown };
  if (typeof ret !== 'number' && typeof ret !== 'boolean') throw new MalformedOp('the result is not {"ret": number}');
  return { args: rest.slice(0, -1), result: ret };
}

function readLockOp(name: string, family: string, verb: string, args: readonly unknown[], result: unknown): CaseOp {
  const [, access, action, nesting] = VERB.exec(verb) ?? [];
  if (action === undefined || !LOCK_FAMILIES.includes(family) || !fits(family, access, action, nesting)) {
    throw new MalformedOp(`unknown operation '${name}'`);
  }
  expectCount(name, args, nesting === undefined ? 1 : 2);
  const lock = `${family}:${lockName(args[0])}`;
  if (action !== 'lock' && action !== 'trylock') return { verb: action as 'unlock' | 'init' | 'downgrade', lock };
  if (action === 'trylock' && (result === 0 || result === false)) return { verb: 'failedTrylock' };
  return {
    verb: 'lock',
    lock,
    access: access !== 'read' ? 'exclusive' : family === 'rwlock' ? 'rwlockReader' : 'reader',
    trylock: action === 'trylock',
    subclass: nesting === 'nested' ? subclassOf(args[1]) : 0,
    nestLock: nesting === 'nest' ? scopedLock(args[1]) : null,
  };
}

/** Locks an operation names. */
export function locksOf(op: CaseOp): string[] {
  if (!('lock' in op)) return [];
  return op.verb === 'lock' && op.nestLock !== null ? [op.lock, op.nestLock] : [op.lock];
}

/** Whether the family has the verb: readers and writers are named where there are both, and only there. */
function fits(family: string, access: string | undefined, action: string, nesting: string | undefined): boolean {
  if (nesting !== undefined && action !== 'lock') return false;
  if (action === 'init') return access === undefined;
  if (action === 'downgrade') return access === undefined && family === 'rsem';
  return (access !== undefined) === READER_FAMILIES.includes(family);
}

function expectCount(name: string, args: readonly unknown[], count: number): void {
  if (args.length !== count) throw new MalformedOp(`'${name}' takes ${count} arguments, not ${args.length}`);
}

function lockName(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new MalformedOp('the name of the lock is not text');
  return value;
}

function scopedLock(value: unknown): string {
  const [, family] = typeof value === 'string' ? (/^(\w+):./s.exec(value) ?? []) : [];
  if (family === undefined || !LOCK_FAMILIES.includes(family)) {
    throw new MalformedOp(`the nest lock is not family:name with a family of ${LOCK_FAMILIES.join(', ')}`);
  }
  return value as string;
}

function subclassOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > MAX_SUBCLASS) {
    throw new MalformedOp(`the subclass is not a whole number from 0 to ${MAX_SUBCLASS}`);
  }
  return value;
}
