/**
 * The lock validator: complains about an order that can deadlock when the order is seen, long before it does. It learns
 * dependencies between lock classes from every acquire of every thread into one graph in the arena.
 *
 * A lock sequence that was seen before costs one hash lookup and the four words of a held entry. All else happens the
 * first time, under the section's raw lock, and captures a stack. Nothing here waits for the simulation or changes it, and
 * after a report it goes on: each kind of report is made once per set of classes.
 *
 * Kernel: kernel/locking/lockdep.c. Not modelled: interrupt usage (there are no interrupts), pinning, cross-release.
 */

import type { Heap } from '../arena/heap.ts';
import { assert } from '../base/assert.ts';
import type { AcquireMode, LockdepHook } from '../cpu/hooks.ts';
import type { Task } from '../cpu/task.ts';
import type { LockClassId, TaskPtr } from '../layout/ids.ts';
import { CLASS_NONE, LOCK_CLASSES, type LockClass } from '../layout/lockClass.ts';
import { HELD_WORDS, MAX_HELD_LOCKS, TASK } from '../layout/task.ts';
import { learnChain } from './acquireRules.ts';
import {
  NEST_NOT_HELD,
  NO_CHAIN,
  SAME_CLASS,
  chainHasSameClass,
  chainTrace,
  chainWord,
  findChain,
  probeChain,
  rootChain,
} from './chainCache.ts';
import { checkContext, checkFreed, checkImbalance, checkSleep, checkUserReturn, isAtomic } from './contextRules.ts';
import { WAIT_SLEEP, waitTypeOf } from './describe.ts';
import {
  CHAIN_MASK,
  HELD,
  MERGED_BIT,
  MERGE_DEPTH,
  addMerged,
  findHeld,
  heldAt,
  modeClass,
  modeOf,
  packMode,
  packPlace,
  placeOp,
  removeMerged,
  takeMerged,
} from './heldStack.ts';
import { checkInstances } from './instanceRules.ts';
import { arenaIdentity, type LockIdentity } from './lockIdentity.ts';
import type { LockdepReport } from './report.ts';
import { SUBCLASSES, attachSection } from './section.ts';
import { readTrace } from './textPool.ts';
import { stackTrace, type TraceSource } from './trace.ts';
import { isOff, turnOff, withSection, type Acquire, type Validator } from './validator.ts';

export interface LockdepOptions {
  /** Class table and identity of locks, when they are not the simulated kernel's. */
  readonly classes?: readonly LockClass[];
  readonly identity?: LockIdentity;
  /** Whether to check the order of instances of one class as well; default true. */
  readonly instances?: boolean;
  /** Where places come from; default the JavaScript stack. */
  readonly trace?: TraceSource;
}

/**
 * Lockdep for the tasks that this thread runs. The arena's section must have been prepared by initLockdep; every thread
 * makes its own hook over it. `sink` gets each report once, in the thread that caused it, with no lock held.
 */
export function createLockdep(
  heap: Heap,
  sink: (report: LockdepReport) => void,
  options: LockdepOptions = {},
): LockdepHook {
  return new Lockdep(heap, sink, options);
}

class Lockdep implements LockdepHook {
  private readonly heap: Heap;
  private readonly sink: (report: LockdepReport) => void;
  private readonly validator: Validator;
  private readonly trace: TraceSource;
  private readonly nodeTable: number;
  private readonly chains: number;
  private readonly chainInfo: number;
  private readonly chainMask: number;
  /** By class: 1 when its locks sleep. */
  private readonly sleeps: Uint8Array;

  constructor(heap: Heap, sink: (report: LockdepReport) => void, options: LockdepOptions) {
    const section = attachSection(heap);
    const classes = options.classes ?? LOCK_CLASSES;
    const identity = options.identity ?? arenaIdentity(heap);
    assert(classes.length <= section.size.classes, 'lockdep: more classes than the section was made for');
    this.heap = heap;
    this.sink = sink;
    this.trace = options.trace ?? stackTrace;
    this.validator = { section, classes, identity, instances: options.instances ?? true };
    this.nodeTable = section.nodeTable;
    this.chains = section.chains;
    this.chainInfo = section.chainInfo;
    this.chainMask = section.size.chains - 1;
    this.sleeps = Uint8Array.from(classes, (_, cls) =>
      waitTypeOf(this.validator, cls as LockClassId) === WAIT_SLEEP ? 1 : 0,
    );
  }

  acquire(task: Task, lock: number, cls: LockClassId, mode: AcquireMode): void {
    const { heap } = this;
    const { ptr } = task;
    const depth = heap[ptr + TASK.heldCount];
    if (depth < MERGE_DEPTH && mode.nestLock === 0) {
      const entry = ptr + TASK.held + depth * HELD_WORDS;
      const op = heap[ptr + TASK.op];
      const below = depth === 0 ? rootChain(op) : heap[entry - HELD_WORDS + HELD.place] & CHAIN_MASK;
      const node = heap[this.nodeTable + cls * SUBCLASSES + mode.subclass];
      const word = chainWord(below, node, 0, mode.read, mode.trylock);
      const chain = probeChain(heap, this.chains, this.chainMask, word);
      const isQuick = chain !== NO_CHAIN && (heap[this.chainInfo + chain - 1] & SAME_CLASS) === 0;
      if (isQuick && (this.sleeps[cls] === 0 || mode.trylock || !isAtomic(task))) {
        heap[entry + HELD.lock] = lock;
        heap[entry + HELD.mode] = packMode(cls, mode);
        heap[entry + HELD.nest] = 0;
        heap[entry + HELD.place] = packPlace(chain, op);
        heap[ptr + TASK.heldCount] = depth + 1;
        return;
      }
    }
    const reports: (LockdepReport | null)[] = [];
    this.enter(task, lock, cls, mode, null, reports);
    this.emit(reports);
  }

  release(task: Task, lock: number): void {
    const { heap } = this;
    const { ptr } = task;
    const top = heap[ptr + TASK.heldCount] - 1;
    const entry = ptr + TASK.held + top * HELD_WORDS;
    if (top >= 0 && heap[entry + HELD.lock] === lock && (heap[entry + HELD.mode] & MERGED_BIT) === 0) {
      heap[ptr + TASK.heldCount] = top;
      return;
    }
    this.releaseInside(task, lock);
  }

  downgrade(task: Task, lock: number): void {
    const index = findHeld(this.heap, task.ptr, lock);
    const mode = index < 0 ? null : modeOf(this.heap, heldAt(task.ptr, index));
    if (mode?.read === 0) {
      this.enterAgain(task, index, index, { ...mode, read: 1 });
      return;
    }
    this.emit([checkImbalance(this.validator, task, lock, 'downgrade', this.trace)]);
  }

  mightSleep(task: Task, what: string): void {
    if (!isAtomic(task) && !this.holdsSpinning(task.ptr)) return;
    this.emit([checkSleep(this.validator, task, what, this.trace)]);
  }

  freeRange(task: Task, start: number, words: number): void {
    const { heap } = this;
    for (let index = heap[task.ptr + TASK.heldCount] - 1; index >= 0; index--) {
      const lock = heap[heldAt(task.ptr, index) + HELD.lock];
      if (lock < start || lock >= start + words) continue;
      this.emit([checkFreed(this.validator, task, index, { start, words }, this.trace)]);
    }
  }

  returnToUser(task: Task): void {
    if (this.heap[task.ptr + TASK.heldCount] === 0 && this.heap[task.ptr + TASK.rcuNesting] === 0) return;
    this.emit([checkUserReturn(this.validator, task, this.trace)]);
  }

  /** A release of something else than the newest lock: what was taken on top of it is acquired again without it. */
  private releaseInside(task: Task, lock: number): void {
    const { heap } = this;
    const { section } = this.validator;
    const index = findHeld(heap, task.ptr, lock);
    if (index < 0) {
      if (removeMerged(section, task.ptr, lock) || isOff(section)) return;
      this.emit([checkImbalance(this.validator, task, lock, 'release', this.trace)]);
      return;
    }
    const entry = heldAt(task.ptr, index);
    const stepsUp = takeMerged(section, task.ptr, heap[entry + HELD.mode]);
    if (stepsUp !== 0) heap[entry + HELD.lock] = stepsUp;
    else this.enterAgain(task, index, index + 1, null);
  }

  /** Cuts the stack to `keep` entries and acquires those from `from` on again, the first one in another mode if given. */
  private enterAgain(task: Task, keep: number, from: number, firstMode: AcquireMode | null): void {
    const { heap } = this;
    const { ptr } = task;
    const depth = heap[ptr + TASK.heldCount];
    const saved = heap.slice(heldAt(ptr, from), heldAt(ptr, depth));
    const reports: (LockdepReport | null)[] = [];
    heap[ptr + TASK.heldCount] = keep;
    for (let at = 0; at < saved.length; at += HELD_WORDS) {
      const mode = at === 0 && firstMode !== null ? firstMode : modeOf(saved, at);
      const word = saved[at + HELD.mode];
      this.enter(task, saved[at + HELD.lock], modeClass(word), mode, saved[at + HELD.place], reports);
      heap[heldAt(ptr, keep + at / HELD_WORDS) + HELD.mode] |= word & MERGED_BIT;
    }
    this.emit(reports);
  }

  /**
   * An acquire with all its checks. `takenAt` is the place word of a lock that is acquired again, null for one that is taken
   * now.
   */
  private enter(
    task: Task,
    lock: number,
    cls: LockClassId,
    mode: AcquireMode,
    takenAt: number | null,
    reports: (LockdepReport | null)[],
  ): void {
    const { heap, validator } = this;
    const { section } = validator;
    const { ptr } = task;
    const depth = heap[ptr + TASK.heldCount];
    if (this.merges(task, cls, mode)) {
      if (!addMerged(section, ptr, lock, depth - 1)) reports.push(this.limit(task, 'MAX_MERGED_LOCKS'));
      return;
    }
    if (depth === MAX_HELD_LOCKS) {
      reports.push(this.limit(task, 'MAX_LOCK_DEPTH'));
      return;
    }
    const op = takenAt === null ? heap[ptr + TASK.op] : placeOp(takenAt);
    const acquire: Acquire = {
      task,
      lock,
      cls,
      mode,
      below: this.chainBelow(ptr, depth),
      nest: this.nestCode(ptr, mode),
    };
    const trace = (): readonly string[] =>
      takenAt === null ? this.trace() : readTrace(section, chainTrace(section, takenAt & CHAIN_MASK));
    if (takenAt === null && this.sleeps[cls] === 1 && !mode.trylock && isAtomic(task)) {
      reports.push(checkContext(validator, acquire, trace));
    }
    const chain = this.chainOf(acquire, trace, reports);
    const place = packPlace(chain, op);
    if (validator.instances && chain !== NO_CHAIN && chainHasSameClass(section, chain)) {
      reports.push(checkInstances(validator, acquire, place, trace));
    }
    const entry = heldAt(ptr, depth);
    heap[entry + HELD.lock] = lock;
    heap[entry + HELD.mode] = packMode(cls, mode);
    heap[entry + HELD.nest] = mode.nestLock;
    heap[entry + HELD.place] = place;
    heap[ptr + TASK.heldCount] = depth + 1;
  }

  /** The acquire's chain, learned now if it is new. NO_CHAIN when lockdep is off. */
  private chainOf(acquire: Acquire, trace: () => readonly string[], reports: (LockdepReport | null)[]): number {
    const { validator, heap } = this;
    const { section } = validator;
    const { cls, mode, below, nest } = acquire;
    const node = heap[this.nodeTable + cls * SUBCLASSES + mode.subclass];
    const word = chainWord(below, node, nest, mode.read, mode.trylock);
    const known = node === 0 ? NO_CHAIN : findChain(section, word);
    if (known !== NO_CHAIN || isOff(section)) return known;
    assert(mode.subclass >= 0 && mode.subclass < SUBCLASSES, 'lockdep: no such subclass');
    const frames = trace();
    const learned = withSection(section, () => learnChain(validator, acquire, frames));
    reports.push(...learned.reports);
    return learned.chain;
  }

  /** Whether an acquire shares the newest entry: the stack is nearly full and all but the lock is the same. */
  private merges({ ptr }: Task, cls: LockClassId, mode: AcquireMode): boolean {
    const { heap } = this;
    const depth = heap[ptr + TASK.heldCount];
    if (depth < MERGE_DEPTH || mode.nestLock === 0) return false;
    const top = heldAt(ptr, depth - 1);
    return (heap[top + HELD.mode] & ~MERGED_BIT) === packMode(cls, mode) && heap[top + HELD.nest] === mode.nestLock;
  }

  private chainBelow(ptr: TaskPtr, depth: number): number {
    if (depth === 0) return rootChain(this.heap[ptr + TASK.op]);
    return this.heap[heldAt(ptr, depth - 1) + HELD.place] & CHAIN_MASK;
  }

  private nestCode(ptr: TaskPtr, { nestLock }: AcquireMode): number {
    if (nestLock === 0) return 0;
    const index = findHeld(this.heap, ptr, nestLock);
    return index < 0 ? NEST_NOT_HELD : index + 1;
  }

  private holdsSpinning(ptr: TaskPtr): boolean {
    const { heap } = this;
    for (let index = heap[ptr + TASK.heldCount] - 1; index >= 0; index--) {
      const cls = modeClass(heap[heldAt(ptr, index) + HELD.mode]);
      if (this.sleeps[cls] === 0 && cls !== CLASS_NONE) return true;
    }
    return false;
  }

  private limit(task: Task, limit: string): LockdepReport | null {
    const { section } = this.validator;
    return isOff(section) ? null : withSection(section, () => turnOff(this.validator, task, limit, this.trace));
  }

  private emit(reports: readonly (LockdepReport | null)[]): void {
    for (const report of reports) if (report !== null) this.sink(report);
  }
}
