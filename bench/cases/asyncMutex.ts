/** async-mutex beside our mutex: what ordering work on one thread costs. It cannot guard shared memory across threads. */

import { Mutex } from 'async-mutex';
import type { BenchCase } from '../case.ts';

const BATCH = 1000;

/** The release is synchronous, so a pair can be measured only as a chain of acquisitions; this one is awaited by the runner. */
export function asyncMutexChain(): () => Promise<void> {
  const mutex = new Mutex();
  return async () => {
    for (let i = 0; i < BATCH; i++) (await mutex.acquire())();
  };
}

export const ASYNC_MUTEX_CASE: Omit<BenchCase, 'setup'> = {
  name: 'async-mutex pair (one thread)',
  group: 'locks',
  unit: 'pair',
  batch: BATCH,
};
