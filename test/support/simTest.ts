/**
 * Tests of simulated code, for `*.sim.test.ts`: vitest runs such a file twice, on the source as it is (`threads`) and on
 * the explored build, where the pass has made the body a coroutine.
 */

import { test } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import type { Sim } from '../../src/base/sim.ts';
import { explore } from '../../src/explore/explore.ts';
import type { SchedulerView, Strategy } from '../../src/explore/strategy.ts';
import type { ViolationSink, World } from '../../src/explore/world.ts';
import { callSim, isExploredBuild } from '../../src/instrument/runtime.ts';
import { failureOf } from './failure.ts';
import { Kernel, type KernelOptions } from './kernel.ts';

/** True in vitest's `explored` project. */
export const explored = isExploredBuild((): Sim<void> => {});

/** A lone task that yields at every third point or so: both ways to pass a point are taken. */
class Stutter implements Strategy {
  readonly name = 'stutter';
  private readonly prng = Prng.fromSeed(1);

  begin(): boolean {
    return true;
  }

  choose(view: SchedulerView): number {
    view.budget = this.prng.below(4);
    return 31 - Math.clz32(view.runnable);
  }

  end(): void {
    // One execution only.
  }
}

/** Registers a test of one task on a machine of its own. A violation that a hook reports fails it. */
export function simTest(name: string, body: (kernel: Kernel) => Sim<void>, options: KernelOptions = {}): void {
  test(name, () => {
    if (explored) runExplored(body, options);
    else runOnThread(body, options);
  });
}

function runOnThread(body: (kernel: Kernel) => Sim<void>, options: KernelOptions): void {
  const sink: ViolationSink = (violation) => {
    throw new Error(`${violation.title}\n${violation.evidence.join('\n')}`);
  };
  callSim(body, new Kernel(options, sink));
}

function runExplored(body: (kernel: Kernel) => Sim<void>, options: KernelOptions): void {
  const setup = (sink: ViolationSink): Sim<World<Kernel>> => {
    const kernel = new Kernel(options, sink);
    return { heap: kernel.heap, restore: () => undefined, task: () => kernel };
  };
  const { firstFailure } = explore({ setup, threads: [body], executions: 1, strategy: new Stutter() });
  if (firstFailure !== null) throw failureOf(firstFailure);
}
