/** Each rule: what breaks it is reported once, and what looks like it but is fine is not. */
import { describe, expect, it } from 'vitest';
import type { AcquireMode } from '../../src/cpu/hooks.ts';
import type { LockClassId } from '../../src/layout/ids.ts';
import {
  CLASS_ANON_VMA_RWSEM,
  CLASS_MMAP_LOCK,
  CLASS_NONE,
  CLASS_PAGE_TABLE_LOCK,
  CLASS_PTE_LOCK,
  CLASS_TEST_MUTEX,
  CLASS_VM_LOCK,
} from '../../src/layout/lockClass.ts';
import { TASK } from '../../src/layout/task.ts';
import { createTestMachine, drop, kindsOf, mode, take, type Machine } from './harness.ts';

/**
 * A script, one task per line: `+M` takes for write, `rM` for read, `?M` by trylock, `-M` releases, `dM` downgrades, `!`
 * returns to user, `m` might sleep. M mmap_lock, V vma lock, A anon_vma rwsem, P pte lock, T page_table_lock, X mutex,
 * U untracked; a digit chooses the instance, `/1` the subclass, `(M)` the nest lock.
 */
const LETTERS: Record<string, LockClassId> = {
  M: CLASS_MMAP_LOCK,
  V: CLASS_VM_LOCK,
  A: CLASS_ANON_VMA_RWSEM,
  P: CLASS_PTE_LOCK,
  T: CLASS_PAGE_TABLE_LOCK,
  X: CLASS_TEST_MUTEX,
  U: CLASS_NONE,
};
const TOKEN = /^([-+r?dm!])([A-Z])?(\d)?(?:\/(\d))?(?:\(([A-Z])\))?$/;

function perform(machine: Machine, taskIndex: number, token: string): void {
  const { hook, tasks } = machine;
  const task = tasks[taskIndex];
  const [, verb, letter = 'M', number, subclass, nest] = TOKEN.exec(token)!;
  const { at, cls } = machine.lock(LETTERS[letter], Number(number ?? 0));
  const given: Partial<AcquireMode> = {
    subclass: Number(subclass ?? 0),
    nestLock: nest === undefined ? 0 : machine.lock(LETTERS[nest]).at,
  };
  if (verb === '+') hook.acquire(task, at, cls, mode(given));
  if (verb === 'r') hook.acquire(task, at, cls, mode({ ...given, read: 1 }));
  if (verb === '?') hook.acquire(task, at, cls, mode({ ...given, trylock: true }));
  if (verb === '-') hook.release(task, at);
  if (verb === 'd') hook.downgrade(task, at);
  if (verb === 'm') hook.mightSleep(task, 'kmem_cache_alloc');
  if (verb === '!') hook.returnToUser(task);
}

/** Kinds reported by a script; instances are not checked, for the rules of classes alone. */
function kinds(script: string, instances = false): string[] {
  const machine = createTestMachine({ instances });
  for (const [line, text] of script.split('|').entries()) {
    for (const token of text.trim().split(/\s+/)) perform(machine, line, token);
  }
  return kindsOf(machine);
}

const TABLE: [string, string, string[]][] = [
  // order
  ['one order', '+M +A -A -M | +M +A -A -M', []],
  ['both orders', '+M +A -A -M | +A +M -M -A', ['circular']],
  ['readers of a fair rwsem count', 'rM rA -A -M | rA rM -M -A', ['circular']],
  ['a trylock waits for nobody', '+M +A -A -M | +A ?M -M -A', []],
  ['a lock got by trylock is held', '?M +A -A -M | +A +M -M -A', ['circular']],
  ['three locks, each pair in order', '+M +A -A -M | +A +X -X -A | +X +M -M -X', ['circular']],
  ['three locks without a cycle', '+M +A -A -M | +A +X -X -A | +M +X -X -M', []],
  ['the order of a lock below a trylock', '+M ?V +A -A -V -M | +A +M -M -A', ['circular']],
  ['order after an out-of-order release', '+M +A +X -A -X -M | +X +M -M -X', ['circular']],
  ['an untracked lock has no order', '+U +A -A -U | +A +U -U -A', []],
  ['a cycle is reported once', '+M +A -A -M | +A +M -M -A | +A +M -M -A', ['circular']],
  // recursion
  ['two locks of one class', '+P0 +P1', ['recursive']],
  ['two readers of one class', 'rM0 rM1', ['recursive']],
  ['two locks on two levels', '+P0 +P1/1', []],
  ['levels have an order', '+P0 +P1/1 -P1 -P0 | +P0/1 +P1 -P1 -P0', ['circular']],
  ['two locks under a nest lock', '+M +A0(M) +A1(M)', []],
  ['two locks, the nest lock above them', '+A0 +M +A1(M)', ['recursive']],
  ['two locks under a nest lock that is not held', '+A0 +A1(M)', ['nested-lock']],
  ['a nest lock that is dropped first', '+M +A0(M) -M', ['nested-lock']],
  ['annotated the first time, not the second', '+M +A0(M) +A1(M) -A1 +A1', ['recursive']],
  ['a second lock by trylock', '+P0 ?P1 -P1 -P0', []],
  // sleeping
  ['a sleeping lock in a spinlock', '+P +M', ['wait-context']],
  ['a sleeping lock two spinlocks deep', '+T +P rA', ['wait-context']],
  ['a spinlock in a sleeping lock', '+M +P -P -M', []],
  ['a sleeping trylock in a spinlock', '+P ?M -M -P', []],
  ['might_sleep in a spinlock', '+P m -P', ['sleeping-function']],
  ['might_sleep in a sleeping lock', '+M m -M', []],
  // balance
  ['releases what nobody took', '-M', ['unlock-imbalance']],
  ['releases twice', '+M -M -M', ['unlock-imbalance']],
  ['releases another task’s lock', '+M | -M', ['unlock-imbalance']],
  ['releases in any order', '+M +A +X -M -X -A', []],
  ['an untracked lock is balanced too', '+U -U -U', ['unlock-imbalance']],
  ['returns to user with a lock', '+M !', ['user-return']],
  ['returns to user with nothing', '+M -M !', []],
  // downgrade
  ['downgrade, then order as a reader', '+M +A -A dM -M | rA rM -M -A', ['circular']],
  ['downgrade keeps what is above', '+M +A dM -A -M !', []],
  ['downgrades what is not held', 'dM', ['unlock-imbalance']],
  ['downgrades a reader', 'rM dM', ['unlock-imbalance']],
];

describe('rules', () => {
  it.each(TABLE)('%s: %s', (_name, script, expected) => {
    expect(kinds(script)).toEqual(expected);
  });

  it('the same lock twice, on two levels: the annotation does not help', () => {
    expect(kinds('+P0 +P0/1')).toEqual([]);
    expect(kinds('+P0 +P0/1', true)).toEqual(['recursive']);
  });
});

describe('where the task must not sleep', () => {
  const contexts: [string, (machine: Machine) => void][] = [
    ['inside RCU', ({ heap, tasks }) => void (heap[tasks[0].ptr + TASK.rcuNesting] = 1)],
    ['with preemption off', ({ tasks }) => void (tasks[0].preemptCount = 1)],
    ['with interrupts off', ({ tasks }) => void (tasks[0].irqsOff = true)],
  ];

  it.each(contexts)('%s: a sleeping lock and a sleeping function are reported', (_name, enter) => {
    const machine = createTestMachine();
    const { hook, tasks, lock } = machine;
    const task = tasks[0];
    const rwsem = lock(CLASS_ANON_VMA_RWSEM);
    take(machine, task, [rwsem]);
    drop(machine, task, [rwsem]);
    hook.mightSleep(task, 'kmem_cache_alloc');
    expect(kindsOf(machine)).toEqual([]);
    enter(machine);
    take(machine, task, [rwsem], { trylock: true });
    drop(machine, task, [rwsem]);
    take(machine, task, [lock(CLASS_PTE_LOCK)]);
    drop(machine, task, [lock(CLASS_PTE_LOCK)]);
    expect(kindsOf(machine)).toEqual([]);
    take(machine, task, [rwsem]);
    drop(machine, task, [rwsem]);
    hook.mightSleep(task, 'kmem_cache_alloc');
    expect(kindsOf(machine)).toEqual(['wait-context', 'sleeping-function']);
  });

  it('leaving the kernel inside RCU is reported', () => {
    const { hook, tasks, heap, reports } = createTestMachine();
    heap[tasks[0].ptr + TASK.rcuNesting] = 1;
    hook.returnToUser(tasks[0]);
    expect(reports).toMatchObject([{ kind: 'user-return', rcuNesting: 1 }]);
  });
});

describe('freed memory', () => {
  it('a held lock in it is reported, others are not', () => {
    const machine = createTestMachine();
    const { hook, tasks, lock, reports } = machine;
    const [first, second] = [lock(CLASS_PTE_LOCK, 0), lock(CLASS_PAGE_TABLE_LOCK, 1)];
    take(machine, tasks[0], [first]);
    hook.freeRange(tasks[0], second.at, 8);
    hook.freeRange(tasks[0], first.at + 1, 4);
    hook.freeRange(tasks[1], first.at, 8);
    expect(reports).toEqual([]);
    hook.freeRange(tasks[0], first.at - 2, 8);
    expect(reports).toMatchObject([{ kind: 'held-lock-freed', lock: { lock: first.at } }]);
  });
});
