/**
 * Concurrent tests under schedules with one or two preemptions, in which a thread stands still between two steps for as
 * long as whole operations of others take: what a random schedule hardly ever does.
 *
 *   once    thread A runs some number of steps, then the others run to their ends or until they wait for it, then it goes on;
 *           every number of steps is tried
 *   twice   A runs some steps, then B some, then A to its end, then B; drawn at random
 */
import { expect } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { UNLIMITED, type SchedulerView, type Strategy } from '../../src/explore/strategy.ts';
import { failureOf } from '../support/failure.ts';
import { simExplore, type Concurrent } from '../support/simConcurrent.ts';

/** More than any thread of a test has steps: the strategy itself ends the exploration. */
const MOST_EXECUTIONS = 50_000;
const SAMPLES = 1000;

/** Runs threads for given numbers of steps, one after the other, then all of them to their ends. */
abstract class CutStrategy implements Strategy {
  abstract readonly name: string;
  /** Threads and the steps each may still make before it is the next one's turn. */
  protected turns: { thread: number; left: number }[] = [];
  /** Who goes first once all turns are over: bits, lowest first, and then everybody else. */
  protected preferred = 0;
  /** Steps of each thread in the execution before, and in this one. */
  protected lengths: number[] = [];
  private steps: number[] = [];
  private stepsBefore = 0;

  abstract begin(execution: number): boolean;

  protected start(turns: { thread: number; left: number }[], preferred: number): void {
    this.turns = turns;
    this.preferred = preferred;
    this.steps = [];
    this.stepsBefore = 0;
  }

  choose(view: SchedulerView): number {
    const [turn] = this.turns;
    const made = this.countSteps(view);
    if (turn !== undefined && view.current === turn.thread) turn.left -= made;
    while (this.turns.length > 0) {
      const [{ thread, left }] = this.turns;
      if (left > 0 && (view.runnable & (1 << thread)) !== 0) {
        view.budget = left - 1;
        return thread;
      }
      this.turns.shift();
    }
    view.budget = UNLIMITED;
    const runnable = view.runnable & this.preferred || view.runnable;
    return 31 - Math.clz32(runnable & -runnable);
  }

  end(view: SchedulerView): void {
    this.countSteps(view);
    this.lengths = this.steps;
  }

  private countSteps({ current, steps }: SchedulerView): number {
    const made = steps - this.stepsBefore;
    if (current >= 0) this.steps[current] = (this.steps[current] ?? 0) + made;
    this.stepsBefore = steps;
    return made;
  }
}

/** Preempts one thread behind its first, second, ... step. */
class PreemptOnce extends CutStrategy {
  readonly name = 'preempt-once';
  private readonly victim: number;

  constructor(victim: number) {
    super();
    this.victim = victim;
  }

  begin(execution: number): boolean {
    // In the execution before, the thread was to be preempted behind its last step, or later.
    if (execution > 0 && (this.lengths[this.victim] ?? 0) < execution) return false;
    this.start([{ thread: this.victim, left: execution }], ~(1 << this.victim));
    return true;
  }
}

/** Two turns of random length. */
class PreemptTwice extends CutStrategy {
  readonly name = 'preempt-twice';
  private readonly first: number;
  private readonly second: number;
  private readonly prng = Prng.fromSeed(1);

  constructor(first: number, second: number) {
    super();
    this.first = first;
    this.second = second;
  }

  begin(): boolean {
    const turns = [this.first, this.second].map((thread) => {
      return { thread, left: this.prng.below((this.lengths[thread] ?? 0) + 1) };
    });
    this.start(turns, 1 << this.first);
    return true;
  }
}

/** One test per thread: the program must hold wherever that thread is preempted. Explored build only. */
export function simPreempted<Shared>(name: string, concurrent: Concurrent<Shared>): void {
  for (let victim = 0; victim < concurrent.threads.length; victim++) {
    runWith(`${name} (thread ${victim} preempted)`, concurrent, new PreemptOnce(victim), MOST_EXECUTIONS);
  }
}

/** A test in which the first two threads are preempted, the first one first. Explored build only. */
export function simPreemptedTwice<Shared>(name: string, concurrent: Concurrent<Shared>): void {
  runWith(`${name} (threads 0 and 1 preempted)`, concurrent, new PreemptTwice(0, 1), SAMPLES);
}

function runWith<Shared>(name: string, concurrent: Concurrent<Shared>, strategy: Strategy, executions: number): void {
  simExplore(name, { ...concurrent, executions, strategy }, ({ firstFailure, executions: done }) => {
    if (firstFailure !== null) throw failureOf(firstFailure);
    expect(done).toBeGreaterThan(1);
  });
}
