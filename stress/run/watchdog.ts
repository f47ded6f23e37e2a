/**
 * The watchdog: looks from the main thread at the words that blocked tasks leave, never waits itself. A CPU that runs an
 * operation without an end for too long is hung; who waits for whom tells a deadlock from a lost wake-up, and a CPU that does
 * not wait at all is in a livelock (or in a structure that a bug has turned into a loop).
 */

import type { Heap } from '../../src/arena/heap.ts';
import type { Violation } from '../../src/base/finding.ts';
import { LOCK_CLASSES } from '../../src/layout/lockClass.ts';
import { MUTEX, RWSEM, SPIN } from '../../src/layout/lockWords.ts';
import { PAGE } from '../../src/layout/page.ts';
import { TASK, allTaskIds, taskAt } from '../../src/layout/task.ts';
import type { TaskId } from '../../src/layout/ids.ts';
import { describeHeldLocks } from '../../src/report/lockdepHeld.ts';
import { OPERATIONS } from '../operations.ts';

/** What one look at a CPU shows. */
interface CpuView {
  readonly id: TaskId;
  readonly op: number;
  readonly progress: number;
  readonly blockedOn: number;
  readonly blockedClass: number;
}

export class Watchdog {
  private readonly last: { progress: number; since: number }[];
  private readonly heap: Heap;
  private readonly hungMs: number;

  /** @param hungMs time without progress inside one operation after which a CPU counts as hung */
  constructor(heap: Heap, hungMs: number, nowMs: number) {
    this.heap = heap;
    this.hungMs = hungMs;
    this.last = allTaskIds(heap).map(() => ({ progress: -1, since: nowMs }));
  }

  /** Looks once; the violation when some CPU has been stuck for too long, else null. */
  look(nowMs: number): Violation | null {
    const views = allTaskIds(this.heap).map((id) => this.view(id));
    const stuck = views.filter((view) => this.isStuck(view, nowMs));
    return stuck.length === 0 ? null : judgeStuck(this.heap, views, stuck);
  }

  private view(id: TaskId): CpuView {
    const task = taskAt(this.heap, id);
    return {
      id,
      op: Atomics.load(this.heap, task + TASK.op),
      progress: Atomics.load(this.heap, task + TASK.progress),
      blockedOn: Atomics.load(this.heap, task + TASK.blockedOn),
      blockedClass: Atomics.load(this.heap, task + TASK.blockedClass),
    };
  }

  private isStuck({ id, op, progress }: CpuView, nowMs: number): boolean {
    const last = this.last[id - 1];
    if (op === 0 || progress !== last.progress) {
      last.progress = progress;
      last.since = nowMs;
    }
    return nowMs - last.since > this.hungMs;
  }
}

/** Deadlock, lost wake-up or livelock, with what every CPU does and holds. */
function judgeStuck(heap: Heap, views: readonly CpuView[], stuck: readonly CpuView[]): Violation {
  const evidence = views.flatMap((view) => describeCpu(heap, view));
  const cycle = findCycle(heap, views);
  if (cycle !== null) {
    const classes = cycle.map(({ blockedClass }) => className(blockedClass));
    return {
      kind: 'deadlock',
      title: `deadlock: ${cycle.map((view) => `CPU ${view.id - 1} waits for ${className(view.blockedClass)}`).join(', ')}`,
      signature: `deadlock over ${[...classes].sort().join(', ')}`,
      evidence,
    };
  }
  const running = stuck.find((view) => view.blockedOn === 0);
  if (running !== undefined) {
    return {
      kind: 'livelock',
      title: `CPU ${running.id - 1} runs ${opName(running.op)} without an end and waits for nobody`,
      signature: `livelock in ${opName(running.op)}`,
      evidence,
    };
  }
  const first = stuck[0];
  return {
    kind: 'hung',
    title: `task on CPU ${first.id - 1} blocked in ${opName(first.op)} on ${className(first.blockedClass)}, and nobody who holds it waits in turn`,
    signature: `hung on ${className(first.blockedClass)} in ${opName(first.op)}`,
    evidence,
  };
}

/** A cycle of CPUs each of which waits for a lock that the next one holds. */
function findCycle(heap: Heap, views: readonly CpuView[]): CpuView[] | null {
  for (const start of views) {
    const path: CpuView[] = [];
    let view: CpuView | undefined = start;
    while (view !== undefined && view.blockedOn !== 0 && !path.includes(view)) {
      path.push(view);
      const holder = holderOf(heap, view);
      view = views.find(({ id }) => id === holder);
    }
    if (view !== undefined && view.blockedOn !== 0) return path.slice(path.indexOf(view));
  }
  return null;
}

/** Task id of a lock's owner as its own words say; 0 when unknown. */
function holderOf(heap: Heap, { blockedOn, blockedClass }: CpuView): number {
  switch (LOCK_CLASSES[blockedClass]?.family) {
    case 'spinlock':
      return heap[blockedOn + SPIN.owner];
    case 'rwsem':
      return heap[blockedOn + RWSEM.owner] >>> 2;
    case 'mutex':
      return heap[blockedOn + MUTEX.owner] >>> 3;
    case 'folio':
      return heap[blockedOn - PAGE.flags + PAGE.locker];
    default:
      return 0;
  }
}

/** The kernel's hung-task form: what the CPU does, what it waits for, what it holds. */
function describeCpu(heap: Heap, { id, op, blockedOn, blockedClass }: CpuView): string[] {
  const doing = op === 0 ? 'between two operations' : opName(op);
  const waiting = blockedOn === 0 ? 'running' : `blocked on ${className(blockedClass)}`;
  return [`CPU ${id - 1}: ${doing}, ${waiting}`, ...describeHeldLocks(heap, id)];
}

function className(cls: number): string {
  return LOCK_CLASSES[cls]?.name ?? `lock class ${cls}`;
}

function opName(op: number): string {
  return op === 0 ? 'no operation' : (OPERATIONS[op - 1]?.name ?? `operation ${op}`);
}
