/**
 * Lock chains: every distinct sequence of held locks that some task ever had, as a tree. A chain is the chain below it
 * plus one step, and all of that is one word, so a hit is one comparison, exact, and needs no lock:
 *
 *   bit  3322 2222 2222 1111 1111 1100 0000 0000
 *        1098 7654 3210 9876 5432 1098 7654 3210
 *        bbbb bbbb bbbb bbbn nnnn nnnN NNNN NrrT
 *
 *   T trylock   r read mode   N depth of the nest lock + 1, or 0   n node (class and subclass)   b the chain below
 *
 * Whatever the checks of an acquire depend on is in the chain, so each is checked once. The kernel's 64-bit hash leaves out
 * trylock and nest lock, and with that the case that is first annotated and later not.
 *
 * A chain starts at a root of its operation: the same sequence in fork and in munmap is two chains with two places.
 *
 * Kernel: lookup_chain_cache() in kernel/locking/lockdep.c.
 */

import type { Heap } from '../arena/heap.ts';
import type { ReadMode } from '../cpu/hooks.ts';
import { SECTION, type LockdepSection } from './section.ts';

/** Chain 0 is no chain: nothing is ever found above it. Used once lockdep is off. */
export const NO_CHAIN = 0;

/** Depth code of a nest lock that the task does not hold. */
export const NEST_NOT_HELD = 63;

/** Roots count down from here, far above the numbers of slots. */
const FIRST_ROOT = 0x7fff;
const OP_MASK = 0xff;

const BELOW_SHIFT = 17;
const NODE_SHIFT = 9;
const NEST_SHIFT = 3;
const READ_SHIFT = 1;

/** Bit 0 of a chain's info word: a lock of the class (any subclass) is held below. */
export const SAME_CLASS = 1;

/** The empty chain of an operation. */
export function rootChain(op: number): number {
  return FIRST_ROOT - (op & OP_MASK);
}

/** Word of the step onto `below`. `nest` is 0, NEST_NOT_HELD or the nest lock's index + 1. */
export function chainWord(below: number, node: number, nest: number, read: ReadMode, trylock: boolean): number {
  return (
    (below << BELOW_SHIFT) | (node << NODE_SHIFT) | (nest << NEST_SHIFT) | (read << READ_SHIFT) | (trylock ? 1 : 0)
  );
}

/** Number of the chain, or NO_CHAIN when nobody had it yet. Chain c lies in slot c - 1. */
export function findChain({ heap, chains, size }: LockdepSection, word: number): number {
  return probeChain(heap, chains, size.chains - 1, word);
}

/** findChain for the fast path: `chains` is the table, `mask` its size - 1. */
export function probeChain(heap: Heap, chains: number, mask: number, word: number): number {
  for (let slot = hashChain(word) & mask; ; slot = (slot + 1) & mask) {
    const found = heap[chains + slot];
    if (found === 0) return NO_CHAIN;
    if (found === word) return slot + 1;
  }
}

/** Adds a chain. Returns its number, or 0 when three quarters of the slots are taken. @locked the section */
export function addChain(section: LockdepSection, word: number, trace: number, sameClass: boolean): number {
  const { heap, base, chains, chainInfo, size } = section;
  if (heap[base + SECTION.chainCount] >= (size.chains >> 2) * 3) return 0;
  const mask = size.chains - 1;
  let slot = hashChain(word) & mask;
  while (heap[chains + slot] !== 0) slot = (slot + 1) & mask;
  heap[base + SECTION.chainCount]++;
  heap[chainInfo + slot] = (trace << 1) | (sameClass ? SAME_CLASS : 0);
  Atomics.store(heap, chains + slot, word);
  return slot + 1;
}

/** Trace of the first acquire that made the chain. */
export function chainTrace({ heap, chainInfo, size }: LockdepSection, chain: number): number {
  return chain >= 1 && chain <= size.chains ? heap[chainInfo + chain - 1] >>> 1 : 0;
}

/** True when a lock of the newest lock's class, of whatever subclass, is held below it. */
export function chainHasSameClass({ heap, chainInfo }: LockdepSection, chain: number): boolean {
  return (heap[chainInfo + chain - 1] & SAME_CLASS) !== 0;
}

function hashChain(word: number): number {
  const hash = Math.imul(word ^ (word >>> 15), 0x9e37_79b1);
  return hash ^ (hash >>> 16);
}
