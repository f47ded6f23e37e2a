/**
 * One case on a freshly booted machine: each step is executed, the state observed and held against the recording. Written
 * as simulated code, so that the same function runs directly on the thread or as the one coroutine of an explored run.
 */

import { CACHE_NAMES } from '../arena/header.ts';
import type { Heap } from '../arena/heap.ts';
import type { Access, Sim } from '../base/sim.ts';
import type { Task } from '../cpu/task.ts';
import { NO_MM } from '../layout/ids.ts';
import { KSM_RUN_UNMERGE } from '../layout/ksm.ts';
import { setMmMemlockLimit } from '../layout/mm.ts';
import { synchronizeRcu } from '../locks/rcu.ts';
import { ksmSetRun } from '../mm/ksmd.ts';
import { mmAlloc } from '../mm/mmStruct.ts';
import { findDifference, type Difference } from './compare.ts';
import { executeStep, exitProcess, type SimulatedProcess } from './execute.ts';
import { createFrameLabels, labelState } from './frameLabels.ts';
import { countObjects, type ObjectCounts } from './machine.ts';
import { observeProcess, type ObservedProcess } from './observe.ts';
import { INITIAL_STATE } from './readDelta.ts';
import type { Result, TraceCase, TraceState } from './traceFormat.ts';

/** What a step led to. */
export interface StepOutcome {
  readonly step: number;
  readonly result: Result;
  readonly state: TraceState;
}

/** How far a case came; written as it runs, so that it is there when the simulated kernel gives up in the middle. */
export interface CaseProgress {
  /** The step that runs now; the number of steps when all are done. */
  step: number;
  /** The simulated state before that step. */
  before: TraceState;
  /** Where simulation and recording part; nothing is run after that. */
  divergence: (StepOutcome & { readonly difference: Difference }) | null;
}

export function createProgress(): CaseProgress {
  return { step: 0, before: INITIAL_STATE, divergence: null };
}

/** What a run needs, in one value: a coroutine is started with one argument. */
export interface CaseRun {
  readonly task: Task;
  readonly trace: TraceCase;
  /** What the machine holds when nobody runs. */
  readonly atBoot: ObjectCounts;
  readonly progress: CaseProgress;
  /** Told of each step that agreed. */
  readonly onStep: ((outcome: StepOutcome) => void) | null;
}

/**
 * Runs a case to its end or to its first divergence. After the last step all processes exit, and the machine must be
 * as empty as after boot.
 */
export function runCase({ task, trace, atBoot, progress, onStep }: CaseRun): Sim<void> {
  const processes: SimulatedProcess[] = [{ mm: mmAlloc(task), pins: new Map() }];
  if (trace.memlock !== null) setMmMemlockLimit(task.heap, processes[0].mm, trace.memlock);
  const frames = createFrameLabels();
  for (const [step, { action, result: recorded, after }] of trace.steps.entries()) {
    progress.step = step;
    const result = executeStep(task, processes, action);
    const observed = observeAll(task.heap, processes);
    const state = labelState(frames, observed, action.op === 'ksm');
    const outcome = { step, result, state };
    const difference = findLeftover(observed) ?? findDifference({ result: recorded, state: after }, outcome);
    if (difference !== null) {
      progress.divergence = { ...outcome, difference };
      return;
    }
    progress.before = state;
    if (onStep !== null) onStep(outcome);
  }
  progress.step = trace.steps.length;
  for (const process of processes) if (process.mm !== NO_MM) exitProcess(task, process);
  // Nothing is left to take apart, but KSM only forgets what has ended when it comes by.
  ksmSetRun(task, KSM_RUN_UNMERGE);
  synchronizeRcu(task);
  const difference = findLeak(atBoot, countObjects(task.heap));
  if (difference !== null) progress.divergence = { step: progress.step, result: 0, state: new Map(), difference };
}

function observeAll(heap: Heap, processes: readonly SimulatedProcess[]): Access<Map<number, ObservedProcess>> {
  const observed = new Map<number, ObservedProcess>();
  for (const [p, { mm }] of processes.entries()) if (mm !== NO_MM) observed.set(p, observeProcess(heap, mm));
  return observed;
}

/** An entry that is neither present nor empty, when nothing is going on: a migration was not undone. */
function findLeftover(observed: ReadonlyMap<number, ObservedProcess>): Difference | null {
  for (const [process, { leftovers }] of observed) {
    if (leftovers.length === 0) continue;
    return { aspect: 'leftover', process, page: leftovers[0], expected: [], actual: leftovers };
  }
  return null;
}

function findLeak(atBoot: ObjectCounts, now: ObjectCounts): Difference | null {
  const leaked = CACHE_NAMES.filter((name) => now[name] !== atBoot[name]);
  if (leaked.length === 0) return null;
  const pick = (counts: ObjectCounts) => Object.fromEntries(leaked.map((name) => [name, counts[name]]));
  return { aspect: 'leak', process: null, page: null, expected: pick(atBoot), actual: pick(now) };
}
