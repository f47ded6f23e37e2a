/** Running a program under many schedules, or under one again. */

import { AssertionError } from '../base/assert.ts';
import type { Violation } from '../base/finding.ts';
import type { Sim } from '../base/sim.ts';
import { UsageError } from '../base/usageError.ts';
import { runAlone } from '../instrument/runAlone.ts';
import { MAX_TASKS } from '../instrument/runtime.ts';
import { Execution } from './execution.ts';
import { randomStrategy } from './randomStrategy.ts';
import { replayStrategy } from './replayStrategy.ts';
import type { AccessObserver } from './observer.ts';
import type { Schedule } from './schedule.ts';
import type { Coverage, Strategy } from './strategy.ts';
import { DEFAULT_STRATEGY, strategyNamed, type StrategyName } from './strategyNamed.ts';
import { VERDICTS, type Thread, type Verdict, type ViolationSink, type World } from './world.ts';

export const DEFAULT_MAX_STEPS = 100_000;

/** A program: a world, its threads, and what must hold when all of them have finished. All of it is simulated code. */
export interface Program<T, W extends World<T> = World<T>> {
  /** Builds the world, once, alone. Detectors report to the sink. */
  readonly setup: (sink: ViolationSink) => Sim<W>;
  /** At most 31. */
  readonly threads: readonly Thread<T>[];
  /** Threads that need not finish, run as the tasks behind the others. */
  readonly daemons?: readonly Thread<T>[];
  /** Look at every access. */
  readonly observers?: readonly AccessObserver[] | undefined;
  /** Judges, alone, the end of an execution in which every thread finished: reports to the sink, or throws. */
  readonly check?: (world: W, sink: ViolationSink) => Sim<void>;
  /** Operations of the threads, for whoever cuts a failing program down (reduceProgram). */
  readonly variants?: Variants<T, W> | undefined;
}

/** A program whose threads are lists of operations. */
export interface Variants<T, W extends World<T> = World<T>> {
  /** Number of operations of each thread. */
  readonly operations: readonly number[];
  /** The same program with only these operations, by thread and in order; a thread without any does nothing. */
  keep(kept: readonly (readonly number[])[]): Program<T, W>;
}

/** How memory behaves: every store is seen at once, or it passes through its CPU's store buffer first, as on x86. */
export type Memory = 'sc' | 'tso';

export interface ExploreOptions {
  /** Any safe integer; the default strategy's. */
  readonly seed?: number | undefined;
  /** Number of executions; the strategy may end the exploration before. */
  readonly executions: number;
  /** Steps after which an execution counts as a livelock. */
  readonly maxSteps?: number | undefined;
  /** A strategy, or the name of one, which is made from the seed; `mixed` by default. */
  readonly strategy?: Strategy | StrategyName | undefined;
  /** Go on after a failure, to count them. */
  readonly keepGoing?: boolean | undefined;
  /** Run the first failure a second time, to see whether the program depends on anything but the schedule. */
  readonly confirm?: boolean | undefined;
  /** Sequentially consistent by default. */
  readonly memory?: Memory | undefined;
}

/** One failed execution. */
export interface Failure {
  readonly execution: number;
  readonly seed: number;
  readonly verdict: Exclude<Verdict, 'done' | 'pruned'>;
  readonly violations: readonly Violation[];
  readonly schedule: Schedule;
  /** What was thrown, when the verdict is `assertion` or `crash`. */
  readonly thrown: unknown;
  /** Whether its schedule brought it about a second time; only if that was asked for. */
  readonly repeats?: boolean;
}

export interface Exploration {
  readonly executions: number;
  readonly steps: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  readonly firstFailure: Failure | null;
  /** What the executions say about those that were not run. */
  readonly coverage: Coverage;
  /** Hash over every schedule and verdict: equal for equal explorations on every machine. */
  readonly traceHash: string;
}

/** Runs a program under many schedules; stops at the first failure unless told to go on. */
export function explore<T, W extends World<T>>(program: Program<T, W> & ExploreOptions): Exploration {
  return new Explorer(program, program).explore(program);
}

/** What belongs to the set-up, and what each exploration may want anew. */
export type SetUpOptions = Pick<ExploreOptions, 'maxSteps' | 'memory'>;
export type RunOptions = Omit<ExploreOptions, keyof SetUpOptions>;

/**
 * A program that is set up once and explored as often as wanted. Each exploration is what it would be alone: the world is put
 * back before every execution, and a strategy begins anew with its execution 0.
 */
export class Explorer<T, W extends World<T>> {
  private readonly program: Program<T, W>;
  private readonly maxSteps: number;
  private readonly memory: Memory;
  private prepared: Prepared<T, W> | null;

  constructor(program: Program<T, W>, { maxSteps = DEFAULT_MAX_STEPS, memory = 'sc' }: SetUpOptions) {
    this.program = program;
    this.maxSteps = maxSteps;
    this.memory = memory;
    this.prepared = this.buildParts();
  }

  explore(options: RunOptions): Exploration {
    const { seed = 0, executions, keepGoing = false, strategy: wanted = DEFAULT_STRATEGY } = options;
    const strategy = typeof wanted === 'string' ? strategyNamed(wanted, { seed }) : wanted;
    const { execution, judge } = (this.prepared ??= this.buildParts());
    execution.strategy = strategy;
    const { view } = execution;
    const verdicts = { done: 0, violation: 0, assertion: 0, crash: 0, deadlock: 0, livelock: 0, pruned: 0 };
    let firstFailure: Failure | null = null;
    let steps = 0;
    let hash = 0x811c_9dc5;
    let done = 0;
    while (done < executions && strategy.begin(done, view)) {
      const verdict = runAndJudge(execution, judge);
      strategy.end(view, verdict !== 'done' && verdict !== 'pruned');
      steps += view.steps;
      done++;
      if (verdict === 'done') {
        hash = Math.imul(execution.recorder.hash(hash), 0x0100_0193);
        verdicts.done++;
        continue;
      }
      hash = Math.imul(execution.recorder.hash(hash) ^ VERDICTS.indexOf(verdict), 0x0100_0193);
      verdicts[verdict]++;
      if (verdict === 'pruned') continue;
      if (firstFailure === null) {
        const { violations, thrown, recorder } = execution;
        const schedule = recorder.schedule(view.tasks);
        firstFailure = { execution: done - 1, seed, verdict, violations, schedule, thrown };
      }
      if (!keepGoing) break;
    }
    if (firstFailure !== null && options.confirm === true) {
      firstFailure = { ...firstFailure, repeats: this.doesRepeat(firstFailure) };
    }
    const traceHash = (hash >>> 0).toString(16).padStart(8, '0');
    return { executions: done, steps, verdicts, firstFailure, coverage: coverageOf(strategy, this.memory), traceHash };
  }

  private buildParts(): Prepared<T, W> {
    return prepare(this.program, NO_STRATEGY, this.maxSteps, this.memory);
  }

  /** Whether the failure comes again in a world that is set up for it alone. */
  private doesRepeat({ verdict, violations: [first], schedule }: Failure): boolean {
    const { program, maxSteps, memory } = this;
    // What the threads keep from a set-up is then that of another world.
    this.prepared = null;
    const again = replay(program, schedule, { maxSteps, memory });
    return again.divergedAt === null && again.verdict === verdict && again.violations[0]?.signature === first.signature;
  }
}

/** Stands where no exploration has begun. */
const NO_STRATEGY: Strategy = { name: 'none', begin: () => false, choose: () => -1, end: () => {} };

/** The searches know which steps depend on each other where memory is sequentially consistent; elsewhere they only sample. */
function coverageOf(strategy: Strategy, memory: Memory): Coverage {
  const coverage = strategy.coverage?.() ?? { verdict: 'sampled' };
  return memory === 'sc' || coverage.verdict === 'sampled' ? coverage : { verdict: 'sampled' };
}

/** One execution under a recorded schedule. */
export interface Replayed {
  readonly verdict: Verdict;
  readonly violations: readonly Violation[];
  /** What really ran: equal to the recorded one unless the program left it. */
  readonly schedule: Schedule;
  /** Step at which the program left the schedule, null if it did not. */
  readonly divergedAt: number | null;
}

/** Runs a program once under a recorded schedule. */
export function replay<T, W extends World<T>>(
  program: Program<T, W>,
  schedule: Schedule,
  options: { readonly maxSteps?: number; readonly seed?: number; readonly memory?: Memory } = {},
): Replayed {
  const tasks = taskCount(program, options.memory);
  if (schedule.tasks !== tasks) throw new UsageError(`the schedule has ${schedule.tasks} tasks, the program ${tasks}`);
  const strategy = replayStrategy(schedule, randomStrategy(options.seed ?? 0));
  const { execution, judge } = prepare(program, strategy, options.maxSteps ?? DEFAULT_MAX_STEPS, options.memory);
  strategy.begin(0, execution.view);
  const verdict = runAndJudge(execution, judge);
  strategy.end(execution.view, verdict !== 'done');
  const { violations, recorder, view } = execution;
  return { verdict, violations, schedule: recorder.schedule(view.tasks), divergedAt: strategy.divergedAt };
}

/** Everything an exploration needs, built once. */
export interface Prepared<T, W extends World<T> = World<T>> {
  readonly world: W;
  readonly execution: Execution<T>;
  /** The check at the end, or null. */
  readonly judge: (() => void) | null;
}

/** Tasks of a program; with store buffers each has an agent that drains its buffer. */
function taskCount<T, W extends World<T>>({ threads, daemons = [] }: Program<T, W>, memory: Memory = 'sc'): number {
  return (threads.length + daemons.length) * (memory === 'tso' ? 2 : 1);
}

/** Sets a program up, to be run under `strategy`. */
export function prepare<T, W extends World<T>>(
  program: Program<T, W>,
  strategy: Strategy,
  maxSteps = DEFAULT_MAX_STEPS,
  memory: Memory = 'sc',
): Prepared<T, W> {
  const { threads, daemons = [], observers = [], setup, check } = program;
  const storeBuffers = memory === 'tso';
  if (threads.length < 1 || taskCount(program, memory) > MAX_TASKS) {
    const most = storeBuffers ? MAX_TASKS >> 1 : MAX_TASKS;
    throw new UsageError(`${threads.length + daemons.length} threads: 1 to ${most} can be explored`);
  }
  let execution: Execution<T> | null = null;
  const sink: ViolationSink = (violation) => {
    if (execution === null) throw new AssertionError(`the set-up is at fault itself: ${violation.title}`);
    execution.take(violation);
  };
  const world = runAlone(setup, sink);
  execution = new Execution({ world, threads, daemons, strategy, observers, maxSteps, storeBuffers });
  if (check === undefined) return { world, execution, judge: null };
  return { world, execution, judge: () => runAlone(check, world, sink) };
}

/** One execution and, if every thread finished, the check at the end. */
export function runAndJudge<T>(execution: Execution<T>, judge: (() => void) | null): Verdict {
  const verdict = execution.run();
  if (verdict !== 'done' || judge === null) return verdict;
  try {
    judge();
  } catch (error) {
    return execution.takeThrown(error, 'the check at the end');
  }
  return execution.violations.length > 0 ? 'violation' : 'done';
}
