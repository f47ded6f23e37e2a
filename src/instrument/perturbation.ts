/**
 * Random delays between the shared accesses of a worker thread: windows of a few nanoseconds open wide enough for the
 * other threads to step in. Which points are delayed, and for how long, is drawn from a seed; what the other threads do
 * meanwhile is not.
 */

import { Prng } from '../base/prng.ts';

/** A budget that is never used up before somebody looks. */
const NEVER = 0x3fff_ffff;

/** Share of the pauses that spin a few microseconds, that sleep shortly, and that sleep for milliseconds. */
const LONG_SPIN_SHARE = 1 / 4;
const SLEEP_SHARE = 1 / 8;
const LONG_SLEEP_SHARE = 1 / 512;
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
