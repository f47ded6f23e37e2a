/**
 * Random sequences of operations on simulated processes. Simulated code: the same functions run in both builds.
 */
import type { Access, Sim } from '../../src/base/sim.ts';
import { describeStep } from '../../src/conform/describe.ts';
import { executeStep, exitProcess, type SimulatedProcess } from '../../src/conform/execute.ts';
import { observeProcess, type ObservedProcess } from '../../src/conform/observe.ts';
import type { Action, Result } from '../../src/conform/traceFormat.ts';
import type { Task } from '../../src/cpu/task.ts';
import { NO_MM, type MmPtr, type Vpn } from '../../src/layout/ids.ts';
import { synchronizeRcu } from '../../src/locks/rcu.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { setMmapWindow } from '../../src/mm/userSpace.ts';
import { FIRST, WINDOW, actionOf, type Command, type LiveProcesses } from './addressSpaceCommand.ts';
import { AddressSpaceModel } from './addressSpaceModel.ts';
import { observedProblems } from './observedProblems.ts';

export interface Script {
  readonly task: Task;
  readonly commands: readonly Command[];
  /** Receives each step, so that a failure can be read. */
  readonly log: string[];
}

/** Runs the commands on simulated processes and on the model. @throws Error where they part */
export function runScript({ task, commands, log }: Script): Sim<void> {
  const model = new AddressSpaceModel(WINDOW);
  const processes = startProcess(task);
  executeStep(task, processes, FIRST);
  model.perform(FIRST, 0);
  let forks = 0;
  let pins = 0;
  for (const command of commands) {
    const action = actionOf(command, model, forks, pins);
    if (action === null) continue;
    if (action.op === 'fork') forks++;
    if (action.op === 'pin') pins++;
    const vmaEnd = vmaEndOf(task, processes, action);
    const result = executeStep(task, processes, action);
    log.push(describeStep(action, result));
    check(model.perform(action, vmaEnd), result, model.differences(task.heap, processes));
    check(0, 0, observedProblems(observeAll(task, processes)));
  }
  exitAll(task, processes);
}

/**
 * Runs the commands while allocations fail at random: whatever fails must leave processes whole. There is no model of what
 * they then hold. @throws Error when page tables, VMAs and counts contradict each other
 */
export function runShortOfMemory({ task, commands, log }: Script): Sim<void> {
  const processes = startProcess(task);
  executeStep(task, processes, FIRST);
  let pins = 0;
  for (const command of commands) {
    const alive = liveProcesses(task, processes);
    const action = actionOf(command, alive, processes.length - 1, pins);
    if (action === null) continue;
    if (action.op === 'pin') pins++;
    log.push(describeStep(action, executeStep(task, processes, action)));
    check(0, 0, observedProblems(observeAll(task, processes)));
  }
  exitAll(task, processes);
}

function startProcess(task: Task): Sim<SimulatedProcess[]> {
  let mm: MmPtr = NO_MM;
  while (mm === NO_MM) mm = mmAlloc(task);
  setMmapWindow(task, mm, 0 as Vpn, WINDOW as Vpn);
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
  if (expected !== actual) throw new Error(`the result must be ${expected}`);
  if (differences.length > 0) throw new Error(differences.join('; '));
}
