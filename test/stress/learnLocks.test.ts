/** Lockdep over the whole simulated mm: silent on the newest kernel, loud where the kernel's authors were wrong. */
import { describe, expect, it } from 'vitest';
import { CACHES } from '../../src/arena/header.ts';
import { slabGeneration, slabObjects } from '../../src/arena/slab.ts';
import { learnedOrder } from '../../src/lockdep/learnedOrder.ts';
import { kernelPreset } from '../../src/rules/resolve.ts';
import { learnLocks, type LearnResult } from '../../stress/learnLocks.ts';

function learn(kernel: string, seed: number, operations = 1500): LearnResult {
  return learnLocks({ rules: kernelPreset(kernel).rules, seed, operations });
}

describe('one CPU through the default mix', () => {
  it.each(['linux-7.0', 'linux-6.18'])('%s: nothing is found, no order is against the documents', (kernel) => {
    const { heap, violations } = learn(kernel, 1);
    expect(violations).toEqual([]);
    const { order, isOff } = learnedOrder(heap);
    expect(isOff).toBe(false);
    expect(order.length).toBeGreaterThan(15);
    expect(order.filter(({ agreement }) => agreement === 'against')).toEqual([]);
  });

  it('pages are merged on the way', () => {
    const { heap } = learn('linux-7.0', 1, 1500);
    const used = [...slabObjects(heap, CACHES.ksmStableNode)].filter((node) => slabGeneration(heap, node) > 0);
    expect(used.length).toBeGreaterThan(0);
  });

  it('is the same for the same seed', () => {
    const [first, second] = [learn('linux-7.0', 7, 500), learn('linux-7.0', 7, 500)];
    expect(learnedOrder(first.heap)).toEqual(learnedOrder(second.heap));
  });

  it('linux-2.6.34-rc: take-all-locks and rmap walks take anon_vma locks in either order', () => {
    const { violations } = learn('linux-2.6.34-rc', 1, 2500);
    expect(violations.map(({ kind, signature }) => ({ kind, signature }))).toContainEqual({
      kind: 'lock-order',
      signature: 'instance-order: &anon_vma->lock, lockChain, lockVisited',
    });
    // Pinned pages that fork shares lose writes as well, as often as it happens; what lockdep has to say it says once.
    const reports = violations.filter(({ kind }) => kind !== 'lost-write');
    const ids = reports.map(({ kind, signature }) => `${kind} ${signature}`);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('with the spinlock of the root only, nothing is nested and nothing found', () => {
    const { rules } = kernelPreset('linux-2.6.34-rc');
    const rootOnly = {
      ...rules,
      fork: { pinnedPage: 'copyForChild' as const },
      rmapWalk: { lockScheme: 'rootOnly' as const },
    };
    expect(learnLocks({ rules: rootOnly, seed: 1, operations: 1500 }).violations).toEqual([]);
  });
});
