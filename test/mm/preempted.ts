/**
 * Concurrent tests under every schedule with one preemption of one thread: it runs some number of steps, then the others
 * run to their ends one after the other (or until they wait for it), then it goes on. Finds what a random schedule misses:
 * a thread that stands still between two steps for as long as whole operations of others take.
 */
import { expect } from 'vitest';
import { UNLIMITED, type SchedulerView, type Strategy } from '../../src/explore/strategy.ts';
import { failureOf } from '../support/failure.ts';
import { simExplore, type Concurrent } from '../support/simConcurrent.ts';

/** More than any thread of a test has steps: the strategy ends the exploration. */
const EXECUTIONS = 50_000;

class PreemptOnce implements Strategy {
  readonly name = 'preempt-once';
  private readonly victim: number;
  /** Steps of the victim before it is preempted, those still to come, and whether it got that far. */
  private cut = 0;
  private left = 0;
  private reached = true;
  private stepsBefore = 0;

  constructor(victim: number) {
    this.victim = victim;
  }

  begin(execution: number): boolean {
    if (!this.reached) return false;
    this.cut = execution;
    this.left = this.cut;
    this.reached = this.cut === 0;
    this.stepsBefore = 0;
    return true;
  }

  choose(view: SchedulerView): number {
    const { victim } = this;
    const victimRuns = (view.runnable & (1 << victim)) !== 0;
    if (view.current === victim) this.left = Math.max(this.left - (view.steps - this.stepsBefore), 0);
    this.stepsBefore = view.steps;
    if (this.left === 0) this.reached = true;
    if (victimRuns && this.left > 0) {
      view.budget = this.left - 1;
      return victim;
    }
    view.budget = UNLIMITED;
    const others = view.runnable & ~(1 << victim);
    return others === 0 ? victim : 31 - Math.clz32(others & -others);
  }

  end(): void {
    // What counts is whether the cut was reached, and that is known already.
  }
}

/** Registers one test per thread: the program must hold wherever that thread is preempted. Explored build only. */
export function simPreempted<Shared>(name: string, concurrent: Concurrent<Shared>): void {
  for (let victim = 0; victim < concurrent.threads.length; victim++) {
    const strategy = new PreemptOnce(victim);
    simExplore(`${name} (thread ${victim} preempted)`, { ...concurrent, executions: EXECUTIONS, strategy }, (found) => {
      if (found.firstFailure !== null) throw failureOf(found.firstFailure);
      expect(found.executions).toBeLessThan(EXECUTIONS);
    });
  }
}
