/**
 * The programs on which explorers are compared: how many executions each has, and how many it takes to the first bug, is
 * known from several tools.
 *
 *   P1     two threads, two locks, taken in the same order or each the other way round
 *   P2(n)  two threads (or more), n times each: v = load(c); store(c, v + 1)
 *   P3     reader, writer, reader under one lock; the writer takes it alone, or wrongly as a reader
 *   P4(k)  one thread reads x twice and fails if it saw 0, then 1; the other one does k private stores, x = 1, x = 2
 */
import { load, store } from '../../src/arena/access.ts';
import type { Heap } from '../../src/arena/heap.ts';
import { lockWord, lockWordShared, unlockWord, unlockWordShared } from '../../src/arena/wordLock.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import type { Program } from '../../src/explore/explore.ts';
import { LOCK_A, LOCK_B, X, Y, bareProgram, type BareThread, type BareWorld } from './bare.ts';

/** P1: two locks. @param crossed the second thread takes them the other way round */
export function twoLocks(crossed: boolean): Program<Task, BareWorld> {
  const takeBoth = (heap: Heap, first: number, second: number): Sim<void> => {
    lockWord(heap, first);
    lockWord(heap, second);
    unlockWord(heap, second);
    unlockWord(heap, first);
  };
  return bareProgram([
    (task: Task): Sim<void> => takeBoth(task.heap, LOCK_A, LOCK_B),
    (task: Task): Sim<void> => takeBoth(task.heap, crossed ? LOCK_B : LOCK_A, crossed ? LOCK_A : LOCK_B),
  ]);
}

/** P3: two readers and a writer of two words under a lock. @param shared the writer takes the lock as a reader does */
export function readersAndWriter(shared: boolean): Program<Task, BareWorld> {
  const read = (task: Task): Sim<void> => {
    lockWordShared(task.heap, LOCK_A);
    assert(load(task.heap, X) === load(task.heap, Y), 'both words are of one write');
    unlockWordShared(task.heap, LOCK_A);
  };
  const writeAlone = (task: Task): Sim<void> => {
    lockWord(task.heap, LOCK_A);
    store(task.heap, X, 1);
    store(task.heap, Y, 1);
    unlockWord(task.heap, LOCK_A);
  };
  const writeShared = (task: Task): Sim<void> => {
    lockWordShared(task.heap, LOCK_A);
    store(task.heap, X, 1);
    store(task.heap, Y, 1);
    unlockWordShared(task.heap, LOCK_A);
  };
  return bareProgram([read, shared ? writeShared : writeAlone, read]);
}

/** P2: a counter that is not protected. @param least what it must come to */
export function lostUpdates(rounds: number, threads = 2, least = 1): Program<Task, BareWorld> {
  const increment = (task: Task): Sim<void> => {
    for (let i = 0; i < rounds; i++) store(task.heap, X, load(task.heap, X) + 1);
  };
  const check = (world: BareWorld): Sim<void> => assert(load(world.heap, X) >= least, 'no update was lost');
  return bareProgram(
    Array.from({ length: threads }, (): BareThread => increment),
    check,
  );
}

/** P4: check-then-act twice. @param fails whether what it looks for counts as a failure */
export function twoPreemptions(pads: number, fails = true): Program<Task, BareWorld> {
  const reader = (task: Task): Sim<void> => {
    const first = load(task.heap, X);
    const second = load(task.heap, X);
    assert(!fails || first !== 0 || second !== 1, 'not 0, then 1');
  };
  const writer = (task: Task): Sim<void> => {
    for (let i = 0; i < pads; i++) store(task.heap, Y, i);
    store(task.heap, X, 1);
    store(task.heap, X, 2);
  };
  return bareProgram([reader, writer]);
}
