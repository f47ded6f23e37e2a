/** Full tables: one clear report, then silence; held stacks are kept, and nothing hangs. */
import { describe, expect, it } from 'vitest';
import type { LockClassId } from '../../src/layout/ids.ts';
import { CLASS_ANON_VMA_RWSEM, CLASS_MMAP_LOCK, CLASS_TEST_MUTEX, type LockClass } from '../../src/layout/lockClass.ts';
import { MAX_HELD_LOCKS, TASK } from '../../src/layout/task.ts';
import { LOCKDEP_SMALL, resetLockdep } from '../../src/lockdep/section.ts';
import { createTestMachine, drop, kindsOf, take, type Machine, type TestLock } from './harness.ts';

const CLASSES: LockClass[] = Array.from({ length: 200 }, (_, i) => ({
  name: `class ${i}`,
  family: 'mutex',
  wait: 'sleep',
  source: '',
  rank: 0,
}));
const SIZE = { ...LOCKDEP_SMALL, classes: CLASSES.length, nodes: 100, edges: 500, chains: 2048 };

function machineOf(limits: Partial<typeof SIZE>): Machine {
  return createTestMachine({ classes: CLASSES, size: { ...SIZE, ...limits } });
}

const lock = (n: number): TestLock => ({ at: 5000 + n, cls: n as LockClassId });
const locks = (from: number, count: number): TestLock[] => Array.from({ length: count }, (_, i) => lock(from + i));

/** After a limit: an inversion, an imbalance and a held stack, none of which may be reported or get lost. */
function expectOff(machine: Machine, limit: string): void {
  expect(machine.reports).toMatchObject([{ kind: 'capacity', detail: limit }]);
  const task = machine.tasks[1];
  for (const order of [locks(1, 2), locks(1, 2).reverse()]) {
    take(machine, task, order);
    expect(machine.heap[task.ptr + TASK.heldCount]).toBe(2);
    drop(machine, task, order);
  }
  machine.hook.release(task, 4711);
  expect(machine.heap[task.ptr + TASK.heldCount]).toBe(0);
  expect(kindsOf(machine)).toEqual(['capacity']);
}

describe('limits', () => {
  it('more classes than there is room for', () => {
    const machine = machineOf({ nodes: 20 });
    for (let n = 1; n <= 30; n++) {
      take(machine, machine.tasks[0], [lock(n)]);
      drop(machine, machine.tasks[0], [lock(n)]);
    }
    expectOff(machine, 'MAX_LOCKDEP_KEYS');
  });

  it('more dependencies than there is room for', () => {
    const machine = machineOf({ edges: 20 });
    for (let n = 1; n <= 30; n++) {
      take(machine, machine.tasks[0], [lock(n), lock(n + 1)]);
      drop(machine, machine.tasks[0], [lock(n), lock(n + 1)]);
    }
    expectOff(machine, 'MAX_LOCKDEP_ENTRIES');
  });

  it('more chains than there is room for', () => {
    const machine = machineOf({ chains: 16 });
    for (let n = 1; n <= 20; n++) {
      take(machine, machine.tasks[0], [lock(n)]);
      drop(machine, machine.tasks[0], [lock(n)]);
    }
    expectOff(machine, 'MAX_LOCKDEP_CHAINS');
  });

  it('more held locks than there is room for', () => {
    const machine = machineOf({});
    const task = machine.tasks[0];
    take(machine, task, locks(1, MAX_HELD_LOCKS));
    expect(machine.reports).toEqual([]);
    take(machine, task, locks(60, 3));
    expect(machine.heap[task.ptr + TASK.heldCount]).toBe(MAX_HELD_LOCKS);
    drop(machine, task, [...locks(1, MAX_HELD_LOCKS), ...locks(60, 3)]);
    expectOff(machine, 'MAX_LOCK_DEPTH');
  });

  it('more text than there is room for: places get lost, nothing else', () => {
    const machine = machineOf({ textWords: 64 });
    const [a, b] = [lock(1), lock(2)];
    take(machine, machine.tasks[0], [a, b]);
    drop(machine, machine.tasks[0], [a, b]);
    take(machine, machine.tasks[0], [b, a]);
    expect(kindsOf(machine)).toEqual(['circular']);
  });

  it('a reset forgets the limit as well', () => {
    const machine = machineOf({ chains: 16 });
    take(machine, machine.tasks[0], locks(1, 20));
    drop(machine, machine.tasks[0], locks(1, 20));
    expect(kindsOf(machine)).toEqual(['capacity']);
    resetLockdep(machine.heap);
    take(machine, machine.tasks[0], [lock(1), lock(2)]);
    drop(machine, machine.tasks[0], [lock(1), lock(2)]);
    take(machine, machine.tasks[0], [lock(2), lock(1)]);
    expect(kindsOf(machine)).toEqual(['capacity', 'circular']);
  });
});

describe('many locks under one nest lock', () => {
  const COUNT = 200;

  function nested(nestedLocks: number): { machine: Machine; outer: TestLock; inner: TestLock[] } {
    const machine = createTestMachine({ size: { ...LOCKDEP_SMALL, nested: nestedLocks } });
    const inner = Array.from({ length: COUNT }, (_, i) => ({ at: 9000 + 8 * i, cls: CLASS_ANON_VMA_RWSEM }));
    return { machine, outer: machine.lock(CLASS_MMAP_LOCK), inner };
  }

  const orders: [string, (inner: TestLock[]) => TestLock[]][] = [
    ['newest first', (inner) => inner],
    ['oldest first', (inner) => inner.toReversed()],
    ['from the middle', (inner) => [...inner.slice(COUNT / 2), ...inner.slice(0, COUNT / 2)]],
  ];
  it.each(orders)('share an entry beyond the stack and are all released, %s', (_name, order) => {
    const { machine, outer, inner } = nested(COUNT);
    const task = machine.tasks[0];
    take(machine, task, [outer]);
    take(machine, task, inner, { nestLock: outer.at });
    expect(machine.heap[task.ptr + TASK.heldCount]).toBeLessThan(MAX_HELD_LOCKS);
    const mutex = machine.lock(CLASS_TEST_MUTEX);
    take(machine, task, [mutex], { trylock: true });
    drop(machine, task, [mutex]);
    drop(machine, task, order(inner));
    expect(machine.heap[task.ptr + TASK.heldCount]).toBe(1);
    drop(machine, task, [outer]);
    machine.hook.returnToUser(task);
    expect(machine.reports).toEqual([]);
    machine.hook.release(task, inner[COUNT - 1].at);
    expect(kindsOf(machine)).toEqual(['unlock-imbalance']);
  });

  it('are counted in what a report lists', () => {
    const { machine, outer, inner } = nested(COUNT);
    const task = machine.tasks[0];
    take(machine, task, [outer]);
    take(machine, task, inner, { nestLock: outer.at });
    machine.hook.returnToUser(task);
    const [report] = machine.reports;
    expect(report.held.reduce((sum, { more }) => sum + 1 + more, 0)).toBe(1 + COUNT);
  });

  it('have a limit', () => {
    const { machine, outer, inner } = nested(10);
    const task = machine.tasks[0];
    take(machine, task, [outer]);
    take(machine, task, inner, { nestLock: outer.at });
    drop(machine, task, [outer, ...inner]);
    expect(machine.reports).toMatchObject([{ kind: 'capacity', detail: 'MAX_MERGED_LOCKS' }]);
  });
});
