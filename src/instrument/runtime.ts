/**
 * What rewritten code needs at run time. One object per flavour of the build, shared by everything in the thread:
 * monomorphic, with numbers and other values in fields of their own, because a point costs what its fields cost.
 *
 * Here, and nowhere else, a Sim function is called by plain code: to start a coroutine, or to run it to its end.
 */

import type { Sim } from '../base/sim.ts';
import { Perturbation } from './perturbation.ts';

/** Why a coroutine yielded, besides an exhausted budget. */
export const REQUEST = {
  none: 0,
  /** Sleep until somebody wakes the word S.at. */
  park: 1,
  /** Let others run first: this one waits for them (a spin or retry loop). */
  relax: 2,
  /** Others became runnable: choose anew. */
  woke: 3,
} as const;

/** The explored build's side of a scheduling point. */
export const S = {
  /** Points that may still be passed before the coroutine must yield. Set by the scheduler at each resume. */
  budget: 0,
  /** Value of the access just made, if it is a number. */
  v: 0,
  /** Value of the access just made, if it is not. */
  o: undefined as unknown,
  /** One of REQUEST; the scheduler takes it back to `none`. */
  request: 0 as number,
  /** Word that a parking coroutine sleeps on. */
  at: 0,
  /** Bit per task that sleeps; bit per task that was woken since the scheduler looked. */
  parked: 0,
  woken: 0,
  /** Steps of this execution so far: the logical clock. */
  clock: 0,
};

/** Tasks one exploration can have: they are bits of one word, and the sign bit stays clear. */
export const MAX_TASKS = 31;

/** Word each task sleeps on, and when it went to sleep: sleepers are woken in that order, as Atomics.notify does. */
const parkedAt = new Int32Array(MAX_TASKS);
const parkedSince = new Float64Array(MAX_TASKS);

/** Notes that a task sleeps on a word. */
export function parkTask(task: number, at: number, since: number): void {
  parkedAt[task] = at;
  parkedSince[task] = since;
  S.parked |= 1 << task;
}

/** Word a parked task sleeps on. */
export function parkedWord(task: number): number {
  return parkedAt[task];
}

/** Wakes up to `count` sleepers on a word, the longest sleeping first. @returns how many */
export function wakeParked(at: number, count: number): number {
  let woken = 0;
  while (woken < count) {
    let first = -1;
    for (let rest = S.parked; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      if (parkedAt[task] === at && (first < 0 || parkedSince[task] < parkedSince[first])) first = task;
    }
    if (first < 0) break;
    S.parked &= ~(1 << first);
    S.woken |= 1 << first;
    woken++;
  }
  return woken;
}

/** A started Sim function. Each `next` is given the value that the last one brought. */
export type Coroutine<T = unknown> = Generator<unknown, T>;

/** Starts a Sim function of the explored build. @throws Error when it was built without the pass */
export function startSim<A, T>(body: (argument: A) => Sim<T>, argument: A): Coroutine<T> {
  const started = body(argument) as Coroutine<T> | undefined;
  if (typeof started?.next !== 'function') throw new Error('this program was not built by the pass (mode: explored)');
  return started;
}

/** Runs a Sim function where it is an ordinary one: on threads. */
export function callSim<A, T>(body: (argument: A) => Sim<T>, argument: A): T {
  return body(argument);
}

/** True in the explored build. @param probe any Sim function without effects */
export function isExploredBuild(probe: () => Sim<void>): boolean {
  return isCoroutine(probe());
}

/** True for what a Sim function of the explored build gives. */
export function isCoroutine(value: unknown): value is Coroutine {
  return Object.prototype.toString.call(value) === '[object Generator]';
}

/** The perturbed build's side of a point: the delays of this worker; off until configured. */
export const P = new Perturbation();
