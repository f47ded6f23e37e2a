/**
 * What rewritten code needs at run time. One object per flavour of the build, shared by everything in the thread:
 * monomorphic, with numbers and other values in fields of their own, because a point costs what its fields cost.
 *
 * Here, and nowhere else, a Sim function is called by plain code: to start a coroutine, or to run it to its end.
 */

import { Prng } from '../base/prng.ts';
import type { Sim } from '../base/sim.ts';

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

/** A budget that is never used up before somebody looks. */
const NEVER = 0x3fff_ffff;

/** Share of the pauses that spin a few microseconds, that sleep shortly, and that sleep for milliseconds. */
const LONG_SPIN_SHARE = 1 / 16;
const SLEEP_SHARE = 1 / 256;
const LONG_SLEEP_SHARE = 1 / 4096;
const SHORT_ROUNDS = 256;
const LONG_ROUNDS = 4096;
const SLEEP_MS = 0.1;
const LONG_SLEEP_MS = 3;

/** The perturbed build's side of a point: random delays between the shared accesses of a worker. */
export class Perturbation {
  /** Points that may still be passed before the next delay. */
  budget = NEVER;
  v = 0;
  o: unknown = undefined;
  /** Delays made so far. */
  pauses = 0;
  private rate = 0;
  private prng = Prng.fromSeed(0);
  private readonly cell = new Int32Array(new SharedArrayBuffer(4));

  /**
   * Starts delaying: at each point with probability `rate` (0..1); 0 switches delays off. One call per worker, each
   * with a seed of its own.
   */
  configure(seed: number, rate: number): void {
    this.prng = Prng.fromSeed(seed);
    this.rate = rate;
    this.draw();
  }

  /** The budget is used up: a delay, and a new budget. */
  pause(): void {
    if (this.rate > 0) this.delay();
    this.draw();
  }

  /** Mostly short spins; now and then a sleep, so that another thread gets the core in the middle of a section. */
  private delay(): void {
    this.pauses++;
    const draw = this.prng.next32() / 0x1_0000_0000;
    if (draw < LONG_SLEEP_SHARE) this.sleep(LONG_SLEEP_MS);
    else if (draw < SLEEP_SHARE) this.sleep(SLEEP_MS);
    else this.spin(draw < LONG_SPIN_SHARE ? LONG_ROUNDS : SHORT_ROUNDS);
  }

  private sleep(longestMs: number): void {
    Atomics.wait(this.cell, 0, 0, (this.prng.next32() / 0x1_0000_0000) * longestMs);
  }

  private spin(mostRounds: number): void {
    for (let round = this.prng.below(mostRounds); round > 0; round--) Atomics.load(this.cell, 0);
  }

  /** Points until the next delay are geometric: every point is as likely as any other. */
  private draw(): void {
    const { rate } = this;
    if (rate <= 0) this.budget = NEVER;
    else if (rate >= 1) this.budget = 0;
    else {
      const uniform = (this.prng.next32() + 1) / 0x1_0000_0001;
      this.budget = Math.min(NEVER, Math.floor(Math.log(uniform) / Math.log(1 - rate)));
    }
  }
}

/** The delays of this worker; off until configured. */
export const P = new Perturbation();
