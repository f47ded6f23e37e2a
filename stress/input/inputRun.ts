/**
 * What the CPUs that run a recorded program share: which steps are done, where the address spaces are, which round it is.
 * Words of the arena behind the stress section; none of them belongs to the simulated kernel, so none is a scheduling
 * point. Every wait is sliced and ends when the machine is aborted.
 */

import { abortRequested } from '../../src/arena/header.ts';
import type { Heap } from '../../src/arena/heap.ts';
import type { Violation } from '../../src/base/finding.ts';
import { MachineAborted } from '../../src/cpu/machineAborted.ts';
import type { MmPtr } from '../../src/layout/ids.ts';
import { FAULT_OOM } from '../../src/mm/userAccess.ts';
import type { Spaces } from './inputActions.ts';
import type { InputProgram } from './inputProgram.ts';
import { scheduleProgram, type ScheduledStep } from './schedule.ts';

const SLICE_MS = 1;
const DIFFERENCES_KEPT = 5;
const CONTROL_WORDS = 2;
const DECIDED = 0;
const STOPPED = 1;

/** What one CPU saw of the recording's results. */
export interface InputResult {
  readonly rounds: number;
  /** Calls with the outcome of the recording, and without it. */
  readonly agreed: number;
  readonly differed: number;
  readonly differences: readonly string[];
}

/** Words that a program needs. */
export function inputWords({ steps, spaces }: InputProgram, cpus: number): number {
  return CONTROL_WORDS + steps.length + 2 * spaces.length + cpus;
}

export class InputRun {
  readonly steps: readonly ScheduledStep[];
  readonly spaces: Spaces;
  /** With more than one CPU the last one runs no program. */
  readonly isKernelCpu: boolean;
  private readonly heap: Heap;
  private readonly cpu: number;
  private readonly programCpus: number;
  private readonly control: number;
  private readonly doneAt: number;
  private readonly mmAt: number;
  private readonly spoiledAt: number;
  private readonly roundAt: number;
  private rounds = 0;
  private agreed = 0;
  private differed = 0;
  private readonly differences: string[] = [];

  constructor(heap: Heap, at: number, program: InputProgram, cpu: number, cpus: number) {
    this.heap = heap;
    this.cpu = cpu;
    this.programCpus = Math.max(1, cpus - 1);
    this.isKernelCpu = cpu >= this.programCpus;
    this.steps = this.isKernelCpu ? [] : scheduleProgram(program, this.programCpus)[cpu];
    this.control = at;
    this.doneAt = at + CONTROL_WORDS;
    this.mmAt = this.doneAt + program.steps.length;
    this.spoiledAt = this.mmAt + program.spaces.length;
    this.roundAt = this.spoiledAt + program.spaces.length;
    this.spaces = {
      mmOf: (space) => Atomics.load(heap, this.mmAt + space) as MmPtr,
      setMm: (space, mm) => Atomics.store(heap, this.mmAt + space, mm),
      pagesOf: (space) => program.spaces[space],
    };
  }

  /** Round 1 always runs; a later one if it was decided. */
  goesOn(round: number): boolean {
    return round === 1 || Atomics.load(this.heap, this.control + STOPPED) === 0;
  }

  /** True once everything is done that the step comes after. */
  mayRun({ after }: ScheduledStep, round: number): boolean {
    return after.every((index) => Atomics.load(this.heap, this.doneAt + index) >= round);
  }

  markDone({ index }: ScheduledStep, round: number): void {
    Atomics.store(this.heap, this.doneAt + index, round);
  }

  /** This CPU has made all its steps. */
  endRound(round: number): void {
    this.rounds = round;
    Atomics.store(this.heap, this.roundAt + this.cpu, round);
  }

  /** All CPUs have made all their steps. */
  isOver(round: number): boolean {
    for (let cpu = 0; cpu < this.programCpus; cpu++) {
      if (Atomics.load(this.heap, this.roundAt + cpu) < round) return false;
    }
    return true;
  }

  /** One CPU decides for all whether there is another round. */
  decide(round: number, again: boolean): void {
    this.heap.fill(0, this.spoiledAt, this.roundAt);
    if (!again) Atomics.store(this.heap, this.control + STOPPED, 1);
    Atomics.store(this.heap, this.control + DECIDED, round);
  }

  isDecided(round: number): boolean {
    return Atomics.load(this.heap, this.control + DECIDED) >= round;
  }

  /** Waits a moment. @throws MachineAborted */
  pause(): void {
    if (abortRequested(this.heap)) throw new MachineAborted();
    Atomics.wait(this.heap, this.control + DECIDED, Atomics.load(this.heap, this.control + DECIDED), SLICE_MS);
  }

  /**
   * Compares a step's outcome with the recording's: every call succeeded there. An address space in which one did not is
   * not judged any more in this round.
   */
  judge({ action, space, line }: ScheduledStep, result: number, loaded: number): Violation | null {
    const isSpoiled = space >= 0 && Atomics.load(this.heap, this.spoiledAt + space) !== 0;
    if (result < 0) {
      this.spoil(space, action.op === 'fork' ? action.next : space);
      const isAccess = action.op === 'read' || action.op === 'write';
      if (isAccess && result !== FAULT_OOM && !isSpoiled) return wrongFault(line, space, action.range.start);
      if (isAccess) return null;
      this.differed++;
      if (this.differences.length < DIFFERENCES_KEPT) this.differences.push(`line ${line}: ${action.op}: ${result}`);
      return null;
    }
    if (action.op === 'fork' && isSpoiled) this.spoil(space, action.next);
    if (action.op === 'read' && !isSpoiled && loaded !== action.expected) {
      return wrongValue(line, space, action.range.start, action.expected, loaded);
    }
    if (action.op !== 'read' && action.op !== 'write') this.agreed++;
    return null;
  }

  result(): InputResult {
    const { rounds, agreed, differed, differences } = this;
    return { rounds, agreed, differed, differences };
  }

  private spoil(...spaces: number[]): void {
    for (const space of spaces) if (space >= 0) Atomics.store(this.heap, this.spoiledAt + space, 1);
  }
}

function wrongFault(line: number, space: number, page: number): Violation {
  return {
    kind: 'vma-tree',
    title: `line ${line}: an access to page ${page} of address space ${space + 1} faults where the recording has it mapped`,
    signature: 'an access faults in a page of the recorded program',
    evidence: [],
  };
}

function wrongValue(line: number, space: number, page: number, expected: number, loaded: number): Violation {
  return {
    kind: 'lost-write',
    title: `line ${line}: page ${page} of address space ${space + 1} reads ${loaded}, the program wrote ${expected}`,
    signature: 'the recorded program reads what it did not write',
    evidence: [],
  };
}
