/**
 * What is checked when a chain is seen for the first time, in the kernel's order: wait types, nest lock, recursion, then
 * one new edge per held lock that no other edge speaks for.
 *
 * Kernel: __lock_acquire(), validate_chain(), check_deadlock(), check_prevs_add(). Where ours differ: an edge is also added
 * past a recursive reader (a path through it need not be strong), and what is wrong is reported each time it is new.
 */

import { CLASS_NONE } from '../layout/lockClass.ts';
import { NEST_NOT_HELD, NO_CHAIN, addChain, chainTrace, chainWord, findChain } from './chainCache.ts';
import {
  addEdge,
  addNode,
  edgeBetween,
  edgeKind,
  edgeKinds,
  findClosingPath,
  nodeOf,
  noteUsage,
} from './classGraph.ts';
import { WAIT_CONFIG, WAIT_SLEEP, dependencyLine, edgeLine, lockLine, waitTypeOf } from './describe.ts';
import { heldLocks, packPlace, type HeldLock } from './heldStack.ts';
import type { DependencyLine, LockLine, LockdepKind, LockdepReport } from './report.ts';
import { internTrace, readTrace } from './textPool.ts';
import { isOff, reportOnce, turnOff, unknownLine, wantedLine, type Acquire, type Validator } from './validator.ts';

/** What learning a chain led to. */
export interface Learned {
  /** NO_CHAIN once lockdep is off. */
  readonly chain: number;
  readonly reports: readonly LockdepReport[];
}

/** One new chain while it is checked. */
interface NewChain {
  readonly validator: Validator;
  readonly acquire: Acquire;
  readonly node: number;
  readonly held: readonly HeldLock[];
  readonly frames: readonly string[];
  /** Number of the frames in the text pool. */
  readonly trace: number;
  readonly reports: LockdepReport[];
}

/**
 * Learns the chain of an acquire and checks it. The trace is stored with the chain.
 * @locked the section
 */
export function learnChain(validator: Validator, acquire: Acquire, frames: readonly string[]): Learned {
  const { section } = validator;
  const { task, cls, mode } = acquire;
  if (isOff(section)) return { chain: NO_CHAIN, reports: [] };
  const reports: LockdepReport[] = [];
  const overflow = (limit: string): Learned => {
    const report = turnOff(validator, task, limit, () => frames);
    return { chain: NO_CHAIN, reports: report === null ? reports : [...reports, report] };
  };
  const node = nodeOf(section, cls, mode.subclass) || addNode(section, cls, mode.subclass);
  if (node === 0) return overflow('MAX_LOCKDEP_KEYS');
  const word = chainWord(acquire.below, node, acquire.nest, mode.read, mode.trylock);
  const known = findChain(section, word);
  if (known !== NO_CHAIN) return { chain: known, reports };
  const held = heldLocks(section, task.ptr);
  const trace = internTrace(section, frames);
  const fresh: NewChain = { validator, acquire, node, held, frames, trace, reports };
  noteUsage(section, node, mode.read, trace);
  if (cls !== CLASS_NONE && !checkChain(fresh)) return overflow('MAX_LOCKDEP_ENTRIES');
  const sameClass = cls !== CLASS_NONE && held.some((other) => other.cls === cls);
  const chain = addChain(section, word, trace, sameClass);
  return chain === NO_CHAIN ? overflow('MAX_LOCKDEP_CHAINS') : { chain, reports };
}

/** The rules of one chain. False when the graph is full. */
function checkChain(fresh: NewChain): boolean {
  const { acquire, held } = fresh;
  const { mode } = acquire;
  if (!mode.trylock) checkWaitType(fresh);
  if (acquire.nest === NEST_NOT_HELD) {
    raise(fresh, 'nested-lock', unknownLine(fresh.validator, acquire.task, mode.nestLock, []));
    return true;
  }
  if (mode.trylock) return true;
  const recursion = findRecursion(acquire, held);
  if (recursion === null) return addDependencies(fresh);
  if (recursion !== 'nested') raise(fresh, 'recursive', lockLine(fresh.validator, recursion));
  return true;
}

/** A lock that sleeps inside one that spins. */
function checkWaitType(fresh: NewChain): void {
  const { validator, acquire, held } = fresh;
  if (waitTypeOf(validator, acquire.cls) !== WAIT_SLEEP) return;
  const spinning = held.findLast(({ cls }) => cls !== CLASS_NONE && waitTypeOf(validator, cls) === WAIT_CONFIG);
  if (spinning !== undefined) raise(fresh, 'wait-context', lockLine(validator, spinning));
}

/**
 * The held lock of the same class and subclass that makes an acquire recursive; 'nested' when there is one but the nest
 * lock, held below it, orders the two; null when there is none.
 */
function findRecursion({ cls, mode }: Acquire, held: readonly HeldLock[]): HeldLock | 'nested' | null {
  let nestHeld = false;
  for (const other of held) {
    if (mode.nestLock !== 0 && other.lock === mode.nestLock) nestHeld = true;
    if (other.cls !== cls || other.subclass !== mode.subclass) continue;
    if (mode.read === 2 && other.read !== 0) continue;
    return nestHeld ? 'nested' : other;
  }
  return null;
}

/** Adds the edges from the held locks, newest first. False when the graph is full. */
function addDependencies(fresh: NewChain): boolean {
  const { validator, node, held } = fresh;
  for (const other of held.toReversed()) {
    const from = nodeOf(validator.section, other.cls, other.subclass);
    // A held lock without a node was taken while lockdep was off.
    if (other.cls === CLASS_NONE || from === 0) continue;
    if (from !== node && !addDependency(fresh, other, from)) return false;
    // The locks below wait for this one already, so paths through it speak for them: unless it was taken by trylock, or
    // as recursive reader, where such a path may not be strong.
    if (!other.trylock && other.read !== 2) break;
  }
  return true;
}

/** One edge: known, new, or reported because it closes a cycle. False when the graph is full. */
function addDependency(fresh: NewChain, held: HeldLock, from: number): boolean {
  const { validator, acquire, node, trace, frames } = fresh;
  const { section } = validator;
  const kind = edgeKind(held.read, acquire.mode.read);
  if ((edgeKinds(section, edgeBetween(section, from, node)) & kind) !== 0) return true;
  const path = findClosingPath(section, from, node, kind);
  const task = acquire.task.id;
  if (path === null) {
    return addEdge(section, from, node, kind, { trace, heldPlace: packPlace(held.chain, held.op), task });
  }
  const heldTrace = readTrace(section, chainTrace(section, held.chain));
  const closing = dependencyLine(validator, from, node, { task, trace: frames, heldTrace });
  raise(fresh, 'circular', lockLine(validator, held), [closing, ...path.map((edge) => edgeLine(validator, edge))]);
  return true;
}

/** Reports the acquire, about the lock `other`. */
function raise(
  { validator, acquire, frames, reports }: NewChain,
  kind: LockdepKind,
  other: LockLine,
  cycle?: readonly DependencyLine[],
): void {
  const lock = wantedLine(validator, acquire, frames);
  const particulars = { lock, other, ...(cycle !== undefined && { cycle }) };
  const { task } = acquire;
  const report = reportOnce(
    validator,
    task,
    kind,
    [other.name, lock.name],
    () => frames,
    () => particulars,
  );
  if (report !== null) reports.push(report);
}
