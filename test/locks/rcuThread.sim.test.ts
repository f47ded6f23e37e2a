/** With the kernel thread a deferred free happens at any moment after its grace period, and never before. */
import { describe, expect, it } from 'vitest';
import { load, readOnce, store, writeOnce } from '../../src/arena/access.ts';
import { CACHES } from '../../src/arena/header.ts';
import { assert } from '../../src/base/assert.ts';
import type { Sim } from '../../src/base/sim.ts';
import { kmemCacheAlloc } from '../../src/cpu/alloc.ts';
import type { Task } from '../../src/cpu/task.ts';
import { explore, type Exploration } from '../../src/explore/explore.ts';
import type { StrategyName } from '../../src/explore/strategyNamed.ts';
import type { Thread } from '../../src/explore/world.ts';
import { callRcu, rcuReadLock, rcuReadUnlock } from '../../src/locks/rcu.ts';
import { rcuThread } from '../../src/locks/rcuThread.ts';
import type { Kernel } from '../support/kernel.ts';
import { programOf, type Concurrent } from '../support/simConcurrent.ts';
import { explored } from '../support/simTest.ts';

const CACHE = CACHES.anonVmaChain;
const MAGIC = 0x1dea_5eed;

function setup(kernel: Kernel): Sim<number> {
  const root = kernel.words(1);
  const ptr = kmemCacheAlloc(kernel.task, CACHE);
  store(kernel.heap, ptr, MAGIC);
  writeOnce(kernel.heap, root, ptr);
  return root;
}

/** Defers the free inside a read section of its own, so that it cannot happen there and then. */
function updater(task: Task, root: number): Sim<void> {
  rcuReadLock(task);
  const old = readOnce(task.heap, root);
  writeOnce(task.heap, root, 0);
  callRcu(task, CACHE, old);
  rcuReadUnlock(task);
}

function reader(task: Task, root: number): Sim<void> {
  rcuReadLock(task);
  const ptr = readOnce(task.heap, root);
  if (ptr !== 0) assert(load(task.heap, ptr) === MAGIC, 'the object was freed under its reader');
  rcuReadUnlock(task);
}

function carelessReader(task: Task, root: number): Sim<void> {
  rcuReadLock(task);
  const ptr = readOnce(task.heap, root);
  rcuReadUnlock(task);
  if (ptr !== 0) assert(load(task.heap, ptr) === MAGIC, 'the object was freed under its reader');
}

function run(
  look: (task: Task, root: number) => Sim<void>,
  withThread: boolean,
  strategy: StrategyName = 'mixed',
): Exploration {
  const concurrent: Concurrent<number> = { setup, threads: [updater, look], size: { cpus: 3 } };
  const daemons: readonly Thread<{ readonly task: Task }>[] = [
    (lane: { readonly task: Task }): Sim<void> => rcuThread(lane.task),
  ];
  return explore({
    ...programOf(concurrent),
    daemons: withThread ? daemons : [],
    strategy,
    executions: 3000,
    maxSteps: 2000,
  });
}

describe.runIf(explored)('rcu thread', () => {
  it('a reader that looks behind its read section is caught, but only if somebody ends grace periods', () => {
    expect(run(carelessReader, false).verdicts.done).toBe(3000);
    expect(run(carelessReader, true).firstFailure?.violations[0].signature).toBe(
      'the object was freed under its reader',
    );
  });

  it('a careful reader is safe', () => {
    expect(run(reader, true).verdicts.done).toBe(3000);
    expect(run(reader, true, 'pct').verdicts.done).toBe(3000);
  });
});
