/**
 * Order between locks of one class: anon_vmas of the 2.6.34 design, where a walk nests two of them and mm_take_all_locks
 * takes all.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import type { ReadMode } from '../../src/cpu/hooks.ts';
import { slabAlloc, slabFree } from '../../src/arena/slab.ts';
import { anonVmaSpinLock } from '../../src/layout/anonVma.ts';
import type { AnonVmaPtr } from '../../src/layout/ids.ts';
import {
  CLASS_ANON_VMA_RWSEM,
  CLASS_ANON_VMA_SPIN,
  CLASS_MMAP_LOCK,
  CLASS_MM_ALL_LOCKS_MUTEX,
} from '../../src/layout/lockClass.ts';
import { LOCKDEP_SMALL, SECTION, attachSection } from '../../src/lockdep/section.ts';
import { createTestMachine, drop, kindsOf, mode, take, type Machine, type TestLock } from './harness.ts';

let machine: Machine;
beforeEach(() => {
  machine = createTestMachine();
});

const av = (n: number): TestLock => machine.lock(CLASS_ANON_VMA_SPIN, n);
const mmap = (n = 0): TestLock => machine.lock(CLASS_MMAP_LOCK, n);
const allLocks = (): TestLock => machine.lock(CLASS_MM_ALL_LOCKS_MUTEX);

/** A walk: the page's anon_vma, inside it that of the VMA it visits. */
function walk(outer: number, inner: number): void {
  const task = machine.tasks[0];
  take(machine, task, [av(outer)]);
  take(machine, task, [av(inner)], { subclass: 1 });
  drop(machine, task, [av(outer), av(inner)]);
}

interface TakeAll {
  mm?: number;
  mutex?: boolean;
  read?: ReadMode;
}

/** mm_take_all_locks over these anon_vmas, in this order. */
function takeAll(order: readonly number[], { mm = 0, mutex = true, read = 0 }: TakeAll = {}): void {
  const task = machine.tasks[1];
  const outer = mutex ? [mmap(mm), allLocks()] : [mmap(mm)];
  take(machine, task, outer, { read });
  take(machine, task, order.map(av), { nestLock: mmap(mm).at });
  drop(machine, task, [...outer, ...order.map(av)]);
}

describe('walks', () => {
  it('one order is learned in silence', () => {
    walk(1, 2);
    walk(2, 3);
    walk(1, 3);
    expect(machine.reports).toEqual([]);
  });

  it('two walks in either order are reported with both locks, once', () => {
    walk(1, 2);
    walk(2, 1);
    walk(2, 1);
    expect(machine.reports).toMatchObject([
      {
        kind: 'instance-order',
        lock: { lock: av(1).at },
        other: { lock: av(2).at },
        cycle: [
          { fromLock: av(2).at, toLock: av(1).at },
          { fromLock: av(1).at, toLock: av(2).at },
        ],
      },
    ]);
  });

  it('a cycle of three is found', () => {
    walk(1, 2);
    walk(2, 3);
    walk(3, 1);
    expect(machine.reports.map(({ cycle }) => cycle!.length)).toEqual([3]);
  });

  it('says where each of the two orders was taken', () => {
    walk(1, 2);
    walk(2, 1);
    const [{ cycle }] = machine.reports as [(typeof machine.reports)[0]];
    for (const { trace, heldTrace } of cycle!) {
      expect(trace.join()).toMatch(/walk@test\/lockdep\/instanceOrder\.test\.ts/);
      expect(heldTrace.join()).toMatch(/walk@test\/lockdep\/instanceOrder\.test\.ts/);
    }
  });

  it('trylocks do not wait', () => {
    const task = machine.tasks[0];
    walk(1, 2);
    take(machine, task, [av(2)]);
    take(machine, task, [av(1)], { trylock: true });
    expect(machine.reports).toEqual([]);
  });
});

describe('mm_take_all_locks', () => {
  it('in any order is fine as long as nobody else nests', () => {
    takeAll([1, 2, 3]);
    takeAll([3, 1, 2]);
    takeAll([2, 3, 1], { mm: 1 });
    expect(machine.reports).toEqual([]);
  });

  it('against the direction of walks is a cycle, in it is not', () => {
    walk(1, 3);
    takeAll([1, 2, 3]);
    expect(machine.reports).toEqual([]);
    takeAll([3, 2, 1]);
    expect(kindsOf(machine)).toEqual(['instance-order']);
  });

  it('is found as well when the walk comes second', () => {
    takeAll([3, 2, 1]);
    walk(1, 3);
    expect(kindsOf(machine)).toEqual(['instance-order']);
  });

  it('without the mutex two mms exclude each other no longer', () => {
    takeAll([1, 2], { mm: 0, mutex: false });
    takeAll([2, 1], { mm: 0, mutex: false });
    expect(machine.reports).toEqual([]);
    takeAll([2, 1], { mm: 1, mutex: false });
    expect(kindsOf(machine)).toEqual(['instance-order']);
  });

  it('gates that both hold for read exclude nobody', () => {
    takeAll([1, 2], { mutex: false, read: 1 });
    takeAll([2, 1], { mutex: false, read: 1 });
    expect(kindsOf(machine)).toEqual(['instance-order']);
  });

  it('an order seen with fewer gates replaces none seen with more', () => {
    takeAll([1, 2]);
    walk(1, 2);
    takeAll([2, 1]);
    expect(kindsOf(machine)).toEqual(['instance-order']);
  });
});

describe('objects', () => {
  /** The spinlock of an anon_vma from the cache. */
  const allocated = (): TestLock => {
    const anonVma = slabAlloc(machine.heap, 0, CACHES.anonVma) as AnonVmaPtr;
    return { at: anonVmaSpinLock(anonVma), cls: CLASS_ANON_VMA_SPIN };
  };
  const free = ({ at }: TestLock): void =>
    slabFree(machine.heap, 0, CACHES.anonVma, at - anonVmaSpinLock(0 as AnonVmaPtr));
  const nest = (outer: TestLock, inner: TestLock): void => {
    const task = machine.tasks[0];
    machine.hook.acquire(task, outer.at, outer.cls, mode());
    machine.hook.acquire(task, inner.at, inner.cls, mode({ subclass: 1 }));
    drop(machine, task, [outer, inner]);
  };

  it('an order dies with either object', () => {
    for (const victim of [0, 1]) {
      const pair = [allocated(), allocated()] as const;
      nest(pair[0], pair[1]);
      free(pair[victim]);
      expect(allocated()).toEqual(pair[victim]);
      nest(pair[1], pair[0]);
      expect(machine.reports).toEqual([]);
    }
  });

  it('a slot that is reused again and again does not fill the table', () => {
    const parent = allocated();
    for (let i = 0; i < 4 * LOCKDEP_SMALL.instances; i++) {
      const child = allocated();
      nest(parent, child);
      free(child);
    }
    const { heap, base } = attachSection(machine.heap);
    expect(heap[base + SECTION.instanceNext]).toBeLessThan(4);
    expect(heap[base + SECTION.instanceResets]).toBe(0);
  });

  it('a full table forgets: orders learned before may be missed, none is made up', () => {
    const rwsems = Array.from({ length: 24 }, (_, n) => machine.lock(CLASS_ANON_VMA_RWSEM, n));
    const task = machine.tasks[0];
    const all = (order: readonly TestLock[]): void => {
      take(machine, task, [mmap()]);
      take(machine, task, order, { nestLock: mmap().at });
      drop(machine, task, [mmap(), ...order]);
    };
    all(rwsems);
    const { heap, base } = attachSection(machine.heap);
    expect(heap[base + SECTION.instanceResets]).toBeGreaterThan(0);
    all(rwsems.toReversed());
    expect(machine.reports).toEqual([]);
  });
});

it('nothing of this is checked when instances are off', () => {
  machine = createTestMachine({ instances: false });
  walk(1, 2);
  walk(2, 1);
  expect(machine.reports).toEqual([]);
});
