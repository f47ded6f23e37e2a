/**
 * Explains an execution by running its schedule once more, this time writing everything down: accesses with their call
 * stacks, lock operations, sleeps, wake-ups, choices, and the moment a detector spoke. Exploring collects none of it.
 */

import type { Violation } from '../base/finding.ts';
import type { Sim } from '../base/sim.ts';
import { plainNames } from '../check/wordNames.ts';
import { L } from '../instrument/runtime.ts';
import type { LockEvent, Trace, WaitEdge } from '../report/trace.ts';
import { TraceRecorder } from './explainRecorder.ts';
import { parseFrames } from './explainStack.ts';
import type { Program } from './explore.ts';
import { randomStrategy } from './randomStrategy.ts';
import { replayStrategy } from './replayStrategy.ts';
import { Runner, memoryOf } from './runner.ts';
import type { Schedule } from './schedule.ts';
import type { ViolationSink, World } from './world.ts';

export interface ExplainOptions {
  readonly maxSteps?: number | undefined;
  /** Decides past the end of the schedule. */
  readonly seed?: number | undefined;
}

/** Runs a program once under a recorded schedule and tells what happened. */
export function explain<T, W extends World<T>>(
  program: Program<T, W>,
  schedule: Schedule,
  { maxSteps, seed = 0 }: ExplainOptions = {},
): Trace {
  const told = new Told();
  const runner = new Runner(tellingProgram(program, told), { maxSteps, memory: memoryOf(program, schedule) });
  const { world } = runner;
  const names = world.names ?? plainNames({});
  const strategy = replayStrategy(schedule, randomStrategy(seed));
  const recorder = new TraceRecorder(world, names, strategy);
  told.recorder = recorder;
  world.watchLocks?.(recorder);
  L.trace = (at, kind, value) => recorder.access(at, kind, value);
  try {
    const { verdict, violations, steps, thrown } = runner.run(recorder);
    if (thrown === undefined) recorder.close();
    const stack = thrown instanceof Error ? parseFrames(thrown.stack ?? '') : [];
    for (const violation of violations) {
      if (told.violations.has(violation)) continue;
      recorder.found(violation, told.isOver || thrown === undefined, () => stack);
    }
    const [threads, daemons] = [program.threads.length, program.daemons?.length ?? 0];
    const tasks = taskNames(threads, daemons, schedule.tasks);
    const { events } = recorder;
    const waits = verdict === 'deadlock' ? waitEdges(world, threads + daemons, events.filter(isLock)) : [];
    return { tasks, events, verdict, violations, steps, waits, divergedAt: strategy.divergedAt };
  } finally {
    L.trace = null;
    world.watchLocks?.(null);
  }
}

/** Whom the detectors' reports are passed on to, and what was. */
class Told {
  recorder: TraceRecorder<unknown> | null = null;
  readonly violations = new Set<Violation>();
  isOver = false;

  sink(violation: Violation): void {
    this.violations.add(violation);
    this.recorder?.found(violation, this.isOver);
  }
}

/** The same program, whose detectors' reports are heard at the moment they are made. */
function tellingProgram<T, W extends World<T>>(program: Program<T, W>, told: Told): Program<T, W> {
  const { setup, check } = program;
  const telling = (sink: ViolationSink): ViolationSink => {
    return (violation) => {
      told.sink(violation);
      sink(violation);
    };
  };
  const heard = { ...program, setup: (sink: ViolationSink): Sim<W> => setup(telling(sink)) };
  if (check === undefined) return heard;
  return {
    ...heard,
    check: (world: W, sink: ViolationSink): Sim<void> => {
      told.isOver = true;
      check(world, telling(sink));
    },
  };
}

/** Threads are CPUs; daemons come behind them, then the store buffers of both. */
function taskNames(threads: number, daemons: number, tasks: number): string[] {
  const names: string[] = [];
  for (let thread = 1; thread <= threads; thread++) names.push(`CPU${thread}`);
  for (let daemon = 1; daemon <= daemons; daemon++) names.push(`daemon${daemon}`);
  for (let index = names.length; index < tasks; index++) names.push(`buffer of ${names[index - threads - daemons]}`);
  return names;
}

function isLock(event: { readonly type: string }): event is LockEvent {
  return event.type === 'lock';
}

/** Who waits for what at the end, and who holds it. */
function waitEdges<T>(world: World<T>, tasks: number, locks: readonly LockEvent[]): WaitEdge[] {
  const edges: WaitEdge[] = [];
  for (let task = 0; task < tasks; task++) {
    const lock = world.waitsFor?.(task) ?? 0;
    if (lock === 0) continue;
    edges.push({ task, what: world.names?.lock(lock) ?? `word ${lock}`, holders: holdersOf(locks, lock) });
  }
  return edges;
}

/** Tasks that have taken a lock and not dropped it. */
function holdersOf(locks: readonly LockEvent[], lock: number): number[] {
  const holds = new Map<number, number>();
  for (const event of locks) {
    if (event.lock !== lock || event.action === 'downgraded') continue;
    holds.set(event.task, (holds.get(event.task) ?? 0) + (event.action === 'acquired' ? 1 : -1));
  }
  return [...holds].filter(([, count]) => count > 0).map(([task]) => task);
}
