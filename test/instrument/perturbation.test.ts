/** The delays of the perturbed build. */
import { afterAll, describe, expect, it } from 'vitest';
import { Perturbation } from '../../src/instrument/perturbation.ts';
import { P } from '../../src/instrument/runtime.ts';
import { Project, runPlain } from './harness.ts';

const project = new Project();
afterAll(() => {
  P.configure(0, 0);
  project.remove();
});

const CODE = `import type { Sim } from './sim.ts'; import { get, put } from './memory.ts';
function f(at: number): Sim<number> { put(at, get(at) + 1); return get(at); }
export function main(): Sim<number> { let n = 0; for (let i = 0; i < 200; i++) n += f(i & 7); return n; }`;
const POINTS = 600;

/** Pauses of one run of the snippet. */
function pausesAt(rate: number, seed = 1): number {
  const { code } = project.rewrite('case.ts', CODE, 'perturbed')!;
  P.configure(seed, rate);
  const before = P.pauses;
  expect(runPlain(code)).toEqual(runPlain(CODE));
  return P.pauses - before;
}

/** Gaps between pauses, in points. */
function gaps(rate: number, count: number): number[] {
  const perturbation = new Perturbation();
  perturbation.configure(3, rate);
  return Array.from({ length: count }, () => {
    const gap = perturbation.budget;
    perturbation.pause();
    return gap;
  });
}

describe('perturbation', () => {
  it('is off at rate 0 and until it is configured', () => {
    expect(pausesAt(0)).toBe(0);
    expect(new Perturbation().budget).toBeGreaterThan(1e8);
  });

  it('pauses at every point at rate 1', () => {
    expect(pausesAt(1)).toBe(POINTS);
  });

  it('pauses at the asked share of the points', () => {
    const pauses = pausesAt(1 / 4);
    // 150 expected, deviation 10.6.
    expect(pauses).toBeGreaterThan(90);
    expect(pauses).toBeLessThan(210);
  });

  it('is a function of the seed', () => {
    expect(pausesAt(1 / 8, 5)).toBe(pausesAt(1 / 8, 5));
  });

  it('has geometric gaps: short ones most often, all of them possible', () => {
    const all = gaps(1 / 8, 2000);
    const mean = all.reduce((sum, gap) => sum + gap, 0) / all.length;
    expect(mean).toBeGreaterThan(6);
    expect(mean).toBeLessThan(8);
    expect(Math.max(...all)).toBeGreaterThan(30);
    expect(all.filter((gap) => gap === 0).length / all.length).toBeCloseTo(1 / 8, 1);
  });

  it('lingers at one store after the other, of those that were seen', () => {
    const perturbation = new Perturbation();
    perturbation.configure(1, 1);
    const hot = new Set<number>();
    for (let i = 0; i < 400; i++) {
      perturbation.pause(100 + (i % 3));
      for (hot.add(perturbation.hot); perturbation.hot !== 0;) perturbation.linger();
    }
    expect([...hot].sort()).toEqual([0, 100, 101, 102]);
  });

  it('sleeps now and then for long enough that another thread gets the core', () => {
    const perturbation = new Perturbation();
    perturbation.configure(1, 1);
    let longest = 0;
    for (let i = 0; i < 4000; i++) {
      const start = performance.now();
      perturbation.pause();
      longest = Math.max(longest, performance.now() - start);
    }
    expect(longest).toBeGreaterThan(0.05);
  });
});
