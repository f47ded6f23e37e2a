/**
 * Runs lock-sequence cases through the validator: all operations on one CPU, segments one after the other, nothing ever
 * blocks, and everything learned is forgotten before the next case. Only the hooks are called; there are no locks.
 *
 * Each segment is a task of its own. The kernel runs all in one, which makes no difference where segments leave nothing
 * held; where one does, another one that releases it is a violation.
 *
 * The order of instances is not checked: the kernel does not, and cases state what the kernel says.
 */

import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import { UsageError } from '../base/usageError.ts';
import type { LockdepHook, ReadMode } from '../cpu/hooks.ts';
import { SMALL_MACHINE, createMachine } from '../cpu/machine.ts';
import { createTask, type Task } from '../cpu/task.ts';
import type { LockClassId } from '../layout/ids.ts';
import { CLASS_NONE, LOCK_CLASSES, type LockClass } from '../layout/lockClass.ts';
import { TASK } from '../layout/task.ts';
import { DEFAULT_KERNEL } from '../rules/presets.ts';
import { kernelPreset } from '../rules/resolve.ts';
import type { LockCase } from './caseFile.ts';
import { locksOf, type CaseOp } from './caseOps.ts';
import { createLockdep } from './lockdep.ts';
import type { LockdepReport } from './report.ts';
import { MAX_CHAINS, MAX_NODES, initLockdep, lockdepWords, resetLockdep, type LockdepSize } from './section.ts';

/** What the validator said. */
export interface CaseResult {
  /** The first report, null when there was none. */
  readonly report: LockdepReport | null;
  /** Segment and operation it was made at. */
  readonly at: readonly [number, number] | null;
}

/** Tasks that can hold something at the same time. */
const TASKS = 32;
const SIZE: LockdepSize = {
  classes: MAX_NODES + 1,
  nodes: MAX_NODES,
  edges: 16384,
  chains: MAX_CHAINS,
  instances: 1,
  textWords: 65536,
  nested: 64,
};
/** Distance of two locks: any, as nothing lies there. */
const LOCK_WORDS = 8;

/** A validator with nothing around it. Cases run one after the other. */
export class CaseRunner {
  private readonly heap: Heap;

  constructor() {
    const words = lockdepWords(TASKS, SIZE);
    this.heap = createMachine({ ...SMALL_MACHINE, cpus: TASKS, lockdepWords: words });
    initLockdep(this.heap, SIZE);
  }

  /** Runs a case up to the first report. */
  run(lockCase: LockCase): CaseResult {
    assert(lockCase.unsupported === null, 'lockdep: the case cannot be run');
    resetLockdep(this.heap);
    return new CaseRun(this.heap, lockCase).result();
  }
}

/** One case on its way. */
class CaseRun {
  private readonly heap: Heap;
  private readonly lockCase: LockCase;
  private readonly tasks: readonly Task[];
  private readonly hook: LockdepHook;
  private readonly classes: LockClass[] = [LOCK_CLASSES[CLASS_NONE]];
  private readonly classRows = new Map<string, LockClassId>();
  /** Address and class by scoped name. */
  private readonly locks = new Map<string, { readonly lock: number; readonly cls: LockClassId }>();
  private report: LockdepReport | null = null;
  private at: readonly [number, number] = [0, 0];

  constructor(heap: Heap, lockCase: LockCase) {
    this.heap = heap;
    this.lockCase = lockCase;
    for (const lock of lockCase.segments.flat().flatMap(locksOf)) this.addLock(lock);
    const trace = (): string[] => {
      const [segment, index] = this.at;
      return [`${lockCase.texts[segment][index]}@segment ${segment}:${index}`];
    };
    const classAt = (lock: number): LockClassId => this.classAt(lock);
    const identity = { generation: () => 0, classAt };
    const keepFirst = (report: LockdepReport): void => {
      this.report ??= report;
    };
    this.hook = createLockdep(heap, keepFirst, { classes: this.classes, identity, instances: false, trace });
    const { rules } = kernelPreset(DEFAULT_KERNEL);
    this.tasks = Array.from({ length: TASKS }, (_, i) => createTask({ heap, id: i + 1, rules, seed: 0 }));
    for (const { ptr } of this.tasks) heap[ptr + TASK.heldCount] = 0;
  }

  result(): CaseResult {
    for (const [segment, ops] of this.lockCase.segments.entries()) {
      const task = this.tasks.find(({ ptr }) => this.heap[ptr + TASK.heldCount] === 0);
      if (task === undefined) throw new UsageError(`${this.lockCase.id}: more than ${TASKS} segments leave locks held`);
      for (const [index, op] of ops.entries()) {
        this.at = [segment, index];
        this.perform(task, op);
        if (this.report !== null) return { report: this.report, at: this.at };
      }
    }
    return { report: null, at: null };
  }

  private perform(task: Task, op: CaseOp): void {
    switch (op.verb) {
      case 'lock': {
        const { lock, cls } = this.locks.get(op.lock)!;
        const nestLock = op.nestLock === null ? 0 : this.locks.get(op.nestLock)!.lock;
        const { trylock, subclass } = op;
        return this.hook.acquire(task, lock, cls, { read: this.readMode(op.access), trylock, subclass, nestLock });
      }
      case 'unlock':
        return this.hook.release(task, this.locks.get(op.lock)!.lock);
      case 'downgrade':
        return this.hook.downgrade(task, this.locks.get(op.lock)!.lock);
      case 'init':
        return this.hook.freeRange(task, this.locks.get(op.lock)!.lock, LOCK_WORDS);
      case 'returnToUser':
        return this.hook.returnToUser(task);
      case 'failedTrylock':
      case 'unsupported':
    }
  }

  private readMode(access: (CaseOp & { verb: 'lock' })['access']): ReadMode {
    if (access === 'exclusive') return 0;
    return access === 'rwlockReader' && this.lockCase.recursiveReadLock ? 2 : 1;
  }

  /** Gives a lock an address outside everything, and its class, which it may share with others of its family. */
  private addLock(scoped: string): void {
    if (this.locks.has(scoped)) return;
    const family = scoped.slice(0, scoped.indexOf(':'));
    const name = scoped.slice(family.length + 1);
    const className = `${family}:${this.lockCase.classOf.get(name) ?? name}`;
    const cls = this.classRows.get(className) ?? this.addClass(family, className);
    this.locks.set(scoped, { lock: this.heap.length + this.locks.size * LOCK_WORDS, cls });
  }

  private addClass(family: string, name: string): LockClassId {
    const cls = this.classes.length as LockClassId;
    const spins = family === 'spin' || family === 'rwlock';
    this.classes.push({
      name,
      family: spins ? 'spinlock' : 'rwsem',
      wait: spins ? 'spin' : 'sleep',
      source: '',
      rank: 0,
    });
    this.classRows.set(name, cls);
    return cls;
  }

  private classAt(lock: number): LockClassId {
    return [...this.locks.values()].find((known) => known.lock === lock)?.cls ?? CLASS_NONE;
  }
}
