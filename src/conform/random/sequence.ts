/**
 * Random sequences of operations on simulated processes, held against the plain model after each step. Simulated code: the
 * same functions run in both builds.
 */

import type { Access, Sim } from '../../base/sim.ts';
import type { Task } from '../../cpu/task.ts';
import { NO_MM, type MmPtr, type Vpn } from '../../layout/ids.ts';
import { synchronizeRcu } from '../../locks/rcu.ts';
import { mmAlloc } from '../../mm/mmStruct.ts';
import { setMmapWindow } from '../../mm/userSpace.ts';
import { executeStep, exitProcess, type SimulatedProcess } from '../execute.ts';
import { observeProcess, type ObservedProcess } from '../observe.ts';
import type { Action, Result } from '../traceFormat.ts';
import type { LiveProcesses } from './draw.ts';
import { observedProblems } from './observedProblems.ts';
import { SpaceModel } from './spaceModel.ts';

/** Pages of the window: few, so that mappings meet. */
export const SEQUENCE_WINDOW = 24;

export interface Sequence {
  readonly task: Task;
  /** The next step, null for none this time, undefined at the end. */
  readonly next: (alive: LiveProcesses) => Action | null | undefined;
  /** Receives each step before it is made. */
  readonly log: Action[];
}

/** Runs the steps on simulated processes and on the model. @throws Error where they part */
export function runSequence({ task, next, log }: Sequence): Sim<void> {
  const model = new SpaceModel(SEQUENCE_WINDOW);
  const processes = startProcess(task);
  for (let action = next(model); action !== undefined; action = next(model)) {
    if (action === null) continue;
    log.push(action);
    const vmaEnd = vmaEndOf(task, processes, action);
    const result = executeStep(task, processes, action);
    const observed = observeAll(task, processes);
    check(model.perform(action, vmaEnd), result, model.differences(observed, task.heap, processes));
    check(0, 0, observedProblems(observed));
  }
  exitAll(task, processes);
}

/**
 * Runs the steps while allocations fail at random: whatever fails must leave processes whole. There is no model of what
 * they then hold. @throws Error when page tables, VMAs and counts contradict each other
 */
export function runShortOfMemory({ task, next, log }: Sequence): Sim<void> {
  const processes = startProcess(task);
  for (
    let action = next(liveProcesses(task, processes));
    action !== undefined;
    action = next(liveProcesses(task, processes))
  ) {
    if (action === null) continue;
    // A fork that failed has no child: the numbers of later ones are taken from those that there are.
    const step = action.op === 'fork' ? { ...action, child: processes.length } : action;
    log.push(step);
    executeStep(task, processes, step);
    check(0, 0, observedProblems(observeAll(task, processes)));
  }
  exitAll(task, processes);
}

function startProcess(task: Task): Sim<SimulatedProcess[]> {
  let mm: MmPtr = NO_MM;
  while (mm === NO_MM) mm = mmAlloc(task);
  setMmapWindow(task, mm, 0 as Vpn, SEQUENCE_WINDOW as Vpn);
  return [{ mm, pins: new Map() }];
}

function exitAll(task: Task, processes: readonly SimulatedProcess[]): Sim<void> {
  for (const process of processes) if (process.mm !== NO_MM) exitProcess(task, process);
  synchronizeRcu(task);
}

function observeAll(task: Task, processes: readonly SimulatedProcess[]): Access<Map<number, ObservedProcess>> {
  const observed = new Map<number, ObservedProcess>();
  for (const [p, { mm }] of processes.entries()) if (mm !== NO_MM) observed.set(p, observeProcess(task.heap, mm));
  return observed;
}

function liveProcesses(task: Task, processes: readonly SimulatedProcess[]): Access<LiveProcesses> {
  const mapped = new Map<number, Map<number, true>>();
  for (const [p, { vmas }] of observeAll(task, processes)) {
    const pages = new Map<number, true>();
    for (const { start, end } of vmas) for (let page = start; page < end; page++) pages.set(page, true);
    mapped.set(p, pages);
  }
  return { processes: mapped, pinsOf: (p) => [...processes[p].pins.keys()] };
}

/** End of the VMA around the first page that an mremap names. */
function vmaEndOf(task: Task, processes: readonly SimulatedProcess[], action: Action): Access<number> {
  if (action.op !== 'mremap') return 0;
  const page = Number(action.at.text);
  const { vmas } = observeProcess(task.heap, processes[action.p].mm);
  return vmas.find(({ start, end }) => start <= page && page < end)?.end ?? 0;
}

function check(expected: Result, actual: Result, differences: readonly string[]): void {
  if (expected !== actual) throw new Error(`the result is ${actual}, should be ${expected}`);
  if (differences.length > 0) throw new Error(differences.join('; '));
}
