/** Invariants 2, 21, 38, 40, 42 and 43: what the observer follows task by task. */
import { beforeEach, describe, expect, test } from 'vitest';
import { CACHES, HEADER } from '../../src/arena/header.ts';
import { slabFree } from '../../src/arena/slab.ts';
import type { Violation } from '../../src/base/finding.ts';
import { createChecker } from '../../src/check/watch.ts';
import type { CheckHook } from '../../src/cpu/hooks.ts';
import { createTask, type Task } from '../../src/cpu/task.ts';
import type { Pfn, PtePtr, PteVal } from '../../src/layout/ids.ts';
import { MM } from '../../src/layout/mm.ts';
import { PTE_NONE, PTE_TYPE_MIGRATION_READ, makeNonPresentPte, makePte } from '../../src/layout/pte.ts';
import { VMA } from '../../src/layout/vma.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import { forgeWorld, type ForgedWorld } from './forge.ts';
import { HOLD } from './lockHolds.ts';

let world: ForgedWorld;
let task: Task;
let checker: CheckHook;
let seen: Violation[];

beforeEach(() => {
  world = forgeWorld();
  task = createTask({ heap: world.heap, id: 1, rules: LINUX_7_0, seed: 1 });
  seen = [];
  checker = createChecker((violation) => seen.push(violation), {});
});

const found = (): [string, string][] => seen.map(({ kind, signature }) => [kind, signature]);
const present = (): PteVal => makePte(world.pfn, 0);
const migration = (): PteVal => makeNonPresentPte(PTE_TYPE_MIGRATION_READ, world.pfn, 0);

describe('the mmap lock', () => {
  test('is taken, downgraded, dropped, taken again', () => {
    checker.mmapLockWait(task, world.mm);
    checker.mmapLocked(task, world.mm, true);
    checker.mmapUnlock(task, world.mm, true);
    checker.mmapUnlock(task, world.mm, false);
    checker.mmapLockWait(task, world.mm);
    expect(seen).toEqual([]);
  });

  test.each([
    ['write', true],
    ['read', false],
  ] as const)('is waited for by a task that holds it for %s', (how, write) => {
    checker.mmapLocked(task, world.mm, write);
    checker.mmapLockWait(task, world.mm);
    expect(found()).toEqual([['lock-recursion', `mmap lock recursion, held for ${how}`]]);
  });

  test("another task's hold, and another mm, do not matter", () => {
    checker.mmapLocked({ ...task, id: 2 as Task['id'] }, world.mm, false);
    checker.mmapLocked(task, (world.mm + 1) as typeof world.mm, false);
    checker.mmapLockWait(task, world.mm);
    expect(seen).toEqual([]);
  });

  test('is waited for under a VMA read lock', () => {
    checker.vmaReadLocked(task, world.vma);
    checker.mmapLockWait(task, world.mm);
    expect(found()).toEqual([['lock-order', 'mmap lock waited for under a VMA read lock']]);
  });

  test('is only tried for under a VMA read lock', () => {
    world.heap[world.vma + VMA.refcnt] = 2;
    checker.vmaReadLocked(task, world.vma);
    checker.mmapLocked(task, world.mm, false);
    checker.mmapUnlock(task, world.mm, false);
    checker.vmaReadUnlock(task, world.vma);
    checker.mmapLockWait(task, world.mm);
    expect(seen).toEqual([]);
  });

  test.each([
    ['dropped', false],
    ['downgraded', true],
  ])('is %s in the middle of fork', (_how, downgrade) => {
    checker.mmapLocked(task, world.mm, true);
    world.heap[world.mm + MM.writeProtectSeq] = 1;
    checker.mmapUnlock(task, world.mm, downgrade);
    expect(found()).toEqual([['lock-held', 'mmap write lock given up, write_protect_seq odd']]);
  });

  test('a reader may leave whatever somebody else does to write_protect_seq', () => {
    checker.mmapLocked(task, world.mm, false);
    world.heap[world.mm + MM.writeProtectSeq] = 1;
    checker.mmapUnlock(task, world.mm, false);
    expect(seen).toEqual([]);
  });
});

describe('a VMA that is read-locked', () => {
  const change = (corrupt: () => void): void => {
    world.heap[world.vma + VMA.refcnt] = 2;
    checker.vmaReadLocked(task, world.vma);
    corrupt();
    checker.vmaReadUnlock(task, world.vma);
  };

  test('stays as it is', () => {
    change(() => undefined);
    expect(seen).toEqual([]);
  });

  test('may get an anon_vma, other readers, and a writer that waits', () => {
    change(() => {
      world.heap[world.vma + VMA.anonVma] = 0;
      world.heap[world.vma + VMA.refcnt] = (1 << 30) | 3;
    });
    expect(seen).toEqual([]);
  });

  test('may change when it is not locked any more', () => {
    change(() => undefined);
    world.heap[world.vma + VMA.start] = 9;
    change(() => undefined);
    expect(seen).toEqual([]);
  });

  test.each([
    ['changed its range', VMA.start, 9],
    ['changed its range', VMA.end, 11],
    ['changed its range', VMA.pgoff, 9],
    ['changed its flags', VMA.flags, 77],
    ['changed its mm', VMA.mm, 1],
    ['was detached', VMA.refcnt, 1],
  ])('%s (word %i)', (what, word, value) => {
    change(() => (world.heap[world.vma + word] = value));
    expect(found()).toEqual([['lock-held', `VMA ${what} under its read lock`]]);
  });

  test('was freed', () => {
    change(() => slabFree(world.heap, 0, CACHES.vma, world.vma));
    expect(found()).toEqual([['use-after-free', 'VMA was freed under its read lock']]);
  });

  test('a try that failed late was no lock', () => {
    checker.vmaReadUnlock(task, world.vma);
    expect(seen).toEqual([]);
  });
});

describe('an entry', () => {
  const set = (before: PteVal, after: PteVal, at = world.pte): void =>
    checker.pteSet(task, world.mm, world.vpn, at as PtePtr, before, after);
  beforeEach(() => HOLD.ptl(task, world));

  test('is written without the ptl', () => {
    HOLD.ptl({ ...task, id: 2 as Task['id'] }, world);
    set(present(), present());
    expect(found()).toEqual([['lock-held', 'entry written without the ptl']]);
  });

  test('that is none is filled with no lock but the ptl', () => {
    set(PTE_NONE, migration());
    expect(found()).toEqual([['lock-held', 'entry filled without mmap lock or VMA lock']]);
  });

  test('that is none is filled under the mmap lock', () => {
    checker.mmapLocked(task, world.mm, false);
    set(PTE_NONE, migration());
    expect(seen).toEqual([]);
  });

  test('that is none is filled under the lock of its VMA, not of another', () => {
    checker.vmaReadLocked(task, world.vma);
    set(PTE_NONE, migration());
    expect(seen).toEqual([]);
    checker.pteSet(task, world.mm, 12 as typeof world.vpn, (world.pte + 3) as PtePtr, PTE_NONE, migration());
    expect(found()).toEqual([['lock-held', 'entry filled without mmap lock or VMA lock']]);
  });

  test('is taken out and replaced by an rmap walk', () => {
    set(migration(), PTE_NONE);
    set(PTE_NONE, migration());
    expect(seen).toEqual([]);
  });

  test('is filled after another one was taken out', () => {
    set(migration(), PTE_NONE, world.pte + 1);
    set(PTE_NONE, migration());
    expect(seen.length).toBe(1);
  });

  describe('and its mapcount', () => {
    beforeEach(() => checker.mmapLocked(task, world.mm, true));
    const other = (): typeof world.mm => (world.mm + 1) as typeof world.mm;
    const count = (delta: number): void => checker.rmapChanged(task, world.pfn, world.vma, delta);

    test('counted, shown; hidden, counted off', () => {
      count(1);
      set(PTE_NONE, present());
      set(present(), PTE_NONE);
      count(-1);
      checker.mmapLockWait(task, other());
      expect(seen).toEqual([]);
    });

    test('moved, made read-only, the zero page', () => {
      set(present(), PTE_NONE);
      set(PTE_NONE, present(), world.pte + 1);
      set(makePte(world.pfn, 2), present());
      set(PTE_NONE, makePte(world.heap[HEADER.zeroPfn] as Pfn, 0), world.pte + 2);
      checker.mmapLockWait(task, other());
      expect(seen).toEqual([]);
    });

    test('shown before it is counted', () => {
      set(PTE_NONE, present());
      expect(found()).toEqual([['count-mismatch', 'mapping shown before it was counted']]);
    });

    test('counted off before it is hidden', () => {
      count(-1);
      expect(found()).toEqual([['count-mismatch', 'mapping counted off before its entry went']]);
    });

    test('counted and never shown', () => {
      count(1);
      expect(seen).toEqual([]);
      checker.mmapLockWait(task, other());
      expect(found()).toEqual([['count-mismatch', 'mapping counted without an entry']]);
    });
  });
});
