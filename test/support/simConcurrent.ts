/**
 * Concurrent tests, for `*.sim.test.ts`. Explored: many schedules of the threads. On threads: the threads one after the
 * other, in several orders, so that the same assertions hold of the plain build too.
 */

import { describe, test } from 'vitest';
import type { Heap } from '../../src/arena/heap.ts';
import type { Sim } from '../../src/base/sim.ts';
import type { LockStatsHook } from '../../src/cpu/hooks.ts';
import type { Task } from '../../src/cpu/task.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { explore, type Exploration, type ExploreOptions, type Program } from '../../src/explore/explore.ts';
import { MachineWorld } from '../../src/explore/machineWorld.ts';
import type { AccessObserver } from '../../src/explore/observer.ts';
import type { Thread, ViolationSink } from '../../src/explore/world.ts';
import { callSim } from '../../src/instrument/runtime.ts';
import { allDetectors } from './detectors.ts';
import { failureOf } from './failure.ts';
import { Kernel, type KernelOptions } from './kernel.ts';
import { explored } from './simTest.ts';

const DEFAULT_EXECUTIONS = 300;
/** All orders of three threads; more threads are rotated. */
const MAX_PERMUTED = 3;

export interface Concurrent<Shared> extends KernelOptions {
  /** Prepares memory, once, alone; what it returns (addresses) every thread gets. */
  readonly setup: (kernel: Kernel) => Sim<Shared>;
  /** Thread i runs as task i + 1. */
  readonly threads: readonly ((task: Task, shared: Shared) => Sim<void>)[];
  /** What must hold once all threads have finished; runs alone, as the first task. */
  readonly check?: (kernel: Kernel, shared: Shared) => Sim<void>;
  /** Called before each execution: puts back what the test keeps outside the machine. */
  readonly fresh?: () => void;
  /** Schedules to try; 300 by default. */
  readonly executions?: number;
  readonly seed?: number;
  readonly maxSteps?: number;
  /** The threads wait for each other: they cannot run one after the other, and the test is skipped on threads. */
  readonly meets?: boolean;
  /** What looks at every access: all detectors in a test that must hold under every schedule, else none. */
  readonly observers?: readonly AccessObserver[];
}

/** Registers a test that must hold under every schedule tried. */
export function simConcurrent<Shared>(name: string, concurrent: Concurrent<Shared>): void {
  if (explored) {
    test(name, () => {
      const { firstFailure } = exploreConcurrent({ ...allDetectors(concurrent.rules ?? LINUX_7_0), ...concurrent });
      if (firstFailure !== null) throw failureOf(firstFailure);
    });
    return;
  }
  describe.skipIf(concurrent.meets === true)(name, () => {
    test.each(orders(concurrent.threads.length))('one after the other: $order', ({ order }) =>
      runInOrder(concurrent, order),
    );
  });
}

/** Registers a test of what an exploration finds. Threads cannot be made to fail on request: skipped there. */
export function simExplore<Shared>(
  name: string,
  concurrent: Concurrent<Shared> & Partial<ExploreOptions>,
  judge: (found: Exploration) => void,
): void {
  test.skipIf(!explored)(name, () => judge(exploreConcurrent(concurrent)));
}

/** The program of a concurrent test, to explore or replay by hand. */
export function programOf<Shared>(concurrent: Concurrent<Shared>): Program<Lane<Shared>, ConcurrentWorld<Shared>> {
  const { setup, threads, check, fresh } = concurrent;
  const program = {
    setup: (sink: ViolationSink): Sim<ConcurrentWorld<Shared>> => {
      const kernel = new Kernel(concurrent, sink);
      const shared = setup(kernel);
      return new ConcurrentWorld(kernel, shared, fresh);
    },
    threads: threads.map(laneThread),
  };
  if (check === undefined) return program;
  return { ...program, check: (world: ConcurrentWorld<Shared>): Sim<void> => check(world.kernel, world.shared) };
}

export interface Lane<Shared> {
  readonly task: Task;
  readonly shared: Shared;
}

export class ConcurrentWorld<Shared> {
  readonly heap: Heap;
  readonly kernel: Kernel;
  readonly shared: Shared;
  private readonly machine: MachineWorld;
  private readonly fresh: (() => void) | undefined;

  constructor(kernel: Kernel, shared: Shared, fresh: (() => void) | undefined) {
    this.heap = kernel.heap;
    this.kernel = kernel;
    this.shared = shared;
    this.fresh = fresh;
    this.machine = new MachineWorld(kernel.heap, (index) => kernel.taskOn(index + 1));
  }

  restore(): void {
    this.machine.restore();
    this.kernel.forgetTasks();
    this.fresh?.();
  }

  task(index: number): Lane<Shared> {
    return { task: this.machine.task(index), shared: this.shared };
  }

  describeWait(index: number, word: number) {
    return this.machine.describeWait(index, word);
  }

  get names() {
    return this.machine.names;
  }

  waitsFor(index: number): number {
    return this.machine.waitsFor(index);
  }

  watchLocks(hook: LockStatsHook | null): void {
    this.machine.watchLocks(hook);
  }
}

function laneThread<Shared>(body: (task: Task, shared: Shared) => Sim<void>): Thread<Lane<Shared>> {
  return (lane: Lane<Shared>): Sim<void> => body(lane.task, lane.shared);
}

function exploreConcurrent<Shared>(concurrent: Concurrent<Shared> & Partial<ExploreOptions>): Exploration {
  const { executions = DEFAULT_EXECUTIONS, seed, maxSteps, strategy, keepGoing, memory } = concurrent;
  const { observers } = concurrent;
  return explore({ ...programOf(concurrent), observers, executions, seed, maxSteps, strategy, keepGoing, memory });
}

function runInOrder<Shared>(concurrent: Concurrent<Shared>, order: readonly number[]): void {
  const sink: ViolationSink = (violation) => {
    throw new Error(`${violation.title}\n${violation.evidence.join('\n')}`);
  };
  concurrent.fresh?.();
  const run = (kernel: Kernel): Sim<void> => {
    const shared = concurrent.setup(kernel);
    for (const index of order) concurrent.threads[index](kernel.taskOn(index + 1), shared);
    concurrent.check?.(kernel, shared);
  };
  callSim(run, new Kernel(concurrent, sink));
}

function orders(threads: number): { order: number[] }[] {
  const all = Array.from({ length: threads }, (_, index) => index);
  const rotated = (first: number): number[] => [...all.slice(first), ...all.slice(0, first)];
  const found = threads > MAX_PERMUTED ? all.map(rotated) : permutations(all);
  return found.map((order) => ({ order }));
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) => permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]));
}
