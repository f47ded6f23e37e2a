/**
 * The graph against a naive model: every dependency of every acquire is kept, from all held locks, and a cycle is looked
 * for by trying all simple paths. Lockdep keeps the nearest edges, caches chains and searches over states; both must
 * object to the same acquire.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ReadMode } from '../../src/cpu/hooks.ts';
import type { LockClassId } from '../../src/layout/ids.ts';
import type { LockClass } from '../../src/layout/lockClass.ts';
import { resetLockdep } from '../../src/lockdep/section.ts';
import { noTrace } from '../../src/lockdep/trace.ts';
import { createTestMachine, mode } from './harness.ts';

const CLASS_COUNT = 6;
const CLASSES: LockClass[] = Array.from({ length: CLASS_COUNT + 1 }, (_, i) => ({
  name: String.fromCharCode(64 + i),
  family: 'spinlock',
  wait: 'spin',
  source: '',
  rank: 0,
}));

interface Taken {
  cls: number;
  read: ReadMode;
  trylock: boolean;
}

/** A task takes these in order, and after some of them lets go of the one at `release` (modulo what it holds). */
interface Step extends Taken {
  release: number | null;
}

interface Dependency {
  from: number;
  to: number;
  shared: boolean;
  recursive: boolean;
}

/** True when some simple cycle through `closing` is strong. */
function closesStrongCycle(known: readonly Dependency[], closing: Dependency): boolean {
  const walk = (path: Dependency[]): boolean => {
    const last = path.at(-1)!;
    return known.some((next) => {
      if (next.from !== last.to || (last.recursive && next.shared)) return false;
      if (next.to === closing.from) return !(next.recursive && closing.shared);
      return path.every(({ from, to }) => from !== next.to && to !== next.to) && walk([...path, next]);
    });
  };
  return walk([closing]);
}

/** Number of the acquire the model objects to, or -1. */
function modelVerdict(segments: readonly (readonly Step[])[]): number {
  const known: Dependency[] = [];
  let acquires = 0;
  for (const segment of segments) {
    const held: Taken[] = [];
    for (const { release, ...taken } of segment) {
      if (held.some(({ cls }) => cls === taken.cls)) continue;
      const added = held.map(({ cls, read }) => ({
        from: cls,
        to: taken.cls,
        shared: read !== 0,
        recursive: taken.read === 2,
      }));
      if (!taken.trylock) {
        if (added.some((dependency) => closesStrongCycle(known, dependency))) return acquires;
        known.push(...added);
      }
      acquires++;
      held.push(taken);
      if (release !== null) held.splice(release % held.length, 1);
    }
  }
  return -1;
}

const machine = createTestMachine({ classes: CLASSES, trace: noTrace });

/** The same for lockdep. */
function lockdepVerdict(segments: readonly (readonly Step[])[]): number {
  const { hook, heap, reports, tasks } = machine;
  const task = tasks[0];
  resetLockdep(heap);
  reports.length = 0;
  let acquires = 0;
  for (const segment of segments) {
    const held: number[] = [];
    for (const { release, cls, read, trylock } of segment) {
      if (held.includes(cls)) continue;
      hook.acquire(task, 1000 + cls, cls as LockClassId, mode({ read, trylock }));
      held.push(cls);
      if (reports.length > 0) {
        held.forEach((taken) => hook.release(task, 1000 + taken));
        return acquires;
      }
      acquires++;
      if (release !== null) hook.release(task, 1000 + held.splice(release % held.length, 1)[0]);
    }
    held.forEach((taken) => hook.release(task, 1000 + taken));
  }
  return -1;
}

const step = (reads: ReadMode[]): fc.Arbitrary<Step> =>
  fc.record({
    cls: fc.integer({ min: 1, max: CLASS_COUNT }),
    read: fc.constantFrom(...reads),
    trylock: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    release: fc.option(fc.nat({ max: 10 }), { freq: 3 }),
  });
const script = (reads: ReadMode[]): fc.Arbitrary<Step[][]> =>
  fc.array(fc.array(step(reads), { minLength: 2, maxLength: 5, size: 'max' }), {
    minLength: 2,
    maxLength: 10,
    size: 'max',
  });

describe('lockdep and a naive model object to the same acquire', () => {
  const cases: [string, ReadMode[]][] = [
    ['exclusive locks only', [0]],
    ['readers that queue', [0, 1]],
    ['recursive readers', [0, 2]],
    ['all modes', [0, 1, 2]],
  ];
  it.each(cases)('%s', (_, reads) => {
    fc.assert(
      fc.property(script(reads), (segments) => {
        expect(lockdepVerdict(segments)).toBe(modelVerdict(segments));
      }),
      { numRuns: 2000, seed: 7 },
    );
  });

  it('the scripts reach both verdicts often', () => {
    const samples = fc.sample(script([0, 2]), { numRuns: 300, seed: 7 }).map(modelVerdict);
    expect(samples.filter((verdict) => verdict >= 0).length).toBeGreaterThan(60);
    expect(samples.filter((verdict) => verdict < 0).length).toBeGreaterThan(60);
  });
});
