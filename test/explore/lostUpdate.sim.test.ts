import { expect } from 'vitest';
import { load, store } from '../../src/arena/access.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { Task } from '../../src/cpu/task.ts';
import { hwLock, hwUnlock } from '../../src/locks/hwLock.ts';
import type { Kernel } from '../support/kernel.ts';
import { simConcurrent, simExplore } from '../support/simConcurrent.ts';
import { simTest } from '../support/simTest.ts';

interface Counter {
  readonly lock: number;
  readonly count: number;
}

function setup(kernel: Kernel): Sim<Counter> {
  return { lock: kernel.words(1), count: kernel.words(1) };
}

function increment(task: Task, { count }: Counter): Sim<void> {
  store(task.heap, count, load(task.heap, count) + 1);
}

function lockedIncrement(task: Task, counter: Counter): Sim<void> {
  hwLock(task, counter.lock);
  increment(task, counter);
  hwUnlock(task, counter.lock);
}

function check(kernel: Kernel, { count }: Counter): Sim<void> {
  expect(load(kernel.heap, count)).toBe(2);
}

simTest('one increment', (kernel: Kernel): Sim<void> => {
  const counter = setup(kernel);
  increment(kernel.task, counter);
  expect(load(kernel.heap, counter.count)).toBe(1);
});

simConcurrent('locked: no update is lost', { setup, threads: [lockedIncrement, lockedIncrement], check });

simExplore('unlocked: an update is lost', { setup, threads: [increment, increment], check }, ({ firstFailure }) => {
  expect(firstFailure?.verdict).toBe('crash');
  expect(firstFailure?.violations[0].title).toContain('expected 1 to be 2');
});
