/**
 * Cuts a failing program and its schedule down to what the failure needs: threads, operations, preemptions, steps, in this
 * order. The failure stays the same finding (kind and signature). Deterministic: the budget counts executions.
 */

import { findingId, type Violation } from '../base/finding.ts';
import { UsageError } from '../base/usageError.ts';
import type { Program } from './explore.ts';
import { FailureSearch, type Budget, type Failing } from './failureSearch.ts';
import { fewestPreemptions } from './fewestPreemptions.ts';
import { minimiseSchedule, searchUpTo } from './minimiseSchedule.ts';
import { PickRecorder } from './pickRecorder.ts';
import { keepAll, reduceProgram, type Kept } from './reduceProgram.ts';
import { Runner, memoryOf, type RunnerOptions } from './runner.ts';
import { replayStrategy } from './replayStrategy.ts';
import { randomStrategy } from './randomStrategy.ts';
import type { Schedule } from './schedule.ts';
import { segmentsOf, type Effort } from './segmentStrategy.ts';
import type { World } from './world.ts';

const DEFAULT_EXECUTIONS = 10_000;
/** Share of the executions for cutting what was found; the others are for the search for fewer preemptions. */
const NEAR_SHARE = 5;
/** Share of what is left that one smaller program may use before it counts as one that does not fail. */
const SHARE_OF_ONE_TRY = 8;
/** A simpler failure may take so many times the steps of the first one, and some more. */
const LONGER = 4;
const MORE_STEPS = 1000;
/** Preemptions tried in a smaller program. */
const PREEMPTIONS_OF_ONE_TRY = 2;

export interface MinimiseOptions {
  /** Executions to spend. */
  readonly executions?: number | undefined;
  readonly maxSteps?: number | undefined;
}

/** What a failing program and its schedule consist of. */
export interface FailureSize extends Effort {
  /** Threads that do anything. */
  readonly threads: number;
  readonly operations: number;
}

/** A failure as it was found, and what was left of it. */
export interface Cut {
  readonly before: FailureSize;
  readonly after: FailureSize;
}

export interface Minimised<T, W extends World<T>> extends Cut {
  /** The program that is left: reduceProgram(program, kept). */
  readonly program: Program<T, W>;
  readonly kept: Kept;
  readonly schedule: Schedule;
  readonly violations: readonly Violation[];
  /** Executions it took. */
  readonly executions: number;
}

/**
 * Minimises a failure. @param schedule one that fails
 * @throws UsageError when the program does not fail under it
 */
export function minimise<T, W extends World<T>>(
  program: Program<T, W>,
  schedule: Schedule,
  { executions = DEFAULT_EXECUTIONS, maxSteps }: MinimiseOptions = {},
): Minimised<T, W> {
  const budget: Budget = { left: Math.ceil(executions / NEAR_SHARE) };
  const far = executions - budget.left;
  const memory = memoryOf(program, schedule);
  const { wanted, limit } = failureOf(program, schedule, { maxSteps, memory });
  const options = { maxSteps: limit, memory };
  const first = new FailureSearch(program, wanted, budget, options);
  const original = first.attempt(segmentsOf(schedule), picksByTask(program, schedule, options));
  if (original === null) throw new UsageError('the program does not fail under this schedule');
  const all = keepAll(program);
  const reduction = new Reduction(program, wanted, budget, options);
  const { kept, failing } = reduction.reduce(all, original);
  const smaller = sameOperations(kept, all) ? program : reduceProgram(program, kept);
  const search = smaller === program ? first : new FailureSearch(smaller, wanted, budget, options);
  const near = minimiseSchedule(search, failing);
  budget.left += far;
  const least = fewestPreemptions(search, near);
  return {
    program: smaller,
    kept,
    schedule: least.schedule,
    violations: least.violations,
    before: sizeOf(all, original),
    after: sizeOf(kept, least),
    executions: executions - budget.left,
  };
}

/** Takes threads and operations out. */
class Reduction<T, W extends World<T>> {
  private readonly program: Program<T, W>;
  private readonly wanted: string;
  private readonly budget: Budget;
  private readonly options: RunnerOptions;

  constructor(program: Program<T, W>, wanted: string, budget: Budget, options: RunnerOptions) {
    this.program = program;
    this.wanted = wanted;
    this.budget = budget;
    this.options = options;
  }

  reduce(all: Kept, original: Failing): { kept: Kept; failing: Failing } {
    let kept = all;
    let failing = original;
    const tryKeeping = (candidate: Kept): boolean => {
      const found = this.fails(candidate, failing);
      if (found === null) return false;
      kept = candidate;
      failing = found;
      return true;
    };
    for (let thread = 0; thread < all.length; thread++) {
      if (kept[thread].length === 0 || activeThreads(kept) === 1) continue;
      tryKeeping(replaceAt(kept, thread, []));
    }
    for (let thread = 0; thread < all.length; thread++) {
      for (const operation of all[thread].toReversed()) {
        if (kept[thread].length <= 1) break;
        tryKeeping(
          replaceAt(
            kept,
            thread,
            kept[thread].filter((other) => other !== operation),
          ),
        );
      }
    }
    return { kept, failing };
  }

  /** Whether a smaller program still has the finding: under what is left of the schedule, or with few preemptions. */
  private fails(kept: Kept, { segments, picks }: Failing): Failing | null {
    const share: Budget = { left: Math.ceil(this.budget.left / SHARE_OF_ONE_TRY) };
    const given = share.left;
    if (given <= 0) return null;
    const search = new FailureSearch(reduceProgram(this.program, kept), this.wanted, share, this.options);
    const rest = segments.filter(({ task }) => task >= kept.length || kept[task].length > 0);
    const found = search.attempt(rest, picks) ?? searchUpTo(search, picks, PREEMPTIONS_OF_ONE_TRY);
    this.budget.left -= given - share.left;
    return found;
  }
}

/**
 * Id of what the program fails with under the schedule, and the number of steps within which it must.
 * @throws UsageError when it does not fail
 */
function failureOf<T, W extends World<T>>(
  program: Program<T, W>,
  schedule: Schedule,
  options: RunnerOptions,
): { wanted: string; limit: number | undefined } {
  const { violations, steps } = new Runner(program, options).run(replayStrategy(schedule, randomStrategy(0)));
  if (violations.length === 0) throw new UsageError('the program does not fail under this schedule');
  const [violation] = violations;
  const { maxSteps } = options;
  // What gets nowhere is given up early, unless getting nowhere is the finding.
  const limit = violation.kind === 'livelock' ? maxSteps : Math.min(maxSteps ?? Infinity, steps * LONGER + MORE_STEPS);
  return { wanted: findingId(violation), limit };
}

/** The picks of a schedule, each with the task that asked for it. */
function picksByTask<T, W extends World<T>>(
  program: Program<T, W>,
  schedule: Schedule,
  options: RunnerOptions,
): number[][] {
  if (schedule.picks.length === 0) return Array.from({ length: schedule.tasks }, () => []);
  const recorder = new PickRecorder(replayStrategy(schedule, randomStrategy(0)));
  new Runner(program, options).run(recorder);
  return recorder.picked;
}

function sizeOf(kept: Kept, { effort }: Failing): FailureSize {
  return { threads: activeThreads(kept), operations: kept.reduce((sum, { length }) => sum + length, 0), ...effort };
}

function activeThreads(kept: Kept): number {
  return kept.filter(({ length }) => length > 0).length;
}

function replaceAt(kept: Kept, thread: number, operations: readonly number[]): Kept {
  return kept.map((old, index) => (index === thread ? operations : old));
}

function sameOperations(a: Kept, b: Kept): boolean {
  return a.every(({ length }, thread) => length === b[thread].length);
}
