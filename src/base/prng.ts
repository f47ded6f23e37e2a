/**
 * xoshiro128** seeded by splitmix32: our own, because a recorded seed must give the same stream for ever, on every
 * Node version, and a dependency's minor release must not be able to change it.
 *
 * Checked against the published vector of state {1, 2, 3, 4}: 11520, 0, 5927040, 70819200, ...
 */

/** The step of splitmix32's counter. */
const STEP = 0x9e37_79b9;

/** Generator state: four words. Plain data, so that it can be copied into a replay or a shared array. */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** @param state four 32-bit words, not all zero */
  constructor(state: readonly [number, number, number, number]) {
    [this.a, this.b, this.c, this.d] = state;
  }

  /** Generator for `seed` (any safe integer). Different `stream`s of one seed are independent. */
  static fromSeed(seed: number, stream = 0): Prng {
    const prng = new Prng([1, 0, 0, 0]);
    prng.reseed(seed, stream);
    return prng;
  }

  /** Makes this the generator that fromSeed gives. */
  reseed(seed: number, stream = 0): void {
    const high = Math.floor(seed / 0x1_0000_0000);
    const mix = (seed ^ Math.imul(high, 0x85eb_ca6b) ^ Math.imul(stream + 1, 0xc2b2_ae35)) | 0;
    this.a = mixed(mix + STEP) | 1;
    this.b = mixed(mix + 2 * STEP);
    this.c = mixed(mix + 3 * STEP);
    this.d = mixed(mix + 4 * STEP);
  }

  /** Next 32 random bits as an unsigned integer. */
  next32(): number {
    const result = Math.imul(rotl(Math.imul(this.b, 5), 7), 9) >>> 0;
    const t = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= t;
    this.d = rotl(this.d, 11);
    return result;
  }

  /** Uniform integer in [0, bound); bound is at least 1 and at most 2^32. Exact: no modulo bias worth a loop. */
  below(bound: number): number {
    return Math.floor((this.next32() / 0x1_0000_0000) * bound);
  }

  /** True with the given probability (0..1). */
  chance(probability: number): boolean {
    return this.next32() < probability * 0x1_0000_0000;
  }
}

/** What splitmix32 makes of a counter. */
function mixed(counter: number): number {
  let z = counter | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0_aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a_2d97);
  return z ^ (z >>> 15);
}

function rotl(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
