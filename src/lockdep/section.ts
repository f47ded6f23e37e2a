/**
 * Lockdep's own section of the arena: sizes in, word offsets out, and the raw lock over everything that is learned. It
 * lies in shared memory so that all threads learn into one graph and any of them can print what another one saw.
 *
 * Order: the raw lock is innermost; nothing is acquired and no sink is called under it. What is learned is published by a
 * last store (a chain slot, a table entry), so readers need no lock.
 */

import { HEADER, abortRequested, nrCpus } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import { MachineAborted } from '../cpu/machineAborted.ts';
import { LOCK_CLASSES } from '../layout/lockClass.ts';

/** Limits of what can be learned. Reaching one turns lockdep off with one report, as in the kernel. */
export interface LockdepSize {
  /** Rows of the class table. */
  readonly classes: number;
  /** Classes counted with their subclasses that are ever taken, at most 255. */
  readonly nodes: number;
  /** Dependencies between two of those. */
  readonly edges: number;
  /** Slots for lock chains, a power of two, at most 16384; three quarters of them can be used. */
  readonly chains: number;
  /** Orders between two lock instances of one class; the oldest are forgotten first. */
  readonly instances: number;
  /** Words for the text of places. */
  readonly textWords: number;
  /** Locks beyond the held stack that a task may hold under one nest lock. */
  readonly nested: number;
}

/** For explored scenarios and tests: cheap to reset before each execution. */
export const LOCKDEP_SMALL: LockdepSize = {
  classes: LOCK_CLASSES.length,
  nodes: 40,
  edges: 160,
  chains: 2048,
  instances: 128,
  textWords: 8192,
  nested: 64,
};

/** For stress. */
export const LOCKDEP_LARGE: LockdepSize = {
  classes: LOCK_CLASSES.length,
  nodes: 64,
  edges: 512,
  chains: 16384,
  instances: 2048,
  textWords: 65536,
  nested: 4096,
};

export const MAX_NODES = 255;
export const MAX_CHAINS = 16384;
export const SUBCLASSES = 8;
export const MAX_REPORTS = 256;

/** Words at the start of the section. */
export const SECTION = {
  lock: 0,
  /** Non-zero: a limit was hit; held stacks are still kept, nothing is checked any more. */
  off: 1,
  nodeCount: 2,
  edgeCount: 3,
  chainCount: 4,
  reportCount: 5,
  /** First record of instances never used, and head of the list of those given back. */
  instanceNext: 6,
  instanceFree: 7,
  /** Times the instance orders were thrown away because the table was full. */
  instanceResets: 8,
  /** Searches for a cycle, and the most states one of them looked at. */
  searches: 9,
  longestSearch: 10,
  textUsed: 12,
  size: 16,
} as const;
const SECTION_WORDS = 24;

/** Words per node: class * SUBCLASSES + subclass, usage bits, places of first use for write and for read. */
export const NODE = { key: 0, usage: 1, writePlace: 2, readPlace: 3, words: 4 } as const;
/** Words per edge: P -> N, kinds as bits, trace of the acquire of N, place where P was taken, task that learned it. */
export const EDGE = { from: 0, to: 1, kinds: 2, trace: 3, heldPlace: 4, task: 5, words: 6 } as const;
export const MAX_GATES = 8;
/** Words per instance order A -> B; gates are the other locks held, lock << 1 | exclusive. */
export const INSTANCE = {
  next: 0,
  lockA: 1,
  generationA: 2,
  lockB: 3,
  generationB: 4,
  placeA: 5,
  placeB: 6,
  task: 7,
  gateCount: 8,
  gates: 9,
  words: 9 + MAX_GATES,
} as const;

/** Order in which the sizes stand behind SECTION.size. */
const SIZE_FIELDS: readonly (keyof LockdepSize)[] = [
  'classes',
  'nodes',
  'edges',
  'chains',
  'instances',
  'textWords',
  'nested',
];

/** Word offsets of everything. */
interface Offsets {
  readonly base: number;
  readonly size: LockdepSize;
  /** class * SUBCLASSES + subclass -> node, 0 when never taken. */
  readonly nodeTable: number;
  /** Node n (from 1) at nodes + n * NODE.words. */
  readonly nodes: number;
  /** Edge number of P -> N at matrix + P * (size.nodes + 1) + N. */
  readonly matrix: number;
  readonly edges: number;
  /** One word per chain slot, and beside it: trace of the first acquire << 1 | "a lock of the same class is held". */
  readonly chains: number;
  readonly chainInfo: number;
  readonly reports: number;
  readonly instanceBuckets: number;
  readonly instanceBucketCount: number;
  readonly instances: number;
  /** Per task: number of locks merged into an entry of the held stack, then pairs of lock and entry. */
  readonly nested: number;
  readonly textTable: number;
  readonly textSlots: number;
  readonly text: number;
  readonly end: number;
}

/** The section as one thread sees it. */
export interface LockdepSection extends Offsets {
  readonly heap: Heap;
}

/** Words that lockdep needs in the arena of a machine of `cpus` CPUs (MachineSize.lockdepWords). */
export function lockdepWords(cpus: number, size: LockdepSize = LOCKDEP_SMALL): number {
  return layOut(0, cpus, size).end;
}

/** Prepares the section of a fresh arena. Boot only. */
export function initLockdep(heap: Heap, size: LockdepSize = LOCKDEP_SMALL): void {
  assert(
    size.nodes <= MAX_NODES && size.chains <= MAX_CHAINS,
    'lockdep: numbers of nodes and chains must fit a chain word',
  );
  assert((size.chains & (size.chains - 1)) === 0, 'lockdep: the number of chain slots must be a power of two');
  const base = heap[HEADER.lockdepBase];
  const { end } = layOut(base, nrCpus(heap), size);
  assert(end - base <= heap[HEADER.lockdepWords], 'lockdep: the section is too small');
  heap.set(
    SIZE_FIELDS.map((field) => size[field]),
    base + SECTION.size,
  );
  resetLockdep(heap);
}

/**
 * Forgets everything learned, as if no lock had ever been taken. Only at quiescence, with all held stacks empty. Places
 * keep their text: it is looked up by contents.
 */
export function resetLockdep(heap: Heap): void {
  const section = attachSection(heap);
  const { base } = section;
  heap.fill(0, base, base + SECTION.textUsed);
  heap.fill(0, section.nodeTable, section.textTable);
  heap[base + SECTION.instanceNext] = 1;
  // Offset 0 of the text is "no text".
  if (heap[base + SECTION.textUsed] === 0) heap[base + SECTION.textUsed] = 1;
}

/** True when the arena has an initialised section. */
export function hasLockdep(heap: Heap): boolean {
  return heap[HEADER.lockdepWords] > 0 && heap[heap[HEADER.lockdepBase] + SECTION.size] > 0;
}

/** Offsets of the section of an arena that initLockdep prepared, by this thread or another. */
export function attachSection(heap: Heap): LockdepSection {
  assert(hasLockdep(heap), 'lockdep: the arena has no section for it');
  const base = heap[HEADER.lockdepBase];
  const sizes = SIZE_FIELDS.map((field, i) => [field, heap[base + SECTION.size + i]]);
  const size = Object.fromEntries(sizes) as Record<keyof LockdepSize, number>;
  return { heap, ...layOut(base, nrCpus(heap), size) };
}

/** Lays the tables out one behind the other. */
function layOut(base: number, cpus: number, size: LockdepSize): Offsets {
  let at = base + SECTION_WORDS;
  const take = (words: number): number => {
    const from = at;
    at += words;
    return from;
  };
  const instanceBucketCount = powerOfTwoFrom(size.instances);
  const textSlots = powerOfTwoFrom(size.textWords >> 2);
  return {
    base,
    size,
    nodeTable: take(size.classes * SUBCLASSES),
    nodes: take((size.nodes + 1) * NODE.words),
    matrix: take((size.nodes + 1) ** 2),
    edges: take((size.edges + 1) * EDGE.words),
    chains: take(size.chains),
    chainInfo: take(size.chains),
    reports: take(MAX_REPORTS),
    instanceBucketCount,
    instanceBuckets: take(instanceBucketCount),
    instances: take((size.instances + 1) * INSTANCE.words),
    nested: take(cpus * (1 + 2 * size.nested)),
    textSlots,
    textTable: take(textSlots),
    text: take(size.textWords),
    end: at,
  };
}

function powerOfTwoFrom(least: number): number {
  let power = 1;
  while (power < least) power *= 2;
  return power;
}

const LOCK_ROUNDS = 64;
const LOCK_SLICE_MS = 1;

/** Takes the raw lock: bounded spinning, then sleep in slices. @throws MachineAborted when the machine is to be stopped */
export function lockSection({ heap, base }: LockdepSection): void {
  const at = base + SECTION.lock;
  for (let round = 0; Atomics.compareExchange(heap, at, 0, 1) !== 0; round++) {
    if (round < LOCK_ROUNDS) continue;
    if (abortRequested(heap)) throw new MachineAborted();
    Atomics.wait(heap, at, 1, LOCK_SLICE_MS);
  }
}

export function unlockSection({ heap, base }: LockdepSection): void {
  Atomics.store(heap, base + SECTION.lock, 0);
}
