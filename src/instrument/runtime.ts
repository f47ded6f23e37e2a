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
  /** Sleep until the word S.at is 0: a blocking step that is not enabled before. */
  await: 4,
  /** Pick one of S.at options; the answer comes back as the value of the yield. No scheduling point. */
  choose: 5,
  /** Sleep until the word S.at is not negative. */
  awaitShared: 6,
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
  /** Word that a parking or awaiting coroutine sleeps on; number of options of a choice. */
  at: 0,
  /** Index of the task that runs. */
  task: 0,
  /** Bit per task that sleeps; bit per task that was woken since the scheduler looked. */
  parked: 0,
  woken: 0,
  /** Steps of this execution so far: the logical clock. */
  clock: 0,
};

/**
 * How a step touches a word. `rmw` is any read-modify-write that stored; one that did not only read. `park` is the look of
 * a futex at its word, before it sleeps and when it wakes; `wake` makes sleepers runnable. `lock` is a step that was not
 * enabled before the word allowed it, `unlock` one that allows it.
 */
export const ACCESS = {
  read: 0,
  write: 1,
  readOnce: 2,
  writeOnce: 3,
  acquire: 4,
  release: 5,
  rmw: 6,
  casFailed: 7,
  fence: 8,
  park: 9,
  wake: 10,
  lock: 11,
  unlock: 12,
  alloc: 13,
  free: 14,
  /** The allocation or free before it in the log concerns as many words from here on as its value says. */
  extent: 15,
  /** A lock that is taken, given back, while others may have it too: two of these steps do not conflict. */
  lockShared: 16,
  unlockShared: 17,
  /** A store went into the store buffer: nobody else sees it before it is logged again, as what it is. */
  buffered: 18,
  /** Plain accesses that are meant to race. */
  racyRead: 19,
  racyWrite: 20,
} as const;

/** Kinds, as bits, after which another task may see something else: what ends a wait. */
export const WRITING =
  (1 << ACCESS.write) |
  (1 << ACCESS.writeOnce) |
  (1 << ACCESS.release) |
  (1 << ACCESS.rmw) |
  (1 << ACCESS.wake) |
  (1 << ACCESS.lock) |
  (1 << ACCESS.unlock) |
  (1 << ACCESS.alloc) |
  (1 << ACCESS.free) |
  (1 << ACCESS.racyWrite) |
  (1 << ACCESS.lockShared) |
  (1 << ACCESS.unlockShared);

/**
 * Whether accesses are logged: not while the world is set up, judged or looked at by a detector. While another task spins
 * or awaits a value (`waited`), the first write makes the running task yield at its next point (`cut`), so that who can
 * run is known exactly wherever the scheduler could switch.
 */
export const LOG_MODE = { off: 0, on: 1, waited: 2, cut: 3 } as const;

/** Words of an entry of the access log: word touched, kind, value read or written, budget of the step that touched it. */
export const LOG_ENTRY = { at: 0, kind: 1, value: 2, budget: 3, words: 4 } as const;

/** What the running task has touched since the scheduler resumed it, in order. */
export const L = {
  /** One of LOG_MODE. */
  mode: 0 as number,
  /** Words used: LOG_ENTRY.words per access. */
  used: 0,
  words: new Int32Array(1024),
  /** Budget that was taken away when the mode became `cut`. */
  kept: 0,
  /** Stores go through the store buffer. */
  buffered: false,
  /** Who is told of each access of the one execution that is to be explained; null in all others. */
  trace: null as AccessTrace | null,
};

/** Is told of an access when it has just been made: its word, kind and value. */
export type AccessTrace = (at: number, kind: number, value: number) => void;

/** Logs an access of the running task, if accesses are logged now. */
export function logAccess(at: number, kind: number, value: number): void {
  if (L.mode === LOG_MODE.off) return;
  if (L.trace !== null) L.trace(at, kind, value);
  const { used } = L;
  if (used === L.words.length) growLog();
  const { words } = L;
  words[used] = at;
  words[used + 1] = kind;
  words[used + 2] = value;
  words[used + 3] = S.budget;
  L.used = used + LOG_ENTRY.words;
  if (L.mode !== LOG_MODE.on) cutAtWrite(words, used, kind);
}

function cutAtWrite(words: Int32Array, entry: number, kind: number): void {
  if (L.mode === LOG_MODE.cut) {
    words[entry + LOG_ENTRY.budget] = L.kept;
  } else if (((1 << kind) & WRITING) !== 0) {
    L.kept = S.budget;
    S.budget = 0;
    L.mode = LOG_MODE.cut;
  }
}

/** Points the running task may still pass, whether or not its run is to be cut short. */
export function pointsLeft(): number {
  return L.mode === LOG_MODE.cut ? L.kept : S.budget;
}

function growLog(): void {
  const words = new Int32Array(L.words.length * 2);
  words.set(L.words);
  L.words = words;
}

/** Tasks one exploration can have: they are bits of one word, and the sign bit stays clear. */
export const MAX_TASKS = 31;

/** Word each task sleeps on, and when it went to sleep: sleepers are woken in that order, as Atomics.notify does. */
const parkedAt = new Int32Array(MAX_TASKS);
const parkedSince = new Float64Array(MAX_TASKS);
const parkedOn = new Int32Array(MAX_TASKS);

/** Notes that a task sleeps on a word, which is `value` at that moment. */
export function parkTask(task: number, at: number, value: number, since: number): void {
  parkedAt[task] = at;
  parkedOn[task] = value;
  parkedSince[task] = since;
  S.parked |= 1 << task;
}

/** Word a parked task sleeps on. */
export function parkedWord(task: number): number {
  return parkedAt[task];
}

/** What that word was when the task fell asleep. */
export function parkedValue(task: number): number {
  return parkedOn[task];
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
export function callSim<A, T, B = undefined>(body: (argument: A, more: B) => Sim<T>, argument: A, more?: B): T {
  return body(argument, more as B);
}

/** True in the explored build. @param probe any Sim function without effects */
export function isExploredBuild(probe: () => Sim<void>): boolean {
  return isCoroutine(probe());
}

/** True for what a Sim function of the explored build gives. */
export function isCoroutine(value: unknown): value is Coroutine {
  return (
    typeof value === 'object' &&
    value !== null &&
    Symbol.toStringTag in value &&
    value[Symbol.toStringTag] === 'Generator'
  );
}

/** The perturbed build's side of a point: the delays of this worker; off until configured. */
export const P = new Perturbation();
