/** From what lockdep stores to what a report says: names of classes, lines for locks and dependencies. */

import type { LockClass } from '../layout/lockClass.ts';
import type { LockClassId, TaskPtr } from '../layout/ids.ts';
import { chainTrace } from './chainCache.ts';
import { USED_READ, USED_WRITE, edgeWord, nodeClass, nodeOf, nodeSubclass, nodeUsage } from './classGraph.ts';
import { CHAIN_MASK, heldLocks, type HeldLock } from './heldStack.ts';
import type { InstanceEdge } from './instanceOrder.ts';
import type { DependencyLine, LockLine } from './report.ts';
import { EDGE, type LockdepSection } from './section.ts';
import { readTrace } from './textPool.ts';

/** Wait types as lockdep numbers them: LD_WAIT_CONFIG for spinlocks, LD_WAIT_SLEEP. */
export const WAIT_CONFIG = 3;
export const WAIT_SLEEP = 4;

/** The section and the class table that gives it names. */
export interface Names {
  readonly section: LockdepSection;
  readonly classes: readonly LockClass[];
}

/** `&mm->mmap_lock`, `ptlock_ptr(pte)/1`. */
export function className({ classes }: Names, cls: LockClassId, subclass: number): string {
  const name = classes[cls]?.name ?? `class ${cls}`;
  return subclass === 0 ? name : `${name}/${subclass}`;
}

/** Name of a node's class. */
export function nodeName(names: Names, node: number): string {
  return className(names, nodeClass(names.section, node), nodeSubclass(names.section, node));
}

/** What a lock of the class allows inside, and where it may be taken itself. */
export function waitTypeOf({ classes }: Names, cls: LockClassId): number {
  return classes[cls]?.wait === 'spin' ? WAIT_CONFIG : WAIT_SLEEP;
}

/** Trace of a place word. */
export function placeTrace({ section }: Names, place: number): string[] {
  return readTrace(section, chainTrace(section, place & CHAIN_MASK));
}

/** Line of a lock. `trace` defaults to where its chain was first seen. */
export function lockLine(names: Names, held: HeldLock, trace?: readonly string[]): LockLine {
  const { section } = names;
  return {
    lock: held.lock,
    name: className(names, held.cls, held.subclass),
    usage: usageChars(nodeUsage(section, nodeOf(section, held.cls, held.subclass))),
    wait: waitTypeOf(names, held.cls),
    read: held.read,
    trylock: held.trylock,
    op: held.op,
    trace: trace ?? readTrace(section, chainTrace(section, held.chain)),
    more: held.more,
  };
}

/** Every lock a task holds, oldest first. From any thread: the watchdog prints these. */
export function heldLines(names: Names, task: TaskPtr): LockLine[] {
  return heldLocks(names.section, task).map((held) => lockLine(names, held));
}

/** A dependency's ends: `from` is held, `to` is taken inside it. Nodes of the class graph. */
export function dependencyLine(
  names: Names,
  from: number,
  to: number,
  origin: Pick<DependencyLine, 'task' | 'trace' | 'heldTrace'>,
): DependencyLine {
  const { section } = names;
  return {
    from: nodeName(names, from),
    to: nodeName(names, to),
    usage: usageChars(nodeUsage(section, to)),
    wait: waitTypeOf(names, nodeClass(section, to)),
    ...origin,
  };
}

/** Line of an edge of the class graph. */
export function edgeLine(names: Names, edge: number): DependencyLine {
  const { section } = names;
  return dependencyLine(names, edgeWord(section, edge, EDGE.from), edgeWord(section, edge, EDGE.to), {
    task: edgeWord(section, edge, EDGE.task),
    trace: readTrace(section, edgeWord(section, edge, EDGE.trace)),
    heldTrace: placeTrace(names, edgeWord(section, edge, EDGE.heldPlace)),
  });
}

/** Line of an order of instances of one class. */
export function instanceLine(names: Names, cls: LockClassId, edge: InstanceEdge): DependencyLine {
  const node = nodeOf(names.section, cls, 0);
  return {
    ...dependencyLine(names, node, node, {
      task: edge.task,
      trace: placeTrace(names, edge.placeB),
      heldTrace: placeTrace(names, edge.placeA),
    }),
    from: className(names, cls, 0),
    to: className(names, cls, 0),
    fromLock: edge.lockA,
    toLock: edge.lockB,
  };
}

/**
 * The kernel's four characters are write and read in hard and soft interrupts. Nothing is ever taken in an interrupt here,
 * and all with interrupts on, so they come in equal pairs.
 */
function usageChars(usage: number): string {
  const pair = ((usage & USED_WRITE) !== 0 ? '+' : '.') + ((usage & USED_READ) !== 0 ? '+' : '.');
  return pair + pair;
}
