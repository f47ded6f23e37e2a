/** What forks do to anon_vmas: the order of chains, reuse, growth, the double reuse of the `degree` rule, unwinding. */
import { describe, expect } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabAllocatedCount } from '../../src/arena/slab.ts';
import { ENOMEM } from '../../src/base/errno.ts';
import { Prng } from '../../src/base/prng.ts';
import type { Sim } from '../../src/base/sim.ts';
import { checkAnonVmas } from '../../src/check/anonVmaState.ts';
import { anonVmaDegree, anonVmaNumActiveVmas, anonVmaNumChildren } from '../../src/layout/anonVma.ts';
import { NO_ANON_VMA, NO_AVC, type Vpn } from '../../src/layout/ids.ts';
import { setVmaMm, vmaAnonVma, vmaAvcFirst } from '../../src/layout/vma.ts';
import { anonVmaFork } from '../../src/mm/anonVmaFork.ts';
import { unlinkAnonVmas } from '../../src/mm/unlinkAnonVmas.ts';
import { userWrite } from '../../src/mm/userAccess.ts';
import { vmaDup, vmaFree } from '../../src/mm/vma.ts';
import { LINUX_7_0 } from '../../src/rules/presets.ts';
import type { Rules } from '../../src/rules/rules.ts';
import { Family, active, chain, exit, fork, split, unmap, vmaOf } from './family.ts';
import { failingTask, mapPages, mmTest, type Sandbox } from './sandbox.ts';

const PAGE = 10;
const SIZE = { mms: 16, anonVmas: 96, anonVmaChains: 384, pageTables: 80, vmas: 96, vmaNodes: [64, 0, 0, 0] } as const;

function withAnonVma(change: Partial<Rules['anonVma']>): Rules {
  return { ...LINUX_7_0, anonVma: { ...LINUX_7_0.anonVma, ...change } };
}

const SAME_ORDER = withAnonVma({ cloneOrder: 'same' });
const DEGREE = withAnonVma({ reuseTest: 'degree' });
const NO_REUSE = withAnonVma({ reuseTest: 'never' });
const SPINLOCKS: Rules = {
  ...withAnonVma({ lock: 'perAnonVmaSpinlock', cloneOrder: 'same' }),
  rmapWalk: { lockScheme: 'eachInListOrder' },
};

/** Process 1 with a written VMA of four pages. */
function firstProcess(box: Sandbox): Sim<Family> {
  const family = new Family(box);
  mapPages(box, PAGE, 4);
  expect(userWrite(box.task, PAGE as Vpn, 0, 1)).toBe(0);
  expect(active(family, 1, PAGE)).toBe(1);
  return family;
}

function forkChain(family: Family, generations: number): Sim<void> {
  for (let process = 1; process <= generations; process++) {
    fork(family, process);
    active(family, process + 1, PAGE);
  }
}

describe('chain of a sixth generation, all ancestors alive', () => {
  mmTest(
    'is reversed at each copy since 7.0',
    (box: Sandbox): Sim<void> => {
      const family = firstProcess(box);
      forkChain(family, 5);
      expect(chain(family, 3, PAGE)).toEqual([3, 1, 2]);
      expect(chain(family, 6, PAGE)).toEqual([6, 4, 2, 1, 3, 5]);
    },
    { size: SIZE },
  );

  mmTest(
    'runs from newest to oldest before',
    (box: Sandbox): Sim<void> => {
      const family = firstProcess(box);
      forkChain(family, 5);
      expect(chain(family, 6, PAGE)).toEqual([6, 5, 4, 3, 2, 1]);
    },
    { size: SIZE, rules: SAME_ORDER },
  );

  mmTest(
    'is the same with a spinlock in each anon_vma',
    (box: Sandbox): Sim<void> => {
      const family = firstProcess(box);
      forkChain(family, 5);
      expect(chain(family, 6, PAGE)).toEqual([6, 5, 4, 3, 2, 1]);
      exit(family, 3);
      exit(family, 1);
      expect(chain(family, 6, PAGE)).toEqual([6, 5, 4, 3, 2, 1]);
    },
    { size: SIZE, rules: SPINLOCKS },
  );
});

describe('a server that forks and exits in each generation', () => {
  for (const [name, rules] of [
    ['7.0', LINUX_7_0],
    ['6.x', SAME_ORDER],
    ['3.19', DEGREE],
    ['6.x with spinlocks', SPINLOCKS],
  ] as const) {
    mmTest(
      `keeps three anon_vmas and alternates between two of them (${name})`,
      (box: Sandbox): Sim<void> => {
        const family = firstProcess(box);
        const actives: number[] = [];
        for (let process = 1; process < 12; process++) {
          fork(family, process);
          exit(family, process);
          actives.push(active(family, process + 1, PAGE));
          expect(chain(family, process + 1, PAGE).length).toBeLessThanOrEqual(3);
        }
        expect(actives).toEqual([2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2]);
        expect(slabAllocatedCount(box.heap, CACHES.anonVma)).toBe(3);
      },
      { size: SIZE, rules },
    );
  }

  mmTest(
    'grows by one in each generation without reuse',
    (box: Sandbox): Sim<void> => {
      const family = firstProcess(box);
      for (let process = 1; process < 8; process++) {
        fork(family, process);
        exit(family, process);
        expect(chain(family, process + 1, PAGE)).toHaveLength(process + 1);
      }
    },
    { size: SIZE, rules: NO_REUSE },
  );
});

describe('double reuse', () => {
  /** mm1{V}; fork 1->2; fork 2->3; mm2 unmaps V; fork 3->4; fork 4->5. */
  function fiveSteps(box: Sandbox): Sim<Family> {
    const family = firstProcess(box);
    forkChain(family, 2);
    unmap(family, 2, PAGE, 4);
    fork(family, 3);
    // Legal: nobody uses it any more, and it has one child.
    expect(active(family, 4, PAGE)).toBe(2);
    fork(family, 4);
    return family;
  }

  mmTest(
    'by degree gives an anon_vma in use to a second process',
    (box: Sandbox): Sim<void> => {
      const family = fiveSteps(box);
      expect(active(family, 3, PAGE)).toBe(3);
      expect(active(family, 5, PAGE)).toBe(3);
      expect(anonVmaNumActiveVmas(box.heap, vmaAnonVma(box.heap, vmaOf(family, 3, PAGE)))).toBe(2);
    },
    { size: SIZE, rules: DEGREE },
  );

  for (const rules of [LINUX_7_0, SAME_ORDER]) {
    mmTest(
      `does not happen with split counters (${rules.anonVma.cloneOrder})`,
      (box: Sandbox): Sim<void> => {
        const family = fiveSteps(box);
        expect(active(family, 5, PAGE)).toBe(4);
      },
      { size: SIZE, rules },
    );
  }

  /** fork 1->2, 2->3; 2 unmaps; fork 3->4, 4->5; split in 4; fork 4->6; exit 1, 3, 5; fork 6->7. */
  function elevenSteps(box: Sandbox): Sim<Family> {
    const family = firstProcess(box);
    forkChain(family, 2);
    unmap(family, 2, PAGE, 4);
    fork(family, 3);
    fork(family, 4);
    split(family, 4, PAGE + 2, 2);
    fork(family, 4);
    active(family, 6, PAGE);
    active(family, 6, PAGE + 2);
    exit(family, 1);
    exit(family, 3);
    exit(family, 5);
    fork(family, 6);
    return family;
  }

  mmTest(
    'by degree makes two VMAs share an anon_vma with different chains',
    (box: Sandbox): Sim<void> => {
      const family = elevenSteps(box);
      const [low, high] = [PAGE, PAGE + 2];
      expect([active(family, 7, low), active(family, 7, high)]).toEqual([3, 3]);
      expect(chain(family, 7, low).sort().reverse()).toEqual([4, 3, 2, 1]);
      expect(chain(family, 7, high).sort().reverse()).toEqual([5, 3, 2, 1]);
    },
    { size: SIZE, rules: DEGREE, expected: ['equal anon_vma, unequal chains'] },
  );

  mmTest(
    'leaves the same eleven steps harmless with split counters',
    (box: Sandbox): Sim<void> => {
      const family = elevenSteps(box);
      expect(active(family, 7, PAGE)).not.toBe(active(family, 7, PAGE + 2));
    },
    { size: SIZE },
  );
});

describe('random families', () => {
  for (const rules of [LINUX_7_0, SAME_ORDER, SPINLOCKS]) {
    mmTest(
      `keep every counter and chain right (${rules.anonVma.lock}, ${rules.anonVma.cloneOrder})`,
      (box: Sandbox): Sim<void> => {
        const family = firstProcess(box);
        const random = Prng.fromSeed(11);
        const alive = [1];
        let next = 2;
        for (let step = 0; step < 60; step++) {
          const at = random.below(alive.length);
          const process = alive[at];
          const choice = random.below(10);
          if (choice < 5 && alive.length < 8) {
            fork(family, process);
            alive.push(next++);
          } else if (choice < 8 && alive.length > 1) {
            exit(family, process);
            alive.splice(at, 1);
          } else if (choice === 8 && process !== 1) {
            split(family, process, PAGE + 1 + random.below(3), 1);
          } else if (process !== 1) {
            unmap(family, process, PAGE + random.below(4), 1);
          }
          expect(checkAnonVmas(box.heap)).toEqual([]);
        }
      },
      { size: { ...SIZE, anonVmaChains: 1024, anonVmas: 256, vmas: 256 }, rules },
    );
  }
});

describe('counters', () => {
  mmTest('of a root: itself as a child, its VMA; degree is their sum', (box: Sandbox): Sim<void> => {
    const family = firstProcess(box);
    const root = vmaAnonVma(box.heap, vmaOf(family, 1, PAGE));
    expect([anonVmaNumChildren(box.heap, root), anonVmaNumActiveVmas(box.heap, root)]).toEqual([1, 1]);
    expect(anonVmaDegree(box.heap, root)).toBe(2);
    fork(family, 1);
    expect([anonVmaNumChildren(box.heap, root), anonVmaNumActiveVmas(box.heap, root)]).toEqual([2, 1]);
    expect(anonVmaDegree(box.heap, root)).toBe(3);
  });
});

describe('without memory', () => {
  mmTest('fork of an anon_vma leaves nothing behind at any site', (box: Sandbox): Sim<void> => {
    const family = firstProcess(box);
    forkChain(family, 2);
    const parent = vmaOf(family, 3, PAGE);
    let failures = 0;
    for (let site = 0; ; site++) {
      const before = [CACHES.anonVma, CACHES.anonVmaChain].map((cache) => slabAllocatedCount(box.heap, cache));
      const child = vmaDup(box.task, parent);
      setVmaMm(box.heap, child, family.mm(2));
      const task = failingTask(box.task, site);
      const error = anonVmaFork(task, child, parent);
      if (error !== 0) {
        failures++;
        expect(error).toBe(-ENOMEM);
        expect([vmaAnonVma(box.heap, child), vmaAvcFirst(box.heap, child)]).toEqual([NO_ANON_VMA, NO_AVC]);
      } else {
        unlinkAnonVmas(box.task, child);
      }
      vmaFree(box.task, child);
      const after = [CACHES.anonVma, CACHES.anonVmaChain].map((cache) => slabAllocatedCount(box.heap, cache));
      expect(after).toEqual(before);
      if (task.injectedFailures === 0) break;
    }
    // The anon_vma, its AVC, and a copy of each of the parent's three AVCs.
    expect(failures).toBe(5);
  });
});
