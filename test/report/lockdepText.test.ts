/** Lockdep's reports, word for word. */
import { describe, expect, it } from 'vitest';
import type { AcquireMode } from '../../src/cpu/hooks.ts';
import type { LockClassId } from '../../src/layout/ids.ts';
import {
  CLASS_ANON_VMA_RWSEM,
  CLASS_ANON_VMA_SPIN,
  CLASS_MMAP_LOCK,
  CLASS_PTE_LOCK,
  CLASS_TEST_MUTEX,
} from '../../src/layout/lockClass.ts';
import { TASK } from '../../src/layout/task.ts';
import type { LockdepReport } from '../../src/lockdep/report.ts';
import { findingId } from '../../src/base/finding.ts';
import { lockdepText } from '../../src/report/lockdepText.ts';
import { lockdepViolation } from '../../src/report/lockdepViolation.ts';
import { createTestMachine, mode, type Machine } from '../lockdep/harness.ts';
import { expectGolden } from '../support/golden.ts';

const OPERATIONS = ['', 'munmap', 'migrate'];
const opNames = (op: number): string => OPERATIONS[op] ?? `op ${op}`;

/** Lockdep with a stack that the test makes up: who calls which lock function, from the outside in. */
class Scene {
  frames: string[] = [];
  readonly machine: Machine;

  constructor() {
    this.machine = createTestMachine({ trace: () => this.frames });
    this.machine.heap[this.task(1).ptr + TASK.op] = 1;
    this.machine.heap[this.task(2).ptr + TASK.op] = 2;
  }

  task(id: number): Machine['tasks'][0] {
    return this.machine.tasks[id - 1];
  }

  /** `at`: `function:line`, innermost first. */
  from(...at: string[]): this {
    this.frames = at.map((frame) => {
      const [name, line] = frame.split(':');
      const folder = /^(down|spin|up|mutex)/.test(name) ? 'locks/' : 'mm/';
      return `${name}@src/${folder}${name}.ts:${line}`;
    });
    return this;
  }

  take(id: number, cls: LockClassId, given: Partial<AcquireMode> = {}, n = 0): this {
    this.machine.hook.acquire(this.task(id), this.address(cls, n), cls, mode(given));
    return this;
  }

  drop(id: number, cls: LockClassId, n = 0): this {
    this.machine.hook.release(this.task(id), this.address(cls, n));
    return this;
  }

  /** Outside the arena, so that reports do not change with its layout. */
  address(cls: LockClassId, n = 0): number {
    return 0x0080_0000 + 0x1000 * cls + 8 * n;
  }

  get report(): LockdepReport {
    expect(this.machine.reports).toHaveLength(1);
    return this.machine.reports[0];
  }
}

const SCENES: Record<string, () => Scene> = {
  circular: () =>
    new Scene()
      .from('downWrite:110', 'munmap:80')
      .take(1, CLASS_MMAP_LOCK)
      .from('downWrite:110', 'unlinkAnonVmas:31', 'munmap:95')
      .take(1, CLASS_ANON_VMA_RWSEM)
      .drop(1, CLASS_ANON_VMA_RWSEM)
      .drop(1, CLASS_MMAP_LOCK)
      .from('downRead:56', 'rmapWalk:44', 'migratePages:140')
      .take(2, CLASS_ANON_VMA_RWSEM, { read: 1 })
      .from('downRead:56', 'tryToMigrateOne:70', 'rmapWalk:61', 'migratePages:140')
      .take(2, CLASS_MMAP_LOCK, { read: 1 }),
  circularChain: () =>
    new Scene()
      .from('downWrite:110', 'munmap:80')
      .take(1, CLASS_MMAP_LOCK)
      .from('mutexLock:50', 'registerNotifier:12')
      .take(1, CLASS_TEST_MUTEX)
      .drop(1, CLASS_TEST_MUTEX)
      .drop(1, CLASS_MMAP_LOCK)
      .take(1, CLASS_TEST_MUTEX)
      .from('downWrite:110', 'unlinkAnonVmas:31')
      .take(1, CLASS_ANON_VMA_RWSEM)
      .drop(1, CLASS_ANON_VMA_RWSEM)
      .drop(1, CLASS_TEST_MUTEX)
      .take(2, CLASS_ANON_VMA_RWSEM)
      .from('downRead:56', 'copyPageRange:70')
      .take(2, CLASS_MMAP_LOCK, { read: 1 }),
  instanceOrder: () =>
    new Scene()
      .from('spinLock:37', 'anonVmaLockRead:20', 'rmapWalk:44')
      .take(1, CLASS_ANON_VMA_SPIN, {}, 1)
      .from('spinLock:37', 'lockVisited:61', 'rmapWalk:61')
      .take(1, CLASS_ANON_VMA_SPIN, { subclass: 1 }, 2)
      .drop(1, CLASS_ANON_VMA_SPIN, 2)
      .drop(1, CLASS_ANON_VMA_SPIN, 1)
      .from('spinLock:37', 'mmTakeAllLocks:30')
      .take(2, CLASS_ANON_VMA_SPIN, {}, 2)
      .take(2, CLASS_ANON_VMA_SPIN, { subclass: 1 }, 1),
  recursive: () =>
    new Scene()
      .from('spinLock:37', 'pteOffsetMapLock:52', 'movePtes:88')
      .take(1, CLASS_PTE_LOCK)
      .from('spinLock:37', 'pteOffsetMapLock:52', 'movePtes:93')
      .take(1, CLASS_PTE_LOCK, {}, 1),
  nestedLock: () => {
    const scene = new Scene().from('downWrite:110', 'mmTakeAllLocks:30');
    return scene.take(1, CLASS_ANON_VMA_RWSEM, { nestLock: scene.address(CLASS_MMAP_LOCK) });
  },
  waitContext: () =>
    new Scene()
      .from('spinLock:37', 'pteOffsetMapLock:52')
      .take(1, CLASS_PTE_LOCK)
      .from('downWrite:110', 'anonVmaPrepare:18')
      .take(1, CLASS_ANON_VMA_RWSEM),
  waitContextRcu: () => {
    const scene = new Scene().from('downWrite:110', 'anonVmaPrepare:18');
    scene.machine.heap[scene.task(1).ptr + TASK.rcuNesting] = 1;
    return scene.take(1, CLASS_ANON_VMA_RWSEM);
  },
  sleepingFunction: () => {
    const scene = new Scene().from('spinLock:37', 'pteOffsetMapLock:52').take(1, CLASS_PTE_LOCK);
    scene.task(1).preemptCount = 1;
    scene.from('kmemCacheAlloc:14', 'anonVmaPrepare:18').machine.hook.mightSleep(scene.task(1), 'kmem_cache_alloc');
    return scene;
  },
  unlockImbalance: () =>
    new Scene()
      .from('downRead:56', 'rmapWalk:44')
      .take(2, CLASS_ANON_VMA_RWSEM, { read: 1 })
      .from('upRead:100', 'mremap:77')
      .drop(2, CLASS_MMAP_LOCK),
  heldLockFreed: () => {
    const scene = new Scene().from('spinLock:37', 'pteOffsetMapLock:52').take(1, CLASS_PTE_LOCK);
    const { hook } = scene.from('kmemCacheFree:25', 'freePgtables:40').machine;
    hook.freeRange(scene.task(1), scene.address(CLASS_PTE_LOCK), 8);
    return scene;
  },
  userReturn: () => {
    const scene = new Scene().from('downWrite:110', 'sysMremap:30').take(1, CLASS_MMAP_LOCK);
    scene.machine.hook.returnToUser(scene.task(1));
    return scene;
  },
  capacity: () => {
    const scene = new Scene().from('spinLock:37', 'movePtes:88');
    for (let n = 0; n <= 48; n++) scene.take(1, CLASS_PTE_LOCK, { trylock: true }, n);
    return scene;
  },
};

describe('reports', () => {
  it.each(Object.entries(SCENES))('%s', (name, play) => {
    const banner = 'mmstorm 0.1.0, linux-7.0, seed 7';
    const lines = lockdepText(play().report, { banner, opNames });
    expectGolden(`lockdep/${name}`, name === 'capacity' ? lines.slice(0, 12) : lines);
  });

  it('a long line is cut at 120 columns', () => {
    const scene = SCENES.recursive();
    const frames = [`${'f'.repeat(200)}@src/mm/long.ts:1`];
    const report: LockdepReport = { ...scene.report, stack: frames };
    const lines = lockdepText(report, { banner: 'b'.repeat(300) });
    expect(Math.max(...lines.map((line) => line.length))).toBe(120);
  });
});

describe('violations', () => {
  it.each(Object.entries(SCENES))(
    '%s has a kind, one line of title, evidence, and no addresses in either name',
    (_, play) => {
      const { kind, title, signature, evidence } = lockdepViolation(play().report, opNames);
      expect(kind).toMatch(/^(lock-order|lock-recursion|lock-balance|sleep-in-atomic|assertion)$/);
      expect(evidence.length).toBeGreaterThan(2);
      for (const text of [title, signature]) expect(text).toMatch(/^[^\n]+$/);
      for (const text of [title, signature]) expect(text).not.toMatch(/0x[\da-f]/);
    },
  );

  it('a cycle has one id, from whichever end it was closed', () => {
    const closedBy = (order: readonly LockClassId[]): string => {
      const scene = new Scene();
      for (const classes of [order, order.toReversed()]) {
        for (const cls of classes) scene.take(1, cls);
        for (const cls of classes) scene.drop(1, cls);
      }
      return findingId(lockdepViolation(scene.report));
    };
    const ends = [CLASS_MMAP_LOCK, CLASS_ANON_VMA_RWSEM];
    expect(closedBy(ends)).toBe(closedBy(ends.toReversed()));
    expect(closedBy(ends)).not.toBe(closedBy([CLASS_MMAP_LOCK, CLASS_TEST_MUTEX]));
  });
});
