/**
 * Random sequences of operations: whatever the kernel does with VMAs, page tables and shared frames, each process must
 * see its own memory as if it had never been shared, split, merged, moved or migrated.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sim } from '../../src/base/sim.ts';
import { restoreArena, snapshotArena } from '../../src/arena/arena.ts';
import { executeStep, exitProcess, type SimulatedProcess } from '../../src/conform/execute.ts';
import { countObjects } from '../../src/conform/machine.ts';
import { observeProcess } from '../../src/conform/observe.ts';
import { readAddress, readLength } from '../../src/conform/readOperand.ts';
import { runAlone } from '../../src/conform/runAlone.ts';
import { describeStep } from '../../src/conform/describe.ts';
import type { Action, Result } from '../../src/conform/traceFormat.ts';
import { SMALL_MACHINE, createMachine } from '../../src/cpu/machine.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import { NO_MM, type Vpn } from '../../src/layout/ids.ts';
import { synchronizeRcu } from '../../src/locks/rcu.ts';
import { bootMachine } from '../../src/mm/boot.ts';
import { mmAlloc } from '../../src/mm/mmStruct.ts';
import { setMmapWindow } from '../../src/mm/userSpace.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';
import { AddressSpaceModel } from './addressSpaceModel.ts';

/** Pages of the window: small, so that mappings meet. It spans two page tables' worth of nothing but is a whole world. */
const WINDOW = 24;
const MAX_PROCESSES = 4;
const RUNS = 300;
const MAX_COMMANDS = 60;
const SEED = 20_260_801;

/** A draw that becomes an action once it is known which processes live. */
interface Command {
  readonly kind: string;
  readonly who: number;
  readonly at: number;
  readonly len: number;
  readonly other: number;
  readonly prot: 'none' | 'r' | 'rw';
}

const WEIGHTS: Readonly<Record<string, number>> = {
  write: 8,
  read: 3,
  mmapFixed: 4,
  mmap: 3,
  mmapHint: 1,
  munmap: 2,
  mprotect: 4,
  move: 4,
  resize: 3,
  dontUnmap: 2,
  fork: 2,
  exit: 1,
  pin: 1,
  unpin: 1,
  migrate: 2,
};

const command = fc.record<Command>({
  kind: fc.oneof(...Object.entries(WEIGHTS).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind) }))),
  who: fc.nat(MAX_PROCESSES - 1),
  at: fc.nat(WINDOW - 1),
  len: fc.integer({ min: 1, max: 8 }),
  other: fc.nat(255),
  prot: fc.oneof({ weight: 5, arbitrary: fc.constant('rw' as const) }, fc.constantFrom('none' as const, 'r' as const)),
});

/** The action a command means now, or null when it means none. */
function actionOf(command: Command, model: AddressSpaceModel, forks: number, pins: number): Action | null {
  const live = [...model.processes.keys()];
  const p = live[command.who % live.length]!;
  const count = Math.min(command.len, WINDOW - command.at);
  const [at, len] = [readAddress(command.at, 'at'), readLength(count, 'len')];
  const to = readAddress(command.other % (WINDOW - count + 1), 'to');
  const newLen = readLength(1 + (command.other % 8), 'new');
  switch (command.kind) {
    case 'write':
      return { op: 'write', p, page: command.at, value: command.other };
    case 'read':
      return { op: 'read', p, page: command.at };
    case 'mmapFixed': {
      const flag = command.other % 4 === 0 ? 'fixed_noreplace' : 'fixed';
      return { op: 'mmap', p, at, len, prot: command.prot, shared: false, flags: [flag] };
    }
    case 'mmap':
      return { op: 'mmap', p, at: null, len, prot: command.prot, shared: false, flags: [] };
    case 'mmapHint':
      return { op: 'mmap', p, at: command.at === 0 ? null : at, len, prot: command.prot, shared: false, flags: [] };
    case 'mprotect':
      return { op: 'mprotect', p, at, len, prot: command.prot };
    case 'move':
      return { op: 'mremap', p, at, len, newLen: len, flags: ['maymove', 'fixed'], to };
    case 'resize':
      return { op: 'mremap', p, at, len, newLen, flags: command.other % 3 === 0 ? [] : ['maymove'], to: null };
    case 'dontUnmap':
      return { op: 'mremap', p, at, len, newLen: len, flags: ['maymove', 'dontunmap'], to: null };
    case 'fork':
      return forks >= MAX_PROCESSES - 1 ? null : { op: 'fork', p, child: forks + 1 };
    case 'exit':
      return live.length === 1 ? null : { op: 'exit', p };
    case 'pin':
      return { op: 'pin', p, at, len, id: pins };
    case 'unpin': {
      const [id] = model.pinsOf(p);
      return id === undefined ? null : { op: 'unpin', p, id };
    }
    case 'migrate':
      return { op: 'migrate', p, at, len };
    default:
      return { op: 'munmap', p, at, len };
  }
}

interface Script {
  readonly task: Task;
  readonly commands: readonly Command[];
  /** Receives each step, so that a failure can be read. */
  readonly log: string[];
}

function runScript({ task, commands, log }: Script): Sim<void> {
  const model = new AddressSpaceModel(WINDOW);
  const processes: SimulatedProcess[] = [{ mm: mmAlloc(task), pins: new Map() }];
  setMmapWindow(task, processes[0]!.mm, 0 as Vpn, WINDOW as Vpn);
  let forks = 0;
  let pins = 0;
  for (const command of commands) {
    const action = actionOf(command, model, forks, pins);
    if (action === null) continue;
    if (action.op === 'fork') forks++;
    if (action.op === 'pin') pins++;
    const vmas = 'p' in action ? observeProcess(task.heap, processes[action.p]!.mm).vmas : [];
    const vmaEnd = vmas.find(({ start, end }) => start <= command.at && command.at < end)?.end ?? 0;
    const result = executeStep(task, processes, action);
    log.push(describeStep(action, result));
    check(model.perform(action, vmaEnd), result, model.differences(task.heap, processes));
  }
  for (const process of processes) if (process.mm !== NO_MM) exitProcess(task, process);
  synchronizeRcu(task);
}

function check(expected: Result, actual: Result, differences: readonly string[]): void {
  if (expected !== actual) throw new Error(`the result must be ${expected}`);
  if (differences.length > 0) throw new Error(differences.join('; '));
}

describe('address spaces', () => {
  it.each(['linux-6.18', 'linux-7.0'])(`each process sees only its own memory (${RUNS} random runs, %s)`, (kernel) => {
    const { rules } = kernelPreset(kernel);
    const heap = createMachine({ ...SMALL_MACHINE, cpus: 1, frames: 320, pageTables: 80, vmas: 160, anonVmas: 160 });
    bootMachine(heap);
    const booted = snapshotArena(heap);
    const atBoot = countObjects(heap);
    const run = (commands: readonly Command[]): void => {
      restoreArena(heap, booted);
      const log: string[] = [];
      try {
        runAlone(runScript, { task: createTask({ heap, id: 1, rules, seed: 0 }), commands, log });
      } catch (error) {
        throw new Error(`${(error as Error).message} after\n${log.join('\n')}`, { cause: error });
      }
      expect(countObjects(heap)).toEqual(atBoot);
    };
    fc.assert(fc.property(fc.array(command, { maxLength: MAX_COMMANDS, size: 'max' }), run), {
      seed: SEED,
      numRuns: RUNS,
    });
  });
});
