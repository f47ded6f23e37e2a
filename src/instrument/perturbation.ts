/**
 * Random delays between the shared accesses of a worker thread: windows of a few nanoseconds open wide enough for the
 * other threads to step in. Which points are delayed, and for how long, is drawn from a seed; what the other threads do
 * meanwhile is not.
 *
 * Two kinds. Any point may be delayed now and then. And for short times one store of the source, drawn among those that
 * were seen, is lingered at whenever the worker passes it: half-done updates are what others stumble over, and a window of
 * two stores out of thousands is met in seconds that way instead of hours.
 */

import { Prng } from '../base/prng.ts';

/** A budget that is never used up before somebody looks. */
const NEVER = 0x3fff_ffff;

/** Share of the pauses that spin a few microseconds, that sleep shortly, and that sleep for milliseconds. */
const LONG_SPIN_SHARE = 1 / 4;
const SLEEP_SHARE = 1 / 16;
const LONG_SLEEP_SHARE = 1 / 512;
const SHORT_ROUNDS = 256;
const LONG_ROUNDS = 4096;
const SLEEP_MS = 0.1;
const LONG_SLEEP_MS = 3;

/** How often the worker lingers at one store before it looks for another, how long, and how many pauses lie between. */
const LINGERS = 8;
const LINGER_MS = 0.3;
const PAUSES_BETWEEN = 24;
/** Stores remembered: more than the simulated kernel has. */
const MAX_STORES = 4096;
const NO_STORE = 0;

/** The perturbed build's side of a point: random delays between the shared accesses of a worker. */
export class Perturbation {
  /** Points that may still be passed before the next delay. */
  budget = NEVER;
  v = 0;
  o: unknown = undefined;
  /** Store that is lingered at; 0 none. */
  hot = NO_STORE;
  /** Delays made so far. */
  pauses = 0;
  private readonly stores: number[] = [];
  private readonly known = new Set<number>();
  private lingersLeft = 0;
  private pausesLeft = PAUSES_BETWEEN;
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
    this.hot = NO_STORE;
    this.pausesLeft = PAUSES_BETWEEN;
    this.stores.length = 0;
    this.known.clear();
    this.draw();
  }

  /** The budget is used up: a delay, and a new budget. @param store number of the point, if it is a store */
  pause(store = NO_STORE): void {
    if (store !== NO_STORE) this.remember(store);
    if (this.rate > 0) {
      this.delay();
      if (--this.pausesLeft <= 0) this.chooseStore();
    }
    this.draw();
  }

  private remember(store: number): void {
    if (this.known.has(store) || this.stores.length >= MAX_STORES) return;
    this.known.add(store);
    this.stores.push(store);
  }

  private chooseStore(): void {
    this.pausesLeft = PAUSES_BETWEEN;
    this.lingersLeft = LINGERS;
    this.hot = this.stores.length === 0 ? NO_STORE : this.stores[this.prng.below(this.stores.length)];
  }

  /** The hot store was passed. */
  linger(): void {
    this.pauses++;
    if (--this.lingersLeft <= 0) this.hot = NO_STORE;
    this.sleep(LINGER_MS);
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
