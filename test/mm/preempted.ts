/**
 * Concurrent tests under schedules with one or two preemptions, in which a thread stands still between two steps for as
 * long as whole operations of others take: what a random schedule hardly ever does.
 *
 *   once    thread A runs some number of steps, then the others run to their ends or until they wait for it, then it goes on;
 *           every number of steps is tried
 *   twice   A runs some steps, then B some, then A to its end, then B; drawn at random
 */
import { expect } from 'vitest';
import { preemptTwiceStrategy } from '../../src/explore/preemptTwiceStrategy.ts';
import { stallStrategy } from '../../src/explore/stallStrategy.ts';
import type { Strategy } from '../../src/explore/strategy.ts';
import { failureOf } from '../support/failure.ts';
import { simExplore, type Concurrent } from '../support/simConcurrent.ts';

/** More than any thread of a test has steps: the strategy itself ends the exploration. */
const MOST_EXECUTIONS = 50_000;
const SAMPLES = 1000;

/** One test per thread: the program must hold wherever that thread is preempted. Explored build only. */
export function simPreempted<Shared>(name: string, concurrent: Concurrent<Shared>): void {
  for (let victim = 0; victim < concurrent.threads.length; victim++) {
    runWith(`${name} (thread ${victim} preempted)`, concurrent, stallStrategy({ victim }), MOST_EXECUTIONS);
  }
}

/** A test in which the first two threads are preempted, the first one first. Explored build only. */
export function simPreemptedTwice<Shared>(name: string, concurrent: Concurrent<Shared>): void {
  const strategy = preemptTwiceStrategy({ seed: 1, tasks: [0, 1] });
  runWith(`${name} (threads 0 and 1 preempted)`, concurrent, strategy, SAMPLES);
}

function runWith<Shared>(name: string, concurrent: Concurrent<Shared>, strategy: Strategy, executions: number): void {
  simExplore(name, { ...concurrent, executions, strategy }, ({ firstFailure, executions: done }) => {
    if (firstFailure !== null) throw failureOf(firstFailure);
    expect(done).toBeGreaterThan(1);
  });
}
