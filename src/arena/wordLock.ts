/**
 * A lock in one word: held by one (exclusive) or by several (shared). The smallest lock that an exploration sees as what it
 * is: to take it is one step, which cannot be chosen before the word allows it. Simulated kernel code has locks of its own
 * (src/locks), which are explored down to their single accesses; this one is for programs in which the lock itself is not
 * the question.
 *
 *   0    free
 *   n    shared by n
 *   -1   held; -2: held, and somebody may sleep
 *
 * Taking a lock that is free for the asking costs one read-modify-write; only a holder that others wait for makes a system
 * call. Readers are preferred: a writer waits until there are none.
 */

import type { Access, Sim } from '../base/sim.ts';
import type { Heap } from './heap.ts';

const FREE = 0;
const HELD = -1;
const CONTENDED = -2;

/** Takes the lock for this thread alone. Sleeps while anybody has it. */
export function lockWord(heap: Heap, at: number): Sim<void> {
  let mine = HELD;
  while (true) {
    const old = Atomics.compareExchange(heap, at, FREE, mine);
    if (old === FREE) return;
    sleepOn(heap, at, old);
    // Others may sleep as well: whoever slept wakes them when it gives the lock back.
    mine = CONTENDED;
  }
}

/** Gives an exclusive lock back. */
export function unlockWord(heap: Heap, at: number): Access<void> {
  if (Atomics.exchange(heap, at, FREE) === CONTENDED) Atomics.notify(heap, at);
}

/** Takes the lock together with others who share it. Sleeps while it is held exclusively. */
export function lockWordShared(heap: Heap, at: number): Sim<void> {
  while (true) {
    const old = Atomics.load(heap, at);
    if (old < FREE) sleepOn(heap, at, old);
    else if (Atomics.compareExchange(heap, at, old, old + 1) === old) return;
  }
}

/** Gives a shared lock back. */
export function unlockWordShared(heap: Heap, at: number): Access<void> {
  if (Atomics.sub(heap, at, 1) === 1) Atomics.notify(heap, at);
}

function sleepOn(heap: Heap, at: number, seen: number): void {
  const marked = seen === HELD ? CONTENDED : seen;
  if (seen === HELD && Atomics.compareExchange(heap, at, HELD, CONTENDED) !== HELD) return;
  Atomics.wait(heap, at, marked);
}
