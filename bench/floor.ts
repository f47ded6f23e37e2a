/** The floor of every lock: one compare-exchange and one store on shared memory. */

const FLOOR_BATCH = 10_000;

/** Nanoseconds of the raw pair: fastest of `rounds` rounds, in this process, now. */
export function rawPairNs(rounds: number): number {
  const words = new Int32Array(new SharedArrayBuffer(64));
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    for (let i = 0; i < FLOOR_BATCH; i++) {
      Atomics.compareExchange(words, 3, 0, 1);
      Atomics.store(words, 3, 0);
    }
    best = Math.min(best, ((performance.now() - start) * 1e6) / FLOOR_BATCH);
  }
  return best;
}
