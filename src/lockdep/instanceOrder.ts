/**
 * Order between lock instances of one class. Classes cannot tell that a walker takes anon_vma 2 before 3 while somebody
 * else takes 3 before 2: the nesting is annotated and lockdep looks away, as the kernel's does. Here each nested acquire
 * of a class also records instance -> instance, annotated or not, and a cycle of instances is reported.
 *
 * Two orders that can never be held at once are no deadlock, so each order carries its gates, the other locks held. Two
 * orders of a cycle exclude each other when they have a gate in common that at least one of them holds exclusively
 * (mm_all_locks_mutex, mmap_lock for write); a cycle counts only when no two of its orders do. For this to be exact an order
 * is recorded from every held lock of the class, not only from the nearest.
 *
 * Orders name objects by address and slab generation, so they die with either of them. A full table forgets what is dead,
 * then everything: an order may be missed, none is invented. Beyond MAX_GATES gates the outermost are kept.
 *
 * Not in the kernel. @locked everything here needs the section's raw lock.
 */

import type { LockClassId, TaskPtr } from '../layout/ids.ts';
import { TASK, taskIdAt } from '../layout/task.ts';
import { HELD, heldAt, modeClass, modeRead } from './heldStack.ts';
import type { LockIdentity } from './lockIdentity.ts';
import { INSTANCE, MAX_GATES, SECTION, type LockdepSection } from './section.ts';

/** Longest cycle looked for, and most orders one search follows: what is found in practice has two or three. */
const MAX_CYCLE = 6;
const MAX_STEPS = 2000;

/** The lock about to be taken inside held locks of its class. */
export interface InstanceAcquire {
  readonly task: TaskPtr;
  readonly lock: number;
  readonly cls: LockClassId;
  readonly place: number;
}

/** One order as data: `lockB` was taken while `lockA` was held. */
export interface InstanceEdge {
  readonly lockA: number;
  readonly lockB: number;
  readonly placeA: number;
  readonly placeB: number;
  readonly task: number;
  /** lock << 1 | held exclusively. */
  readonly gates: readonly number[];
}

/**
 * Records the orders of one acquire. An order that would close a cycle is not recorded.
 * @returns the first such cycle, the new order first, or null
 */
export function learnInstances(
  section: LockdepSection,
  identity: LockIdentity,
  next: InstanceAcquire,
): InstanceEdge[] | null {
  const { heap } = section;
  const { task, lock, cls } = next;
  const count = heap[task + TASK.heldCount];
  let cycle: InstanceEdge[] | null = null;
  for (let index = 0; index < count; index++) {
    const held = heldAt(task, index);
    const mode = heap[held + HELD.mode];
    const lockA = heap[held + HELD.lock];
    if (modeClass(mode) !== cls || modeRead(mode) === 2 || lockA === lock) continue;
    const edge: InstanceEdge = {
      lockA,
      lockB: lock,
      placeA: heap[held + HELD.place],
      placeB: next.place,
      task: taskIdAt(heap, task),
      gates: gatesOf(section, task, index),
    };
    if (isKnown(section, identity, edge)) continue;
    const path = findCycle(section, identity, edge);
    if (path === null) record(section, identity, edge);
    else cycle ??= [edge, ...path];
  }
  return cycle;
}

/** Every held lock but entry `except`, oldest first. */
function gatesOf({ heap }: LockdepSection, task: TaskPtr, except: number): number[] {
  const gates: number[] = [];
  for (let index = 0; index < heap[task + TASK.heldCount]; index++) {
    if (index === except) continue;
    const at = heldAt(task, index);
    gates.push((heap[at + HELD.lock] << 1) | (modeRead(heap[at + HELD.mode]) === 0 ? 1 : 0));
  }
  return gates;
}

/** True when an order with these gates and the recorded one cannot be under way at once. */
function excludes({ heap }: LockdepSection, at: number, gates: readonly number[]): boolean {
  for (let i = 0; i < heap[at + INSTANCE.gateCount]; i++) {
    const gate = heap[at + INSTANCE.gates + i];
    // Same lock, and not both for read: the lowest bit says exclusive.
    if (gates.includes(gate | 1) || ((gate & 1) === 1 && gates.includes(gate & ~1))) return true;
  }
  return false;
}

/**
 * True when the order is recorded with the same gates or fewer: it adds nothing. Forgets on the way what died of the orders
 * from lockA: a slot that is reused at once would grow a long list.
 */
function isKnown(section: LockdepSection, identity: LockIdentity, edge: InstanceEdge): boolean {
  const { heap } = section;
  let link = section.instanceBuckets + bucketOf(section, edge.lockA);
  while (heap[link] !== 0) {
    const at = heap[link];
    const isFromA = heap[at + INSTANCE.lockA] === edge.lockA;
    if (isFromA && !isAlive(section, identity, at)) {
      unlink(section, link);
      continue;
    }
    if (isFromA && heap[at + INSTANCE.lockB] === edge.lockB && hasOnly(section, at, edge.gates)) return true;
    link = at + INSTANCE.next;
  }
  return false;
}

/** True when the recorded order has no gate but these. */
function hasOnly({ heap }: LockdepSection, at: number, gates: readonly number[]): boolean {
  for (let i = 0; i < heap[at + INSTANCE.gateCount]; i++) {
    if (!gates.includes(heap[at + INSTANCE.gates + i])) return false;
  }
  return true;
}

/** Orders that lead from edge.lockB back to edge.lockA, no two of which, nor `edge`, exclude each other. */
function findCycle(section: LockdepSection, identity: LockIdentity, edge: InstanceEdge): InstanceEdge[] | null {
  const { heap } = section;
  let steps = 0;
  const path: InstanceEdge[] = [];
  const walk = (from: number): boolean => {
    for (let at = firstFrom(section, from); at !== 0; at = nextOf(section, at)) {
      if (++steps > MAX_STEPS) return false;
      if (heap[at + INSTANCE.lockA] !== from || !isAlive(section, identity, at)) continue;
      const to = heap[at + INSTANCE.lockB];
      if (path.some(({ lockA }) => lockA === to)) continue;
      if (excludes(section, at, edge.gates) || path.some(({ gates }) => excludes(section, at, gates))) continue;
      path.push(edgeAt(section, at));
      if (to === edge.lockA || (path.length < MAX_CYCLE - 1 && walk(to))) return true;
      path.pop();
    }
    return false;
  };
  return walk(edge.lockB) ? path : null;
}

function record(section: LockdepSection, identity: LockIdentity, edge: InstanceEdge): void {
  const { heap, instanceBuckets } = section;
  const at = allocate(section, identity);
  const bucket = instanceBuckets + bucketOf(section, edge.lockA);
  heap[at + INSTANCE.next] = heap[bucket];
  heap[at + INSTANCE.lockA] = edge.lockA;
  heap[at + INSTANCE.generationA] = identity.generation(edge.lockA);
  heap[at + INSTANCE.lockB] = edge.lockB;
  heap[at + INSTANCE.generationB] = identity.generation(edge.lockB);
  heap[at + INSTANCE.placeA] = edge.placeA;
  heap[at + INSTANCE.placeB] = edge.placeB;
  heap[at + INSTANCE.task] = edge.task;
  const gates = edge.gates.slice(0, MAX_GATES);
  heap[at + INSTANCE.gateCount] = gates.length;
  heap.set(gates, at + INSTANCE.gates);
  heap[bucket] = at;
}

/** A free record: never used, given back, or made by forgetting. */
function allocate(section: LockdepSection, identity: LockIdentity): number {
  const { heap, base, instances, size } = section;
  if (heap[base + SECTION.instanceNext] > size.instances && heap[base + SECTION.instanceFree] === 0) {
    forgetWhere(section, (at) => !isAlive(section, identity, at));
    // Scattered survivors would make the next sweep come soon again.
    if (countFree(section) < size.instances >> 2) {
      forgetWhere(section, () => true);
      heap[base + SECTION.instanceResets]++;
    }
  }
  const free = heap[base + SECTION.instanceFree];
  if (free !== 0) {
    heap[base + SECTION.instanceFree] = heap[free + INSTANCE.next];
    return free;
  }
  return instances + heap[base + SECTION.instanceNext]++ * INSTANCE.words;
}

function forgetWhere(section: LockdepSection, isForgotten: (at: number) => boolean): void {
  const { heap, instanceBuckets, instanceBucketCount } = section;
  for (let bucket = instanceBuckets; bucket < instanceBuckets + instanceBucketCount; bucket++) {
    let link = bucket;
    while (heap[link] !== 0) {
      if (isForgotten(heap[link])) unlink(section, link);
      else link = heap[link] + INSTANCE.next;
    }
  }
}

/** Gives back the record that the word at `link` points to. */
function unlink({ heap, base }: LockdepSection, link: number): void {
  const at = heap[link];
  heap[link] = heap[at + INSTANCE.next];
  heap[at + INSTANCE.next] = heap[base + SECTION.instanceFree];
  heap[base + SECTION.instanceFree] = at;
}

function countFree({ heap, base }: LockdepSection): number {
  let count = 0;
  for (let at = heap[base + SECTION.instanceFree]; at !== 0; at = heap[at + INSTANCE.next]) count++;
  return count;
}

function isAlive({ heap }: LockdepSection, identity: LockIdentity, at: number): boolean {
  return (
    identity.generation(heap[at + INSTANCE.lockA]) === heap[at + INSTANCE.generationA] &&
    identity.generation(heap[at + INSTANCE.lockB]) === heap[at + INSTANCE.generationB]
  );
}

function edgeAt({ heap }: LockdepSection, at: number): InstanceEdge {
  const gateCount = heap[at + INSTANCE.gateCount];
  return {
    lockA: heap[at + INSTANCE.lockA],
    lockB: heap[at + INSTANCE.lockB],
    placeA: heap[at + INSTANCE.placeA],
    placeB: heap[at + INSTANCE.placeB],
    task: heap[at + INSTANCE.task],
    gates: Array.from({ length: gateCount }, (_, i) => heap[at + INSTANCE.gates + i]),
  };
}

/** Record of the first order from a lock's bucket; other locks share the bucket. */
function firstFrom(section: LockdepSection, lock: number): number {
  return section.heap[section.instanceBuckets + bucketOf(section, lock)];
}

function nextOf({ heap }: LockdepSection, at: number): number {
  return heap[at + INSTANCE.next];
}

function bucketOf({ instanceBucketCount }: LockdepSection, lock: number): number {
  const hash = Math.imul(lock, 0x9e37_79b1);
  return (hash ^ (hash >>> 15)) & (instanceBucketCount - 1);
}
